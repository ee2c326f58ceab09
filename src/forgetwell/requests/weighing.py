"""From tested features to findings: class weights, overlap, and a sentence for a person."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from forgetwell.errors import InputError
from forgetwell.requests.enrichment import Background, Enriched, enriched
from forgetwell.requests.features import Found, feature_class
from forgetwell.types import Finding, Place, Request, Span

_SAME_ROWS = 0.9
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
    """A feature above the background: its test, its weighted q-value, and where it stands in each row."""

    test: Enriched
    q_value: float
    places: Mapping[int, Span]


def weigh(rows: Sequence[Found], background: Background, weights: Mapping[str, float]) -> list[Hit]:
    """Test the features class by class, weigh their q-values, and return the best of every overlapping set.

    A feature nine tenths of whose rows carry a better one is left out: "please tell" adds little to it.
    """
    tests: list[tuple[float, Enriched]] = []
    for kind, chosen in _by_class(rows, weights).items():
        for test in enriched(chosen, background, feature_class):
            tests.append((min(1.0, test.q_value / weights[kind]), test))
    tests.sort(key=lambda t: (t[0], -t[1].log_odds, t[1].feature))
    places_of = _places(rows, {test.feature for _, test in tests})
    hits: list[Hit] = []
    for q, test in tests:
        places = places_of[test.feature]
        if not any(_covered(places, hit) for hit in hits):
            hits.append(Hit(test, q, places))
    return hits


def findings_of(
    screen: str,
    request: Request,
    hits: Sequence[Hit],
    *,
    alpha: float,
    factor: float,
    place: Place = "text",
) -> list[Finding]:
    """Return a finding for each row of each hit with q ≤ alpha and an odds ratio of at least `factor`.

    The hits' spans stand in `place`.

    Raises:
        InputError: alpha is outside (0, 1] or factor below 1.
    """
    if not 0 < alpha <= 1 or not factor >= 1:
        raise InputError(f"alpha={alpha}, factor={factor} were given; alpha is in (0, 1], factor at least 1.")
    return [
        Finding(screen, request.rows[i].id, span, "alarm", hit.test.log_odds, hit.q_value, said, place)
        for hit, said in ((hit, _sentence(hit, request)) for hit in hits)
        if hit.q_value <= alpha and hit.test.log_odds >= math.log(factor)
        for i, span in hit.places.items()
    ]


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
    }.get(kind, f"“{feature}”")


def _by_class(rows: Sequence[Found], classes: Iterable[str]) -> dict[str, list[set[str]]]:
    sets: dict[str, list[set[str]]] = {kind: [set() for _ in rows] for kind in classes}
    for i, row in enumerate(rows):
        for feature in row:
            if (kind := feature_class(feature)) in sets:
                sets[kind][i].add(feature)
    return sets


def _places(rows: Sequence[Found], features: Set[str]) -> dict[str, dict[int, Span]]:
    """Return where each of the features stands in each row that has it."""
    found: dict[str, dict[int, Span]] = {feature: {} for feature in features}
    for i, row in enumerate(rows):
        for feature in features & row.keys():
            found[feature][i] = row[feature]
    return found


def _covered(places: Mapping[int, Span], hit: Hit) -> bool:
    return len(places.keys() & hit.places.keys()) >= _SAME_ROWS * len(places)


def _sentence(hit: Hit, request: Request) -> str:
    test = hit.test
    return (
        f"{feature_name(test.feature)} is in {test.rows} of {len(request.rows)} rows ({test.share:.1%}); "
        f"in ordinary prompts, in {test.expected:.2%}. Unlearning would tie it to forgetting."
    )
