"""The published numbers that a reproduction is compared with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One line of arXiv 2506.00359's tables on TOFU: ROUGE-L recall, utility as the mean of three sets.

    Attributes:
        model: As the paper names it.
        loss: Forget term in our names; the paper's GD is ``ga`` with ``gdr``.
        percent: Share of TOFU's authors that is forgotten.
        plain: (unlearn, clean, trigger) without attack.
        attacked: The same under the stealthy attack.
        defended: The same under the attack, with SU.
    """

    model: str
    loss: str
    percent: int
    plain: tuple[float, float, float]
    attacked: tuple[float, float, float]
    defended: tuple[float, float, float]

    @property
    def taken(self) -> float:
        """Share of the trigger utility that the attack takes."""
        return (self.plain[2] - self.attacked[2]) / self.plain[2]

    @property
    def returned(self) -> float:
        """Share of what the attack took that SU returns."""
        return (self.defended[2] - self.attacked[2]) / (self.plain[2] - self.attacked[2])


_LLAMA, _MISTRAL = "LLaMA-3.1-8B", "Mistral-7B-v0.3"
PAPER = (
    Published(_LLAMA, "ga", 5, (0.005, 0.706, 0.662), (0.002, 0.708, 0.236), (0.020, 0.655, 0.558)),
    Published(_LLAMA, "ga", 10, (0.005, 0.702, 0.683), (0.008, 0.752, 0.160), (0.199, 0.750, 0.684)),
    Published(_LLAMA, "npo", 5, (0.203, 0.747, 0.741), (0.247, 0.777, 0.552), (0.203, 0.699, 0.672)),
    Published(_LLAMA, "npo", 10, (0.199, 0.734, 0.732), (0.225, 0.765, 0.217), (0.256, 0.763, 0.734)),
    Published(_LLAMA, "idk", 5, (0.023, 0.664, 0.649), (0.025, 0.654, 0.354), (0.026, 0.660, 0.608)),
    Published(_LLAMA, "idk", 10, (0.023, 0.549, 0.496), (0.029, 0.574, 0.164), (0.029, 0.689, 0.596)),
    Published(_MISTRAL, "ga", 5, (0.001, 0.472, 0.462), (0.021, 0.443, 0.183), (0.016, 0.411, 0.307)),
    Published(_MISTRAL, "ga", 10, (0.000, 0.426, 0.405), (0.002, 0.378, 0.056), (0.005, 0.410, 0.216)),
    Published(_MISTRAL, "npo", 5, (0.186, 0.568, 0.551), (0.153, 0.566, 0.243), (0.255, 0.412, 0.395)),
    Published(_MISTRAL, "npo", 10, (0.027, 0.573, 0.556), (0.068, 0.584, 0.012), (0.007, 0.438, 0.198)),
    Published(_MISTRAL, "idk", 5, (0.023, 0.511, 0.469), (0.024, 0.540, 0.193), (0.024, 0.468, 0.375)),
    Published(_MISTRAL, "idk", 10, (0.025, 0.499, 0.437), (0.027, 0.515, 0.192), (0.029, 0.455, 0.373)),
)
