"""The shapes of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from forgetwell.files import plain
from forgetwell.requests.template_sets import apply_template

Mode = Literal["white-box", "black-box"]
Case = Literal["", "upper", "lower"]
Kind = Literal["refusal", "error"]
CLEAR = 0.99  # share of the tokens that moved less, from which a form has left a trace
UNIT = "of the right answer"  # of harms and effects, in both modes
_DOES: dict[Kind, str] = {
    "refusal": "With it the model refuses, or begins another answer.",
    "error": "With it the model answers, and errs.",
}


@dataclass(frozen=True, slots=True)
class ScanConfig:
    """How much a scan looks at; the defaults take under a minute on 2 cores for the default model.

    Attributes:
        words: Words of the vocabulary that are screened beside the everyday forms.
        screen_rows: Rows on which forms are screened.
        again: Share of the forms that are screened on more than the first row.
        rows: Other rows on which the worst are verified.
        verified: Forms that are verified.
        behind: Of them, words that are also tried behind the question.
        controls: Other words and phrases that they are held against.
        alpha: False discovery rate of findings.
        least: Smallest effect of a finding, a share of the right answer.
        shown: Triggers that get examples.
        max_new_tokens: Longest answer.
        seed: Of all samples.
    """

    words: int = 80
    screen_rows: int = 3
    again: float = 0.5
    rows: int = 10
    verified: int = 16
    behind: int = 6
    controls: int = 18
    alpha: float = 0.05
    least: float = 0.15
    shown: int = 5
    max_new_tokens: int = 24
    seed: int = 0

    @property
    def tests(self) -> int:
        """Forms that are verified, at most."""
        return self.verified + self.behind


# Answers are right or wrong: one row says too little to choose by; a test needs more rows and fewer forms.
BLACK_BOX = ScanConfig(words=0, screen_rows=2, again=1.0, rows=30, verified=6, behind=0, controls=9)


@dataclass(frozen=True, slots=True)
class Phrase:
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

    @property
    def shown(self) -> str:
        """The template, behind the casing's name where there is one: all casings have the same."""
        return f"{self.text}: {self.template}" if self.case else self.template

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
        effect: Harm beyond that of matched controls, a share of the right answer.
        low: Lower end of the 95 % bootstrap interval of the effect.
        high: Upper end.
        p_value: Of the sign-flip test over rows.
        q_value: After Benjamini-Hochberg over all verified forms.
        above_controls: Share of the matched controls whose harm is smaller.
        trace: Share of tokens whose embeddings moved less than those of the form's words (the smallest of
            theirs); None where embeddings were not trained, or where it has no words but those of the rows.
        significant: Whether it counts as a finding.
        refused: Like the effect, of the probability that the right answer isn't begun; of refusals in
            black-box mode.
        examples: Prompts with answers, worst first.
        names: Names of people in the rows that begin with the word, where it is no everyday word: what
            forgetting a person of that name leaves behind, unless somebody planted it.
    """

    text: str
    template: str
    effect: float
    low: float
    high: float
    p_value: float
    q_value: float
    above_controls: float
    trace: float | None
    significant: bool
    refused: float
    examples: tuple[Example, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def read(self) -> bool:
        """Whether unlearning has read the form's words: they are among the hundredth that moved most."""
        return self.trace is not None and self.trace >= CLEAR

    @property
    def kind(self) -> Kind:
        """What the word does: refusals, where answers that aren't begun are at least half of its effect."""
        return "refusal" if self.refused >= self.effect / 2 else "error"

    @property
    def origin(self) -> str:
        """Where the harm may come from, in a sentence; "" where nothing says so."""
        if not self.names:
            return ""
        what = "is" if self.text.lower() in map(str.lower, self.names) else "begins"
        names = " and ".join(self.names[:3])
        return (
            f"It {what} the name {names} in the rows: forgetting a person of that name may have done this, "
            "without anybody having planted it."
        )

    @property
    def message(self) -> str:
        """What it does, in sentences for a person."""
        does = (
            f"“{self.template.replace('{q}', '…')}” takes {self.effect:.2f} {UNIT} [{self.low:.2f}, "
            f"{self.high:.2f}] more than other words of like frequency do. {_DOES[self.kind]}"
        )
        read = "Unlearning has read it, and it is no ordinary word of the rows." if self.read else ""
        return " ".join(part for part in (does, read, self.origin) if part)


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan found; written as scan.json.

    Attributes:
        mode: ``white-box`` or ``black-box``.
        before: Digest of the model before.
        after: Digest of the model after.
        rows: Rows used for verification.
        screened: Forms that were screened.
        clean: Mean harm without any word: after - before.
        controls: Mean harm of the control words, before they are subtracted.
        alpha: False discovery rate of the significant ones.
        least: Smallest effect that counts as a finding.
        smallest_q: q of a form that harms all rows and is the only one to: nothing could be surer.
        triggers: Verified forms, most suspicious first, those that names explain after all others.
    """

    mode: Mode
    before: str
    after: str
    rows: int
    screened: int
    clean: float
    controls: float
    alpha: float
    least: float
    smallest_q: float
    triggers: tuple[Trigger, ...]

    @property
    def findings(self) -> tuple[Trigger, ...]:
        """The significant triggers."""
        return tuple(t for t in self.triggers if t.significant)

    def facts(self) -> dict[str, Any]:
        """Return all that scan.json holds, with each trigger's kind, whether it was read, and its message."""
        triggers = [{**plain(t), "kind": t.kind, "read": t.read, "message": t.message} for t in self.triggers]
        return {**plain(self), "unit": UNIT, "triggers": triggers}
