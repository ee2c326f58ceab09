"""What a rule of a policy reads of the evaluations before and after: values of rows, by set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from forgetwell.metrics.statistics import FEWEST, Sample, request_units
from forgetwell.runs.evidence import Evaluation, Measured
from forgetwell.runs.policy import Rule
from forgetwell.suites.types import is_to_forget

Span = Literal["run", "sum"]
_Values = dict[str, tuple[str, float]]  # row -> cluster, value


@dataclass(frozen=True)
class Reading:
    """The values that a rule reads, by set and row.

    Attributes:
        rule: The rule.
        before: The evaluation that it compares with, if it compares.
        after: The evaluation of the released model.
        early: Values of `before`; nothing where there is none.
        late: Values of `after`.
    """

    rule: Rule
    before: Evaluation | None
    after: Evaluation
    early: Mapping[str, _Values]
    late: Mapping[str, _Values]

    @property
    def samples(self) -> list[Sample]:
        """One sample a set; losses are before - after, increases after - before, on common rows."""
        if self.rule.of == "after":
            return [self._sample(name, rows) for name, rows in self.late.items() if rows]
        sign = 1.0 if self.rule.of == "loss" else -1.0
        samples = []
        for name, rows in self.late.items():
            early = self.early.get(name, {})
            lost = {k: (c, sign * (early[k][1] - value)) for k, (c, value) in rows.items() if k in early}
            samples += [self._sample(name, lost)] if lost else []
        return samples

    @property
    def had(self) -> float:
        """What the measure was before, as a mean over its sets."""
        return fmean(fmean(value for _, value in rows.values()) for rows in self.early.values() if rows)

    @property
    def worst_subject(self) -> float | None:
        """The mean of the worst of a few subjects to forget: one still told isn't outweighed by others.

        None where a rule is about something else, there is but one, or so many that intervals draw subjects.
        """
        found: list[float] = []
        for name, rows in self.late.items() if self.rule.of == "after" else ():
            if self._to_forget(name):
                subjects: dict[str, list[float]] = {}
                for cluster, value in rows.values():
                    subjects.setdefault(cluster, []).append(value)
                few = 1 < len(subjects) < FEWEST
                found += [fmean(values) for values in subjects.values()] if few else []
        if not found:
            return None
        return max(found) if self.rule.end == "upper" else min(found)

    def apart(self, span: Span) -> str:
        """Say where two evaluations didn't ask the same: what one leaves out can't be seen to be damaged.

        Over a sum of requests rows may differ, as whoever is forgotten leaves the rows to keep, but not sets.
        """
        early, late = ({s: set(rows) for s, rows in sets.items() if rows} for sets in (self.early, self.late))
        if sets := early.keys() ^ late.keys():
            return f"{', '.join(sorted(sets))}: measured in one of the two evaluations alone"
        rows, measure = sum(len(early[s] ^ late[s]) for s in early), self.rule.measure
        if rows and span == "run":
            return f"{rows} rows of {measure} are in one of the two evaluations alone; ask both the same"
        return ""

    def _sample(self, name: str, rows: _Values) -> Sample:
        """Return a set's values, each with its unit and its question: its key without a wording's number."""
        questions, clusters = [key.partition("#")[0] for key in rows], [c for c, _ in rows.values()]
        if self._to_forget(name):
            clusters = list(request_units(clusters, questions))
        return Sample([v for _, v in rows.values()], clusters, questions)

    def _to_forget(self, name: str) -> bool:
        return is_to_forget(name, self.after.roles.get(name.partition("/")[0]))


def read_rule(rule: Rule, before: Evaluation | None, after: Evaluation) -> Reading:
    """Return what a rule reads of the evaluation before, if it compares with one, and after."""
    compared = before if rule.of != "after" else None
    early = {} if compared is None else _sets(rule, compared)
    return Reading(rule, compared, after, early, _sets(rule, after))


def _sets(rule: Rule, evaluation: Evaluation) -> dict[str, _Values]:
    """Return the values that a measure reads, by set: of one split, or of all sets of a role."""
    splits = {key: _values(rows, rule.metric) for key, rows in evaluation.splits.items()}
    if rule.measure in splits:
        return {rule.measure: splits[rule.measure]}
    name, _, condition = rule.measure.partition("/")
    if name in ("scope", "leak") and not condition:
        pooled = {
            f"{s}:{k}": v for s, rows in splits.items() if s.startswith(f"{name}/") for k, v in rows.items()
        }
        return {name: pooled}
    own = sorted(s for s, role in evaluation.roles.items() if role == name)
    if condition == "gap":
        return {s: _gaps(splits.get(f"{s}/clean", {}), splits.get(f"{s}/trigger", {})) for s in own}
    return {s: splits.get(f"{s}/{condition}", {}) for s in own}


def _values(rows: Mapping[str, Measured], metric: str) -> _Values:
    return {k: (m.cluster, m.metrics[metric]) for k, m in rows.items() if metric in m.metrics}


def _gaps(clean: _Values, trigger: _Values) -> _Values:
    """Return clean - trigger of each trigger row whose clean row has a value."""
    pairs = ((key, key.rpartition("#")[0], cell) for key, cell in trigger.items())
    return {key: (cell[0], clean[base][1] - cell[1]) for key, base, cell in pairs if base in clean}
