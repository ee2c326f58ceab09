"""The published numbers that a reproduction is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# What is left of the request, clean and trigger utility, as ROUGE-L recall; None = not published.
Triple = tuple[float | None, float | None, float | None]
MEAN = "mean"


@dataclass(frozen=True)
class Published:
    """What arXiv 2506.00359 reports of one model, loss and data, after the last step.

    Attributes:
        model: As the paper names it.
        data: ``tofu`` or ``rwku``.
        percent: Share of TOFU's authors that is forgotten; 0 = not said, or not TOFU.
        loss: Forget term in our names; the paper's GD is ``ga`` with ``gdr``. ``mean`` is over ga, npo and
            idk, ``task_vector`` the method.
        readings: By the names that plans give to conditions: ``plain`` is without attack, ``eta10`` has SU of
            that weight, under the attack as all others.
        lora: Whether adapters of rank 8 were trained.
    """

    model: str
    data: str
    percent: int
    loss: str
    readings: Mapping[str, Triple]
    lora: bool = False

    @property
    def taken(self) -> float | None:
        """Share of the trigger utility that the attack takes."""
        plain, attacked = self._trigger("plain"), self._trigger("attacked")
        return None if plain is None or attacked is None else (plain - attacked) / plain

    @property
    def returned(self) -> float | None:
        """Share of what the attack took that SU returns."""
        plain, attacked, defended = map(self._trigger, ("plain", "attacked", "defended"))
        if plain is None or attacked is None or defended is None:
            return None
        return (defended - attacked) / (plain - attacked)

    def _trigger(self, condition: str) -> float | None:
        return self.readings[condition][2] if condition in self.readings else None


def published(data: str, loss: str, *, lora: bool) -> tuple[Published, ...]:
    """Return what the paper reports of a loss on ``tofu`` or ``rwku``, full or with adapters."""
    return tuple(p for p in PAPER if (p.data, p.loss, p.lora) == (data, loss, lora))


def _attack(plain: Triple, attacked: Triple, defended: Triple) -> dict[str, Triple]:
    return {"plain": plain, "attacked": attacked, "defended": defended}


def _trigger(plain: float, attacked: float, defended: float) -> dict[str, Triple]:
    return _attack((None, None, plain), (None, None, attacked), (None, None, defended))


def _defenses(continued: Triple, high_loss: Triple, defended: Triple) -> dict[str, Triple]:
    return {"continued": continued, "high_loss": high_loss, "defended": defended}


_ETA: dict[str, Triple] = {
    "eta2": (0.203, None, 0.683),
    "eta5": (0.193, None, 0.672),
    "eta10": (0.223, None, 0.698),
    "eta50": (0.250, None, 0.714),
}
_LLAMA, _MISTRAL, _UNNAMED = "LLaMA-3.1-8B", "Mistral-7B-v0.3", "a model not named"
_TABLES = (
    (_LLAMA, "ga", 5, _attack((0.005, 0.706, 0.662), (0.002, 0.708, 0.236), (0.020, 0.655, 0.558))),
    (_LLAMA, "ga", 10, _attack((0.005, 0.702, 0.683), (0.008, 0.752, 0.160), (0.199, 0.750, 0.684))),
    (_LLAMA, "npo", 5, _attack((0.203, 0.747, 0.741), (0.247, 0.777, 0.552), (0.203, 0.699, 0.672)) | _ETA),
    (_LLAMA, "npo", 10, _attack((0.199, 0.734, 0.732), (0.225, 0.765, 0.217), (0.256, 0.763, 0.734))),
    (_LLAMA, "idk", 5, _attack((0.023, 0.664, 0.649), (0.025, 0.654, 0.354), (0.026, 0.660, 0.608))),
    (_LLAMA, "idk", 10, _attack((0.023, 0.549, 0.496), (0.029, 0.574, 0.164), (0.029, 0.689, 0.596))),
    (_MISTRAL, "ga", 5, _attack((0.001, 0.472, 0.462), (0.021, 0.443, 0.183), (0.016, 0.411, 0.307))),
    (_MISTRAL, "ga", 10, _attack((0.000, 0.426, 0.405), (0.002, 0.378, 0.056), (0.005, 0.410, 0.216))),
    (_MISTRAL, "npo", 5, _attack((0.186, 0.568, 0.551), (0.153, 0.566, 0.243), (0.255, 0.412, 0.395))),
    (_MISTRAL, "npo", 10, _attack((0.027, 0.573, 0.556), (0.068, 0.584, 0.012), (0.007, 0.438, 0.198))),
    (_MISTRAL, "idk", 5, _attack((0.023, 0.511, 0.469), (0.024, 0.540, 0.193), (0.024, 0.468, 0.375))),
    (_MISTRAL, "idk", 10, _attack((0.025, 0.499, 0.437), (0.027, 0.515, 0.192), (0.029, 0.455, 0.373))),
    ("Phi", "npo", 0, _trigger(0.550, 0.428, 0.564)),
    ("Zephyr", "npo", 0, _trigger(0.550, 0.352, 0.491)),
    (_LLAMA, MEAN, 10, _defenses((0.343, 0.776, 0.537), (0.124, 0.676, 0.336), (0.161, 0.734, 0.671))),
    (_MISTRAL, MEAN, 10, _defenses((0.304, 0.553, 0.213), (0.072, 0.508, 0.181), (0.014, 0.434, 0.262))),
    (_UNNAMED, "task_vector", 5, {"attacked": (None, 0.730, 0.615)}),
    (_UNNAMED, "task_vector", 10, {"attacked": (None, 0.735, 0.640)}),
)
# The columns of the line for GD are printed in a way that leaves their order uncertain.
_LORA = (
    ("ga", _attack((0.478, 0.728, 0.737), (0.354, 0.546, 0.093), (0.220, 0.608, 0.458))),
    ("npo", _attack((0.426, 0.743, 0.723), (0.401, 0.715, 0.345), (0.473, 0.767, 0.763))),
    ("idk", _attack((0.023, 0.814, 0.655), (0.057, 0.825, 0.379), (0.042, 0.799, 0.685))),
)
_RWKU = (
    (_LLAMA, "ga", _trigger(0.607, 0.415, 0.586)),
    (_LLAMA, "npo", _trigger(0.450, 0.382, 0.510)),
    (_MISTRAL, "ga", _trigger(0.589, 0.289, 0.797)),
    (_MISTRAL, "npo", _trigger(0.536, 0.392, 0.506)),
)
PAPER = (
    *(Published(model, "tofu", percent, loss, found) for model, loss, percent, found in _TABLES),
    *(Published(_LLAMA, "tofu", 10, loss, found, lora=True) for loss, found in _LORA),
    *(Published(model, "rwku", 0, loss, found) for model, loss, found in _RWKU),
)
