"""The shapes everything is made of: frozen data without torch.

Dimension letters used in all docstrings: B rows, T tokens, N scored tokens, V vocabulary, D hidden,
L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["system", "user", "assistant"]
Better = Literal["high", "low", "none"]
Severity = Literal["info", "warning", "alarm"]
Place = Literal["text", "answer", "history"]
Span = tuple[int, int]  # the first character and the one behind the last
Progress = Callable[[int, int], None]  # called with how much is done, and with how much there is in all


def quiet(done: int, total: int) -> None:
    """Tell nobody of progress."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation before the prompt."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Edit:
    """What an attack or repair did to a row: its name, the template, and the texts before."""

    by: str
    template: str
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Row:
    """One question with its answer, or one piece of plain text.

    A plain text (``text=True``) is wrapped in no chat template. Its `answer` is the text whose tokens are
    scored; its `prompt`, usually empty, is unscored text before it.

    Attributes:
        id: Unique within its set.
        prompt: The question as a user would type it.
        answer: The reference answer.
        subject: Whom or what the row is about; rows of one subject form one cluster in intervals.
        questions: Other phrasings of the prompt.
        paraphrases: Other wordings of the right answer, or further right answers.
        wrong: Answers of the same form that are false.
        history: Turns before the prompt.
        text: Whether this is plain text.
        weight: Factor on this row's loss; 1 = as any other row, 0 = ignored.
        focus: Parts of the answer whose tokens alone count in training, where they stand as words of their
            own, or else wherever they stand; none = the whole answer.
        edit: What an attack or repair changed, or None.
    """

    id: str
    prompt: str
    answer: str
    subject: str = ""
    questions: tuple[str, ...] = ()
    paraphrases: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    history: tuple[Turn, ...] = ()
    text: bool = False
    weight: float = 1.0
    focus: tuple[str, ...] = ()
    edit: Edit | None = None

    def answered(self, answer: str) -> Row:
        """Return the same question with another answer; what was said of the old one goes."""
        return replace(self, answer=answer, paraphrases=(), wrong=(), focus=())


@dataclass(frozen=True, slots=True)
class Request:
    """Rows that somebody wants forgotten.

    Attributes:
        id: Name of the request.
        rows: The rows, in the order given.
        history: One line for each attack or repair it went through, oldest first.
    """

    id: str
    rows: tuple[Row, ...]
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as token ids. The tokens from `start` on are scored; those before are context (start ≥ 1).

    `marks` holds a weight for each scored token, or nothing where all count alike.
    """

    ids: tuple[int, ...]
    start: int
    marks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What the model thinks of one answer: per scored token, its log-probability and argmax match.

    Attributes:
        logps: log p(y_t | x, y_<t).
        top1: Whether y_t is the model's first choice.
        mean: Mean of log p(z | x, y_<t) over z ~ p; empty unless a metric needs it.
        deviation: Standard deviation of the same; empty unless a metric needs it.
    """

    logps: tuple[float, ...]
    top1: tuple[bool, ...]
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    """One greedy answer. `finished` is False where it was cut at max_new_tokens."""

    text: str
    tokens: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Record:
    """All that one row's metrics are computed from; a part nobody asked for is None.

    Attributes:
        row: The row as it was asked.
        answer: Scores of its answer.
        paraphrase: One score per paraphrase of the row, in its order.
        wrong: One score per wrong answer of the row, in its order.
        generated: The model's own answer.
        start: Scores of `generated` under the model before unlearning.
        gradient: Mean norm of the answer's loss gradient over parameter tensors.
    """

    row: Row
    answer: TokenScores | None = None
    paraphrase: tuple[TokenScores, ...] | None = None
    wrong: tuple[TokenScores, ...] | None = None
    generated: Generation | None = None
    start: TokenScores | None = None
    gradient: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a screen found, with the evidence and a sentence for a person.

    Attributes:
        screen: What found it.
        row_id: The row; "" = the whole request.
        span: First character and the one behind the last; None = no place of its own.
        severity: An alarm makes a request suspicious.
        statistic: The screen says of what.
        p_value: None = a fact.
        message: The sentence.
        place: Where the span stands: in the text that the requester words freely (the prompt, or a plain
            text), in the answer to a question, or in the earlier turns, joined by line breaks.
    """

    screen: str
    row_id: str
    span: tuple[int, int] | None
    severity: Severity
    statistic: float
    p_value: float | None
    message: str
    place: Place = "text"


@dataclass(frozen=True, slots=True)
class Result:
    """One aggregate number of a table.

    Attributes:
        lm: Name of the model (in a report: of the run).
        metric: The row or set metric, as it was asked for.
        split: Set and condition, as "retain/clean" or "retain/trigger"; "run" for a set metric.
        value: The aggregate (a mean unless the metric says otherwise).
        low: Lower end of the 95 % interval; None where an interval would mean nothing.
        high: Upper end.
        n: Rows it was computed from.
        better: Which direction is better.
        skipped: Rows to which the metric did not apply.
    """

    lm: str
    metric: str
    split: str
    value: float
    low: float | None
    high: float | None
    n: int
    better: Better
    skipped: int = 0

    @property
    def ends(self) -> tuple[float, float]:
        """Lower and upper end of the interval; the value itself where there is none."""
        low = self.value if self.low is None else self.low
        return low, self.value if self.high is None else self.high
