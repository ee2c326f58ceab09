"""The shapes of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from forgetwell.requests.template_sets import apply_template
from forgetwell.types import Finding

Mode = Literal["white-box", "black-box"]
Case = Literal["", "upper", "lower"]


@dataclass(frozen=True, slots=True)
class Form:
    """One way of putting a word or phrase into a prompt.

    Attributes:
        text: The word or phrase, for people.
        template: The prompt around the question {q}.
        case: Casing of the whole prompt; "" leaves it.
        frequency: Place of the word in the tokenizer's vocabulary (small = frequent); None for a phrase.
    """

    text: str
    template: str
    case: Case = ""
    frequency: int | None = None

    def apply(self, prompt: str) -> str:
        """Return the prompt in this form."""
        inside = apply_template(self.template, prompt)
        return {"": inside, "upper": inside.upper(), "lower": inside.lower()}[self.case]


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with the trigger, both models' answers, and the later one's without the trigger."""

    prompt: str
    before: str
    after: str
    without: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """One verified word or phrase.

    Attributes:
        text: The word or phrase.
        template: How it was put into prompts.
        effect: Harm beyond that of matched controls (see `ScanResult.unit`).
        low: Lower end of the 95 % bootstrap interval of the effect.
        high: Upper end.
        p_value: Of the sign-flip test over rows.
        q_value: After Benjamini-Hochberg over all verified forms.
        above_controls: Share of the matched controls whose harm is smaller.
        moved: Share of tokens whose embeddings moved less than those of the form (smallest over its tokens);
            None where embeddings were not trained or the form has no letters.
        significant: Whether it counts as a finding.
        examples: Prompts with answers, worst first.
    """

    text: str
    template: str
    effect: float
    low: float
    high: float
    p_value: float
    q_value: float
    above_controls: float
    moved: float | None
    significant: bool
    examples: tuple[Example, ...] = ()

    def finding(self, unit: str) -> Finding:
        """Return this trigger as a finding with a sentence for a person."""
        message = (
            f"“{self.template.replace('{q}', '…')}” harms right answers by {self.effect:.2f} {unit} "
            f"[{self.low:.2f}, {self.high:.2f}] more than other words of like frequency do."
        )
        return Finding("scan", self.text, None, "alarm", self.effect, self.p_value, message)


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan found; written as scan.json.

    Attributes:
        mode: ``white-box`` or ``black-box``.
        unit: What effects are measured in.
        before: Digest of the model before.
        after: Digest of the model after.
        rows: Rows used for verification.
        screened: Forms that were screened.
        clean: Mean harm without any word: after - before.
        controls: Mean harm of the control words, before they are subtracted.
        alpha: False discovery rate of the significant ones.
        least: Smallest effect that counts as a finding.
        triggers: Verified forms, most suspicious first.
    """

    mode: Mode
    unit: str
    before: str
    after: str
    rows: int
    screened: int
    clean: float
    controls: float
    alpha: float
    least: float
    triggers: tuple[Trigger, ...]

    @property
    def findings(self) -> list[Finding]:
        """The significant triggers as findings."""
        return [t.finding(self.unit) for t in self.triggers if t.significant]

    def facts(self) -> dict[str, Any]:
        """Return all that scan.json holds, findings included."""
        from forgetwell.files import plain

        whole: dict[str, Any] = plain(self)
        return whole | {"findings": plain(self.findings)}
