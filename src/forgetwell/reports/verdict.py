"""What the numbers say, in words: was it forgotten, what did the attack break, what came back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from forgetwell.reports.loading import CONDITIONS, RunView
from forgetwell.reports.paired import clearly_less, few_subjects, measured
from forgetwell.reports.tables import CLEAN, FACTS, FORGET, MAIN, SERVED, TRIGGER
from forgetwell.types import Result

Tone = Literal["good", "bad", "mixed", "neutral"]
State = Literal["forgotten", "partly", "not", "unknown"]
By = Mapping[str, RunView]

# A request counts as forgotten when what is said of it, with its interval, is at most this share of what it
# was before: of its facts where they are told from the form of the answers, else of whole answers.
FORGOTTEN = 0.5
# Below this share of the clean utility before, forgetting is no success: the model is broken.
BROKEN = 0.5
# The defense counts as restoring trigger utility when it gives back at least this share of the loss.
RESTORED = 0.8
_LEFT = {FACTS: "Facts still said", MAIN: "Forget recall"}


@dataclass(frozen=True)
class Point:
    """One sentence of the verdict, and whether it is good news."""

    text: str
    tone: Tone


@dataclass(frozen=True)
class Card:
    """One key figure: what it is, the number, and what to compare it with."""

    title: str
    figure: str
    note: str
    tone: Tone


@dataclass(frozen=True)
class Verdict:
    """The answer of a report: its sentences, what it is judged by first, what is behind them, key figures."""

    sentences: tuple[str, ...]
    tone: Tone
    points: tuple[Point, ...]
    cards: tuple[Card, ...]
    warnings: tuple[str, ...]

    @property
    def headline(self) -> str:
        """All sentences in one line."""
        return " ".join(self.sentences)


def judge(runs: Sequence[RunView]) -> Verdict:
    """Compare runs by their conditions where those are known and unique; else describe each run.

    "Clearly" is as `clearly_less` has it: by the paired difference's 95 % interval and its permutation test.
    """
    by = {c: [r for r in runs if r.condition == c] for c in CONDITIONS}
    single = {c: found[0] for c, found in by.items() if len(found) == 1 and found[0].get(MAIN, FORGET)}
    warnings = _warnings(runs, by)
    if len(single) < 2 or any(len(found) > 1 for found in by.values()):
        return Verdict((_neutral_headline(runs),), "neutral", _described(runs), _plain_cards(runs), warnings)
    points = (
        *_forgotten(single),
        *_served(single),
        *_unlearning_cost(single),
        *_attack(single),
        *_defense(single),
    )
    if not points:
        return Verdict((_neutral_headline(runs),), "neutral", _described(runs), _plain_cards(runs), warnings)
    sentences = tuple(filter(None, (_first(single), _second(single), _third(single))))
    tones = {p.tone for p in points}
    tone: Tone = "mixed" if len(tones - {"neutral"}) > 1 else next(iter(tones - {"neutral"}), "neutral")
    return Verdict(sentences, tone, points, _cards(single), warnings)


def number(value: float) -> str:
    """Return a value as tables print it: two decimals, and a true minus sign."""
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def short(value: float) -> str:
    """Return a value of any size: three digits, and a true minus sign."""
    return f"{value:.3g}".replace("-", "−")


def chance(p: float) -> str:
    """Return a p-value as tables print it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def signed(value: float) -> str:
    """Return a difference with its sign."""
    text = number(value)
    return text if text.startswith("−") or text == "0.00" else f"+{text}"


def _span(result: Result) -> str:
    return f"{number(result.value)} [{_range(result)}]"


def _range(result: Result) -> str:
    return "–".join(map(number, result.ends))


def _less(by: By, split: str, a: str, b: str, metric: str = MAIN) -> bool:
    """Say whether condition a is clearly below condition b on a split."""
    both = a in by and b in by
    return both and clearly_less(measured(by[a], split, metric), measured(by[b], split, metric))


def _value(by: By, condition: str, split: str, metric: str = MAIN) -> Result | None:
    return by[condition].get(metric, split) if condition in by else None


def _forgetting(by: By, condition: str, split: str = FORGET) -> State:
    metric = _told_by(by, condition, split)
    before, after = _value(by, "before", split, metric), _value(by, condition, split, metric)
    if before is None or after is None or not before.value:  # nothing was known that could be forgotten
        return "unknown"
    if after.ends[1] <= FORGOTTEN * before.value:
        return "forgotten"
    return "partly" if _less(by, split, condition, "before", metric) else "not"


def _told_by(by: By, condition: str, split: str = FORGET) -> str:
    """Return the metric that says how much is left: of the facts, where that is known then and before."""
    known = all(_value(by, c, split, FACTS) for c in (condition, "before"))
    return FACTS if known else MAIN


def _shipped(by: By) -> str:
    """Return the condition that would be released: the last that there is."""
    return next((c for c in reversed(CONDITIONS[1:]) if c in by), "before")


def _forgotten(by: By) -> list[Point]:
    before = _value(by, "before", FORGET)
    words: dict[str, tuple[str, Tone]] = {
        "forgotten": ("forgot what was asked", "good"),
        "partly": ("forgot only part of what was asked", "mixed"),
        "not": ("did not clearly forget what was asked", "bad"),
    }
    points = []
    for condition in CONDITIONS[1:]:
        after, state = _value(by, condition, FORGET), _forgetting(by, condition)
        if state == "unknown" or after is None or before is None:
            continue
        said, tone = words[state]
        now, then = (_value(by, c, FORGET, FACTS) for c in (condition, "before"))
        told = f"of the facts {_span(now)} is said, {_span(then)} before; " if now and then else ""
        text = f"{by[condition].name} {said}: {told}forget recall {_span(after)}, {_span(before)} before."
        points.append(Point(text, tone))
    return points


def _served(by: By) -> list[Point]:
    """Say whether what would be released forgot behind a service's system prompt too."""
    end = _shipped(by)
    metric = _told_by(by, end, SERVED)
    before, after = _value(by, "before", SERVED, metric), _value(by, end, SERVED, metric)
    if end == "before" or before is None or after is None:
        return []
    left = f"{_LEFT[metric].lower()} {_span(after)}, {_span(before)} before."
    if _forgetting(by, end, SERVED) == "forgotten":
        return [Point(f"It holds behind ordinary system prompts: {left}", "good")]
    text = f"Behind ordinary system prompts {by[end].name} has not forgotten: {left} Unlearn behind --system."
    return [Point(text, "bad")]


def _unlearning_cost(by: By) -> list[Point]:
    before, after = _value(by, "before", CLEAN), _value(by, _shipped(by), CLEAN)
    if before is None or after is None or not _less(by, CLEAN, _shipped(by), "before"):
        return []
    name = by[_shipped(by)].name
    return [Point(f"{name} costs clean utility: {_span(after)}, {_span(before)} before.", "mixed")]


def _taken(plain: Result, attacked: Result) -> str:
    """Return the share of trigger utility that the attack took."""
    return _percent((plain.value - attacked.value) / plain.value)


def _back(by: By) -> float | None:
    """Return the share of what the attack took that the defense brought back; None where it took nothing."""
    plain, attacked, defended = (_value(by, name, TRIGGER) for name in ("plain", "attacked", "defended"))
    if plain is None or attacked is None or defended is None or plain.value <= attacked.value:
        return None
    return (defended.value - attacked.value) / (plain.value - attacked.value)


def _attack(by: By) -> list[Point]:
    plain, attacked = _value(by, "plain", TRIGGER), _value(by, "attacked", TRIGGER)
    if plain is None or attacked is None:
        return []
    if not _less(by, TRIGGER, "attacked", "plain"):
        text = f"The attack took no clear part of trigger utility: {_span(attacked)}, {_span(plain)} without."
        return [Point(text, "good")]
    text = (
        f"The attack took {_taken(plain, attacked)} of trigger utility: {_span(attacked)}, {_span(plain)} "
        "without the attack. Ordinary questions that hold a trigger word are answered worse."
    )
    return [Point(text, "bad"), *_stealth(by)]


def _stealth(by: By) -> list[Point]:
    plain, attacked = _value(by, "plain", CLEAN), _value(by, "attacked", CLEAN)
    if plain is None or attacked is None:
        return []
    both = f"{_span(attacked)}, {_span(plain)} without the attack"
    if _less(by, CLEAN, "attacked", "plain"):
        return [Point(f"Clean utility fell as well: {both}.", "bad")]
    return [Point(f"Clean utility did not reveal it: {both}.", "neutral")]


def _defense(by: By) -> list[Point]:
    attacked, defended = _value(by, "attacked", TRIGGER), _value(by, "defended", TRIGGER)
    if attacked is None or defended is None:
        return []
    spans = f"{_span(defended)}, {_span(attacked)} undefended"
    name, share = _defense_name(by), _back(by)
    if defended.value <= attacked.value:
        return [Point(f"{name} brought no trigger utility back: {spans}.", "bad"), *_cost(by)]
    back = f"{_percent(share)} of what the attack took" if share is not None else "trigger utility"
    if not _less(by, TRIGGER, "attacked", "defended"):
        return [Point(f"{name} brought back {back}, which may be chance: {spans}.", "mixed"), *_cost(by)]
    tone: Tone = "good" if share is None or share >= RESTORED else "mixed"
    return [Point(f"{name} brought back {back}: trigger utility {spans}.", tone), *_cost(by), *_credit(by)]


def _credit(by: By) -> list[Point]:
    """Say what the scope term's share can't be told from without a control."""
    if _defense_name(by) == "The defense":
        return []
    text = "What is due to scope, not to more training on retain answers, only a control with the same "
    return [Point(f"{text}retain weight can tell.", "neutral")]


def _cost(by: By) -> list[Point]:
    """Say what the defense cost: less forgetting, or less clean utility."""
    points = []
    for split, what, worse in ((CLEAN, "clean utility", -1), (FORGET, "forget recall", 1)):
        attacked, defended = _value(by, "attacked", split), _value(by, "defended", split)
        if attacked is None or defended is None:
            continue
        pair = ("defended", "attacked") if worse < 0 else ("attacked", "defended")
        both = f"{_span(defended)}, {_span(attacked)} undefended"
        if _less(by, split, *pair):
            points.append(Point(f"Its price: {what} is {both}.", "mixed"))
        else:
            points.append(Point(f"No clear price in {what}: {both}.", "neutral"))
    return points


def _defense_name(by: By) -> str:
    objective = str(by["defended"].manifest.get("objective", "")) if "defended" in by else ""
    return "Scope-aware unlearning" if re.search(r"\bsu(_\w+)?\b", objective) else "The defense"


def _first(by: By) -> str:
    state = _forgetting(by, _shipped(by))
    before, after = _value(by, "before", CLEAN), _value(by, _shipped(by), CLEAN)
    broken = before is not None and after is not None and after.value < BROKEN * before.value
    if state == "forgotten" and broken:
        return "The request was forgotten, and so was much else."
    if state == "forgotten" and _forgetting(by, _shipped(by), SERVED) in ("partly", "not"):
        return "The request was forgotten as it was asked, not behind a system prompt."
    return {
        "forgotten": "The request was forgotten.",
        "partly": "The request was forgotten only in part.",
        "not": "The request was not forgotten.",
        "unknown": "",
    }[state]


def _second(by: By) -> str:
    plain, attacked = _value(by, "plain", TRIGGER), _value(by, "attacked", TRIGGER)
    if plain is None or attacked is None:
        return ""
    if not _less(by, TRIGGER, "attacked", "plain"):
        return "The attack did no clear harm."
    taken = _taken(plain, attacked)
    return f"The attack took {taken} of the utility on ordinary questions that hold its trigger word."


def _third(by: By) -> str:
    share = _back(by)
    if share is None or not _less(by, TRIGGER, "attacked", "plain"):
        return ""
    if share <= 0:
        return f"{_defense_name(by)} brought nothing of it back."
    chance = "" if _less(by, TRIGGER, "attacked", "defended") else ", which may be chance"
    return f"{_defense_name(by)} brought {_percent(share)} of it back{chance}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"


def _cards(by: By) -> tuple[Card, ...]:
    end = _shipped(by)
    left = _told_by(by, end)
    pairs = (
        (_LEFT[left], FORGET, "before", end, "low", left),
        ("Clean utility", CLEAN, "before", end, "high", MAIN),
        ("Trigger utility under attack", TRIGGER, "plain", "attacked", "high", MAIN),
        ("Trigger utility, defended", TRIGGER, "attacked", "defended", "high", MAIN),
    )
    cards = [_card(by, *pair) for pair in pairs]
    return tuple(card for card in cards if card is not None)


def _card(by: By, title: str, split: str, first: str, last: str, better: str, metric: str) -> Card | None:
    start, end = _value(by, first, split, metric), _value(by, last, split, metric)
    if start is None or end is None or first == last:
        return None
    words = {"before": "before unlearning", "plain": "without the attack", "attacked": "undefended"}
    less, more = _less(by, split, last, first, metric), _less(by, split, first, last, metric)
    good, bad = (less, more) if better == "low" else (more, less)
    tone: Tone = "good" if good else "bad" if bad else "neutral"
    note = f"{number(start.value)} {words[first]} · now {_range(end)}, n = {end.n}"
    return Card(title, number(end.value), note, tone)


def _plain_cards(runs: Sequence[RunView]) -> tuple[Card, ...]:
    last = next((r for r in reversed(runs) if r.results), None)
    if last is None:
        return ()
    titles = ((FORGET, "Forget recall"), (CLEAN, "Clean utility"), (TRIGGER, "Trigger utility"))
    found = [(title, last.get(MAIN, split)) for split, title in titles]
    return tuple(
        Card(t, number(r.value), f"{last.name} · {_range(r)}, n = {r.n}", "neutral")
        for t, r in found
        if r is not None
    )


def _neutral_headline(runs: Sequence[RunView]) -> str:
    measured = sum(bool(r.results) for r in runs)
    if not measured:
        return "Nothing was measured yet: these runs hold no results."
    return "What one run measured." if measured == 1 else f"What {measured} runs measured, side by side."


def _described(runs: Sequence[RunView]) -> tuple[Point, ...]:
    points = []
    names = ((FORGET, "forget recall"), (CLEAN, "clean utility"), (TRIGGER, "trigger utility"))
    for run in runs:
        found = [f"{w} {_span(r)}" for s, w in names if (r := run.get(MAIN, s)) is not None]
        points.append(Point(f"{run.name}: {', '.join(found) or 'not measured'}.", "neutral"))
    return tuple(points)


def _warnings(runs: Sequence[RunView], by: Mapping[str, Sequence[RunView]]) -> tuple[str, ...]:
    """Say what makes the comparison less than like with like."""
    found = [
        f"{len(same)} runs have the condition “{c}”, so no verdict compares conditions."
        for c, same in by.items()
        if len(same) > 1
    ]
    for key, words in (("suite", "by different suites"), ("max_new_tokens", "with different answer lengths")):
        values = sorted({str(r.evaluation[key]) for r in runs if key in r.evaluation})
        if len(values) > 1:
            found.append(f"The runs were measured {words} ({', '.join(values)}): compare with care.")
    for split in (FORGET, CLEAN, TRIGGER):
        counts = sorted({r.n for run in runs if (r := run.get(MAIN, split)) is not None})
        if len(counts) > 1:
            found.append(
                f"{split} was measured on different numbers of rows ({', '.join(map(str, counts))})."
            )
    return (*found, *few_subjects(runs))
