"""From tested features to findings: class weights, overlap, and a sentence for a person."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from forgetwell.errors import InputError
from forgetwell.requests.enrichment import Background, Enriched, enriched
from forgetwell.requests.features import Found, feature_class
from forgetwell.requests.sentences import Reading, Unit
from forgetwell.types import Finding, Place, Request, Span

_SAME_UNITS = 0.9
_LEAST_ROWS = 3
_RARE_NAMES = {
    "first word": "a first word",
    "opening": "an opening",
    "framing": "a framing word",
    "asking": "a word of asking",
    "talk": "a word of talk",
    "person": "a word for speaker or hearer",
}


@dataclass(frozen=True, slots=True)
class Hit:
    """A feature above the background.

    Attributes:
        test: Its test.
        q_value: Weighted.
        places: By unit that carries it, the row and the place in the row's text.
        reading: All that was tested, without the feature too.
    """

    test: Enriched
    q_value: float
    places: Mapping[int, tuple[int, Span]]
    reading: Reading


def weigh(
    found: Sequence[Found], reading: Reading, background: Background, weights: Mapping[str, float]
) -> list[Hit]:
    """Test the features class by class, weigh their q-values, and return the best of every overlapping set.

    A feature nine tenths of whose units carry a better one is left out: "please tell" adds little to it. So
    is one in fewer than 3 rows, where there are as many: the sentences of one long text don't decide.
    Of plain texts q-values are larger (`Reading.strict`).

    Args:
        found: Features of each unit.
        reading: How the request is read, with its units.
        background: What ordinary ones are like.
        weights: Of the classes of features.
    """
    tests: list[tuple[float, Enriched]] = []
    units = reading.units
    for kind, chosen in _by_class(found, weights).items():
        for test in enriched(chosen, background, feature_class):
            tests.append((min(1.0, reading.strict * test.q_value / weights[kind]), test))
    tests.sort(key=lambda t: (t[0], -t[1].log_odds, t[1].feature))
    places_of = _places(found, units, {test.feature for _, test in tests})
    hits: list[Hit] = []
    for q, test in tests:
        places = places_of[test.feature]
        if in_enough_rows((row for row, _ in places.values()), units) and not any(
            _covered(places, hit) for hit in hits
        ):
            hits.append(Hit(test, q, places, reading))
    return hits


def in_enough_rows(rows: Iterable[int], units: Sequence[Unit]) -> bool:
    """Say whether these are 3 different rows, or all there are."""
    return len(set(rows)) >= min(_LEAST_ROWS, len({unit.row for unit in units}))


def findings_of(
    screen: str,
    request: Request,
    hits: Sequence[Hit],
    *,
    alpha: float,
    factor: float,
    place: Place = "text",
) -> list[Finding]:
    """Return a finding for each unit of each hit with q ≤ alpha and an odds ratio of at least `factor`.

    The hits' spans stand in `place`; what holds nothing has none.

    Raises:
        InputError: alpha is outside (0, 1] or factor below 1.
    """
    if not 0 < alpha <= 1 or not factor >= 1:
        raise InputError(f"alpha={alpha}, factor={factor} were given; alpha is in (0, 1], factor at least 1.")
    return [
        Finding(
            screen, request.rows[row].id, span if span[0] < span[1] else None, "alarm", hit.test.log_odds,
            hit.q_value, said, place,
        )
        for hit, said in ((hit, _sentence(hit)) for hit in hits)
        if hit.q_value <= alpha and hit.test.log_odds >= math.log(factor)
        for row, span in hit.places.values()
    ]  # fmt: skip


def feature_name(feature: str) -> str:
    """Return a feature in words."""
    kind, rest = feature_class(feature), feature[2:]
    if kind == "rare":
        what, _, one_in = feature[1:].rpartition(" ")
        return f"{_RARE_NAMES[what]} that at most 1 in {one_in} ordinary prompts use"
    return {
        "opening": f"the opening “{rest} …”",
        "closing": f"the closing “… {rest}”",
        "shape": f"“{feature[1:]}”",
        "language": f"a {feature.strip('<>').capitalize()} word",
        "attribute": f"“{feature[1:]}” before a name",
        "call": f"“{rest}” set off from the question",
    }.get(kind, f"“{feature}”")


def _by_class(rows: Sequence[Found], classes: Iterable[str]) -> dict[str, list[set[str]]]:
    sets: dict[str, list[set[str]]] = {kind: [set() for _ in rows] for kind in classes}
    for i, row in enumerate(rows):
        for feature in row:
            if (kind := feature_class(feature)) in sets:
                sets[kind][i].add(feature)
    return sets


def _places(
    found: Sequence[Found], units: Sequence[Unit], features: Set[str]
) -> dict[str, dict[int, tuple[int, Span]]]:
    """Return where each of the features stands: by unit, the row and the place in the row's text."""
    places: dict[str, dict[int, tuple[int, Span]]] = {feature: {} for feature in features}
    for i, (own, unit) in enumerate(zip(found, units, strict=True)):
        for feature in features & own.keys():
            start, end = own[feature]
            places[feature][i] = unit.row, (unit.start + start, unit.start + end)
    return places


def _covered(places: Mapping[int, object], hit: Hit) -> bool:
    return len(places.keys() & hit.places.keys()) >= _SAME_UNITS * len(places)


def _sentence(hit: Hit) -> str:
    test = hit.test
    form = hit.reading.form
    usual = "prompts" if form == "rows" else form
    return (
        f"{feature_name(test.feature)} is in {test.rows} of {len(hit.reading.units)} {form} "
        f"({test.share:.1%}), and in {test.ordinary} of {test.prompts} ordinary {usual}. "
        "Unlearning would tie it to forgetting."
    )
