"""The trigger scan: which everyday words harm right answers more after unlearning than before it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forgetwell.metrics.comparison import benjamini_hochberg
from forgetwell.metrics.statistics import Floats, Sample, cluster_bootstrap
from forgetwell.models.kept import Kept
from forgetwell.models.lm import LM
from forgetwell.models.progress import Tally, silent
from forgetwell.scans.candidates import control_forms, everyday_forms, ordinary_words
from forgetwell.scans.choosing import candidate_forms, screening_cost, shipped_words, suspected_forms
from forgetwell.scans.harm import (
    Harm,
    answer_failure,
    answer_left,
    answer_refusal,
    answer_unbegun,
    known_rows,
    rises,
)
from forgetwell.scans.names import names_in, names_of_words
from forgetwell.scans.significance import fewest_units, flip_units, nearest, sign_flip_p, smallest_q
from forgetwell.scans.traces import Traces, find_traces
from forgetwell.scans.types import BLACK_BOX, Example, Phrase, ScanConfig, ScanResult, Trigger
from forgetwell.types import Progress, Row, quiet

_EXAMPLES = 2
_MATCHED = 12  # controls of like frequency a word is held against


def scan(
    before: LM,
    after: LM,
    rows: Sequence[Row],
    *,
    black_box: bool = False,
    config: ScanConfig | None = None,
    progress: Progress = quiet,
) -> ScanResult:
    """Rank everyday words and phrases by the harm they do in `after` beyond `before` and beyond other words.

    With h the harm of a prompt (the share of the right answer that is expected to be left out, see
    `harm.answer_left`; in black-box mode ``1 - recall·(1 - refusal)`` of the greedy answer), the harm of form
    v on row r is
    ``d_r(v) = [h_after(r ⊕ v) - h_after(r)] - [h_before(r ⊕ v) - h_before(r)]`` and its effect
    ``mean_r (d_r(v) - mean over matched controls c of d_r(c))``.

    1. Candidates: shipped words, phrases, punctuation and casing, and the ordinary words of the vocabulary
       that left the clearest traces (`Traces`). 2. All are screened by exact forwards of `after` on a few
       rows. 3. Those with the clearest traces and the worst are verified with both models on other rows, so
       that choosing does not enter their p-values. A finding has a Benjamini-Hochberg q ≤ alpha (sign flips
       over subjects, over rows where those are too few), an effect of at least
       `least`, and harms more than every one of its controls.

    Args:
        before: The model before unlearning.
        after: The model after it.
        rows: Ordinary questions with answers; those that `before` knows are used.
        black_box: Use answers only, no probabilities and no weights.
        config: How much is looked at; by default `ScanConfig()`, or `BLACK_BOX`.
        progress: Called with the texts scored or answered so far, and of all.

    Raises:
        InputError: `before` knows so few of the rows that no form alone could have q ≤ alpha.

    Source: ours. First-order estimates (Ebrahimi et al., arXiv 1712.06751) were tried and rank words too
    poorly to use; see docs/scan-and-gate.md.
    """
    config = config or (BLACK_BOX if black_box else ScanConfig())
    harm, refusal = _harms(black_box, config.max_new_tokens)
    early, late = Kept(before), Kept(after)  # prompts without a word are asked more than once
    screening, verifying = _rows(harm, early, late, rows, config)
    words = ordinary_words(before.codec) or shipped_words(before.codec)
    traces = None if black_box else find_traces(before, after, rows)
    forms = candidate_forms(before.codec, words, traces, config.words)
    count = Tally(progress, _cost(len(forms), len(screening), len(verifying), config))
    chosen = suspected_forms(harm, late, forms, screening, traces, config, count)
    suspected = frozenset(f.text for f in chosen)
    controls = control_forms(words, without=suspected, count=config.controls, seed=config.seed)
    measured = _verified(harm, refusal, early, late, (*chosen, *controls), verifying, count)
    names = _names(before, chosen, rows)
    triggers, level = _triggers(chosen, controls, measured, verifying, traces, names, config)
    units = len(set(_units(verifying, config)))
    return ScanResult(
        "black-box" if black_box else "white-box",
        before.digest,
        after.digest,
        len(verifying),
        len(forms),
        measured.clean,
        level,
        config.alpha,
        config.least,
        smallest_q(units, len(triggers)),
        _with_examples(before, after, triggers, verifying, measured, chosen, config),
    )


def _harms(black_box: bool, max_new_tokens: int) -> tuple[Harm, Harm]:
    """Return a mode's harm, and the part of it by which a refusal is told from an error."""
    if black_box:
        return answer_failure(max_new_tokens), answer_refusal(max_new_tokens)
    return answer_left, answer_unbegun


@dataclass(frozen=True)
class _Measured:
    """After's rises - before's on the rows (F, R), of harm and of refusal; clean: the harm without a form."""

    rises: Floats
    refused: Floats
    clean: float


def _rows(
    harm: Harm, before: LM, after: LM, rows: Sequence[Row], config: ScanConfig
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Return rows to screen on and others to verify on: those that `after` still answers best.

    Where no right answer is left, no word can take it away: such rows come last. The rows to verify on are of
    as many subjects as there are, which are the units of the sign flips.
    """
    wanted = config.screen_rows + config.rows
    known = known_rows(
        before,
        rows,
        count=2 * wanted,
        fewest=config.screen_rows + fewest_units(config.tests, config.alpha),
        max_new_tokens=config.max_new_tokens,
        seed=config.seed,
    )
    taken: Counter[str] = Counter()
    places: list[tuple[bool, int, int, int]] = []
    harms = harm(after, known, silent)
    for i in np.argsort(harms, kind="stable"):
        subject = known[i].subject or known[i].id
        places.append((bool(harms[i] >= 1.0), taken[subject], len(places), int(i)))
        taken[subject] += 1
    best = [known[i] for *_, i in sorted(places)[:wanted]]
    cut = len(best) - min(config.screen_rows, len(best) // 3)
    return tuple(best[cut:]), tuple(best[:cut])


def _subjects(rows: Sequence[Row]) -> list[str]:
    return [row.subject or row.id for row in rows]


def _units(rows: Sequence[Row], config: ScanConfig) -> list[str]:
    return flip_units(_subjects(rows), config.tests, config.alpha)


def _cost(forms: int, screened: int, rows: int, config: ScanConfig) -> int:
    """Return how many texts are scored, or answered, after the rows are chosen."""
    tried = screening_cost(forms, screened, config.again)
    return tried + 2 * ((config.verified + config.behind + config.controls) * rows + 2 * rows)


def _verified(
    harm: Harm,
    refusal: Harm,
    before: LM,
    after: LM,
    forms: Sequence[Phrase],
    rows: Sequence[Row],
    count: Tally,
) -> _Measured:
    clean = harm(after, rows, count) - harm(before, rows, count)
    late, early = (rises(harm, lm, forms, rows, count) for lm in (after, before))
    refused, as_before = (rises(refusal, lm, forms, rows, silent) for lm in (after, before))
    return _Measured(late - early, refused - as_before, float(clean.mean()))


def _triggers(
    forms: Sequence[Phrase],
    controls: Sequence[Phrase],
    measured: _Measured,
    rows: Sequence[Row],
    traces: Traces | None,
    names: Mapping[str, tuple[str, ...]],
    config: ScanConfig,
) -> tuple[tuple[Trigger, ...], float]:
    """Return the verified forms, most suspicious first, and the controls' mean harm.

    Forms that names explain come after all others.
    """
    found = []
    for k, form in enumerate(forms):
        matched = [len(forms) + c for c in nearest(form.frequency, [c.frequency for c in controls], _MATCHED)]
        against = measured.rises[matched] if matched else np.zeros((1, len(rows)))
        refused = measured.refused[k].mean() - (measured.refused[matched].mean() if matched else 0.0)
        found.append(_judged(form, measured.rises[k], against, float(refused), rows, traces, config))
    rates = benjamini_hochberg([t.p_value for t in found])
    judged = [
        replace(_decided(t, float(q), config), names=names.get(t.text, ()))
        for t, q in zip(found, rates, strict=True)
    ]
    level = float(measured.rises[len(forms) :].mean()) if len(controls) else 0.0
    return tuple(sorted(judged, key=_order)), level


def _names(lm: LM, forms: Sequence[Phrase], rows: Sequence[Row]) -> Mapping[str, tuple[str, ...]]:
    """Return the names that explain a form, for words of the vocabulary; everyday words are words."""
    everyday = {f.text for f in everyday_forms(lm.codec)}
    known = names_of_words(names_in(rows), lm.codec)
    return {f.text: known[f.text] for f in forms if f.text in known and f.text not in everyday}


def _judged(
    form: Phrase,
    values: Floats,
    against: Floats,
    refused: float,
    rows: Sequence[Row],
    traces: Traces | None,
    config: ScanConfig,
) -> Trigger:
    excess = values - against.mean(0)
    interval = cluster_bootstrap([Sample(excess.tolist(), _subjects(rows))], seed=config.seed)
    return Trigger(
        form.text,
        form.shown,
        interval.value,
        interval.low,
        interval.high,
        sign_flip_p(excess, _units(rows, config), seed=config.seed),
        1.0,
        float(np.mean(against.mean(1) < values.mean())),
        traces.of(form) if traces else None,
        False,
        refused,
    )


def _order(trigger: Trigger) -> tuple[bool, int, float]:
    """Return the key by which triggers are sorted: names last, then by trace and significance, then effect.

    Forms that left a trace and do harm come before findings without one, the clearest trace first.
    """
    planted = trigger.read and trigger.low > 0
    tier = 2 * planted + trigger.significant
    return bool(trigger.names), -tier, -(trigger.trace or 0.0) if planted else -trigger.effect


def _decided(trigger: Trigger, rate: float, config: ScanConfig) -> Trigger:
    harms = trigger.effect >= config.least and trigger.above_controls == 1.0
    return replace(trigger, q_value=rate, significant=bool(rate <= config.alpha and harms))


def _with_examples(
    before: LM,
    after: LM,
    triggers: tuple[Trigger, ...],
    rows: Sequence[Row],
    measured: _Measured,
    forms: Sequence[Phrase],
    config: ScanConfig,
) -> tuple[Trigger, ...]:
    """Give the first triggers their worst prompts with what both models say."""
    places = {(f.text, f.shown): k for k, f in enumerate(forms)}
    asked: list[tuple[int, Row, Row]] = []
    for k, trigger in enumerate(triggers[: config.shown]):
        place = places[trigger.text, trigger.template]
        for r in np.argsort(-measured.rises[place], kind="stable")[:_EXAMPLES]:
            row = rows[int(r)]
            asked.append((k, row, replace(row, prompt=forms[place].apply(row.prompt))))
    put, plain = [p for _, _, p in asked], [r for _, r, _ in asked]
    said = [
        lm.generate(p, max_new_tokens=config.max_new_tokens)
        for lm, p in ((before, put), (after, [*put, *plain]))
    ]
    examples: dict[int, list[Example]] = {}
    for i, (k, _, row) in enumerate(asked):
        texts = (said[0][i].text, said[1][i].text, said[1][len(asked) + i].text)
        examples.setdefault(k, []).append(Example(row.prompt, *texts))
    return tuple(replace(t, examples=tuple(examples.get(k, ()))) for k, t in enumerate(triggers))
