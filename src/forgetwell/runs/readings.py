"""What a rule of a policy reads of the evaluations before and after: values of rows, by set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, NamedTuple

from forgetwell.metrics.statistics import FEWEST, Sample, request_units
from forgetwell.runs.evidence import Evaluation, Measured
from forgetwell.runs.policy import Rule
from forgetwell.suites.types import is_to_forget

Span = Literal["run", "sum"]


class _Cell(NamedTuple):
    """What a rule reads of one row: its unit, its value and what was asked ("" = not known)."""

    cluster: str
    value: float
    asked: str


_Values = dict[str, _Cell]  # by row


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
            lost = {
                k: r._replace(value=sign * (early[k].value - r.value)) for k, r in rows.items() if k in early
            }
            samples += [self._sample(name, lost)] if lost else []
        return samples

    @property
    def had(self) -> float:
        """What the measure was before, as a mean over its sets."""
        return fmean(fmean(r.value for r in rows.values()) for rows in self.early.values() if rows)

    @property
    def worst_subject(self) -> float | None:
        """The mean of the worst of a few subjects to forget: one still told isn't outweighed by others.

        None where a rule is about something else, there is but one, or so many that intervals draw subjects.
        """
        found: list[float] = []
        for name, rows in self.late.items() if self.rule.of == "after" else ():
            if self._to_forget(name):
                subjects: dict[str, list[float]] = {}
                for row in rows.values():
                    subjects.setdefault(row.cluster, []).append(row.value)
                few = 1 < len(subjects) < FEWEST
                found += [fmean(values) for values in subjects.values()] if few else []
        if not found:
            return None
        return max(found) if self.rule.end == "upper" else min(found)

    @property
    def to_forget(self) -> bool:
        """Whether it reads rows to forget."""
        return any(self._to_forget(name) for name in self.late)

    def apart(self, span: Span) -> str:
        """Say where two evaluations didn't ask the same: what one leaves out can't be seen to be damaged.

        The same are rows of one id with one question, behind the same turns, for one right answer, and
        answers cut at one length.

        Over a sum of requests rows may differ, as whoever is forgotten leaves the rows to keep, but not sets.
        """
        early, late = ({s: set(rows) for s, rows in sets.items() if rows} for sets in (self.early, self.late))
        if sets := early.keys() ^ late.keys():
            return f"{', '.join(sorted(sets))}: measured in one of the two evaluations alone"
        rows, measure = sum(len(early[s] ^ late[s]) for s in early), self.rule.measure
        if rows and span == "run":
            return f"{rows} rows of {measure} are in one of the two evaluations alone; ask both the same"
        return self._asked_otherwise()

    def _asked_otherwise(self) -> str:
        """Say where rows of the same ids are other questions, or answers were cut at another length."""
        if self.before is None:
            return ""
        cuts = [e.max_new_tokens for e in (self.before, self.after)]
        if all(cuts) and cuts[0] != cuts[1]:
            return f"answers were cut at {cuts[0]} tokens before and at {cuts[1]} after; ask both the same"
        pairs = [
            (old, rows[k])
            for s, rows in self.late.items()
            for k, old in self.early.get(s, {}).items()
            if k in rows
        ]
        other = sum(bool(old.asked and new.asked) and old.asked != new.asked for old, new in pairs)
        if other:
            what = f"{other} of {len(pairs)} rows of {self.rule.measure} were asked in other words"
            return f"{what}, behind other turns or for another answer before than after; ask both the same"
        return ""

    def _sample(self, name: str, rows: _Values) -> Sample:
        """Return a set's values, each with its unit and its question: its key without a wording's number."""
        questions, clusters = [key.partition("#")[0] for key in rows], [r.cluster for r in rows.values()]
        if self._to_forget(name):
            clusters = list(request_units(clusters, questions))
        return Sample([r.value for r in rows.values()], clusters, questions)

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
    return {k: _Cell(m.cluster, m.metrics[metric], m.asked) for k, m in rows.items() if metric in m.metrics}


def _gaps(clean: _Values, trigger: _Values) -> _Values:
    """Return clean - trigger of each trigger row whose clean row has a value."""
    gaps: _Values = {}
    for key, cell in trigger.items():
        base = clean.get(key.rpartition("#")[0])
        if base is not None:
            asked = f"{base.asked} {cell.asked}" if base.asked and cell.asked else ""
            gaps[key] = _Cell(cell.cluster, base.value - cell.value, asked)
    return gaps
