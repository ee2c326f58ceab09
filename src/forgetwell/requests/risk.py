"""How much harm unlearning a request would do to prompts about other things, whatever the requester means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetwell.requests.background import frame_side, learn_ordinary, word_side
from forgetwell.requests.features import mark
from forgetwell.requests.kept_texts import keeping_texts
from forgetwell.requests.screening import Evidence, trained
from forgetwell.requests.screens.earlier_turns import shared_turns, turn_features
from forgetwell.requests.screens.inflation import inflated
from forgetwell.requests.screens.templates import mined
from forgetwell.requests.sentences import readings
from forgetwell.requests.weighing import Hit, feature_name
from forgetwell.types import Request

_SHOWN = 10
_DOUBTFUL = 0.1


@dataclass(frozen=True, slots=True)
class Tie:
    """A phrase or frame that the request would tie to forgetting.

    Attributes:
        phrase: In words.
        rows: Rows of the request that carry it.
        share: Their share s, by weight.
        ordinary: Ordinary prompts that carry it, K.
        prompts: Number of ordinary prompts, N.
        exposure: Share e of ordinary prompts expected to carry it, (K + 1/2) / (N + 1).
        certainty: c = max(0, 1 − q / 0.1), q the adjusted p-value of its test.
        strength: c · s · (s − e) / (s + e), in [0, 1].
    """

    phrase: str
    rows: int
    share: float
    ordinary: int
    prompts: int
    exposure: float
    certainty: float
    strength: float


@dataclass(frozen=True, slots=True)
class Risk:
    """Expected harm, with its evidence.

    Attributes:
        score: Harm to be expected on a prompt that carries the worst phrase: its strength, in [0, 1].
        harm: Harm to be expected on an ordinary prompt, in [0, 1].
        ties: The phrases by strength, strongest first, at most 10.
    """

    score: float
    harm: float
    ties: tuple[Tie, ...]


@keeping_texts()
def risk(request: Request, evidence: Evidence) -> Risk:
    """Return the harm to be expected on prompts about other things.

    An objective lowers answers where its signal is in the prompt. How far phrase w becomes that signal
    depends on how many forget steps carry it (s, its share of the rows by their weights; those of weight 0
    count nowhere) and how well it tells forget from other prompts: with equally many of both, P(forget | w) =
    s / (s + e), which is 1/2 if w says nothing; 2 P − 1 = (s − e)/(s + e). Weighed with the certainty that w
    is inflated at all, c = max(0, 1 − q / 0.1), so that chance doesn't count (q of `inflation`, `templates`,
    `earlier_turns`; at 0.1 a tenth is false):

        strength_w = c_w · s_w · (s_w − e_w) / (s_w + e_w)
        score = max_w strength_w        harm = mean over ordinary prompts x of max_{w in x} strength_w

    Within a prompt the strongest phrase counts, as an answer can be lost but once. The score says how bad it
    is for those who use the phrase, the harm how often that happens.

    Source: ours.
    """
    request = trained(request)
    hits = [*inflated(request, evidence), *mined(request, evidence), *shared_turns(request, evidence)]
    weights = [row.weight for row in request.rows]
    strength: dict[str, float] = {}
    for hit in hits:  # a plain text's opening may be tested twice: as a text's and as a sentence's
        strength[hit.test.feature] = max(_strength(hit, weights), strength.get(hit.test.feature, 0.0))
    ties = sorted((_tie(h, weights) for h in hits), key=lambda t: (-t.strength, t.phrase))
    shown = tuple(t for t in ties if t.strength > 0)[:_SHOWN]
    return Risk(max(strength.values(), default=0.0), _mean_harm(evidence, strength), shown)


def _strength(hit: Hit, weights: Sequence[float]) -> float:
    s, e = _share(hit, weights), hit.test.expected
    return _certainty(hit) * s * max(0.0, s - e) / (s + e)


def _share(hit: Hit, weights: Sequence[float]) -> float:
    carried = sum(weights[row] for row, _ in hit.places.values())
    return carried / sum(weights[unit.row] for unit in hit.reading.units)


def _certainty(hit: Hit) -> float:
    return max(0.0, 1 - hit.q_value / _DOUBTFUL)


def _tie(hit: Hit, weights: Sequence[float]) -> Tie:
    test = hit.test
    return Tie(
        feature_name(test.feature), test.rows, _share(hit, weights), test.ordinary, test.prompts,
        test.expected, _certainty(hit), _strength(hit, weights),
    )  # fmt: skip


def _mean_harm(evidence: Evidence, strength: Mapping[str, float]) -> float:
    tied = {f: v for f, v in strength.items() if v > 0}
    rows = evidence.background
    if not tied or not rows:
        return 0.0
    harms: list[float] = []
    for reading in readings(rows):
        rarity = evidence.learned(learn_ordinary, reading.form).rarity
        for unit in reading.units:
            marked = mark(unit.text)
            turns = turn_features(rows[unit.row])
            carried = [*word_side(marked, rarity), *frame_side(marked, rarity), *turns]
            harms.append(max((tied[f] for f in carried if f in tied), default=0.0))
    return sum(harms) / len(harms)
