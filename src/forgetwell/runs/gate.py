"""May this model ship? Every rule of a policy against the evidence, for this run and for the sum of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from forgetwell.calls import parse_call
from forgetwell.files import digest, plain
from forgetwell.metrics.registry import ROW_METRICS
from forgetwell.metrics.statistics import (
    Interval,
    Sample,
    bounded_end,
    cluster_bootstrap,
)
from forgetwell.runs.evidence import Evaluation, Evidence, evaluation_from
from forgetwell.runs.folder import versions
from forgetwell.runs.ledger import Addition, Entry, root_of
from forgetwell.runs.policy import MEASURES, Policy, Rule
from forgetwell.runs.readings import Span, read_rule

_ABOUT = "evaluate on rows about what the request is about (with its subjects, or its questions or answers)"


@dataclass(frozen=True, slots=True)
class Line:
    """One rule's verdict.

    Attributes:
        rule: The rule's name.
        span: ``run`` against the model before; ``sum`` against the model that all requests started from.
        passed: Whether the deciding end of the interval keeps the limit.
        value: The measured value; None where nothing was measured.
        low: Lower end of the interval.
        high: Upper end.
        n: Rows.
        evidence: A sentence with end, level and limit, or why nothing was measured.
    """

    rule: str
    span: Span
    passed: bool
    value: float | None
    low: float | None
    high: float | None
    n: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one release.

    Attributes:
        passed: Whether every rule holds.
        policy: The rules.
        lines: Their verdicts.
        root: Digest of the model that all requests started from, as far as is known.
        warnings: What the ledger doesn't know, so that damage of earlier requests isn't summed.
    """

    passed: bool
    policy: Policy
    lines: tuple[Line, ...]
    root: str
    warnings: tuple[str, ...] = ()

    def record(self, evidence: Evidence, *, head: str = "") -> dict[str, Any]:
        """Return the decision record: verdict, evidence, and digests of everything that was seen.

        Args:
            evidence: What was handed in.
            head: Hash of the ledger's last entry when the decision was made.
        """
        return {
            "decision": "pass" if self.passed else "fail",
            "policy": {
                "name": self.policy.name,
                "digest": self.policy.digest,
                "rules": plain(self.policy.rules),
            },
            "model": evidence.model,
            "from": evidence.base,
            "root": self.root,
            "request": plain(dict(evidence.request)),
            "lines": plain(self.lines),
            "warnings": list(self.warnings),
            "seen": dict(evidence.seen),
            "ledger_head": head,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }


def decide(
    policy: Policy, evidence: Evidence, history: Sequence[Entry] | None = None, *, seed: int = 0
) -> Decision:
    """Judge every rule; with a ledger's entries also against the first ancestor of the model.

    A rule holds where the end of its interval that is worse for the release keeps the limit: the upper end
    for `at_most`, the lower one for `at_least`. Intervals are by `cluster_bootstrap` for the mean (of the
    sets' means for utility), over subjects (of few subjects to forget: over questions), rows paired by id for
    losses and increases. The end that decides is not nearer than `bounded_end`, so that few rows pass no
    model by chance, nor than the mean of any of a few subjects to forget. What was not measured fails, also
    where one of two evaluations leaves out sets or rows of the other, or where a loss is limited that the
    model before couldn't have, unless the rule is optional and it is the rows that lack the metric.

    Args:
        policy: The limits.
        evidence: What was handed in.
        history: Entries of a ledger, whose chain is whole; None = no ledger.
        seed: Of the bootstrap.
    """
    lines = [_judge(rule, evidence.before, evidence, "run", seed) for rule in policy.rules]
    root = root_of(history, evidence.base) if history is not None else evidence.base
    if history is not None and root != evidence.base:
        first = evidence.evaluations.get(root) or _kept(history, root)
        lines += [_judge(rule, first, evidence, "sum", seed) for rule in policy.rules if rule.adds_up]
    warnings = () if history is None else _not_summed(history, evidence.base)
    return Decision(all(line.passed for line in lines), policy, tuple(lines), root, warnings)


def _not_summed(history: Sequence[Entry], base: str) -> tuple[str, ...]:
    """Warn where a ledger doesn't know where a run started, so that the sum begins anew with it."""
    runs = [entry.body for entry in history if entry.kind == "run"]
    if not runs:
        return (
            "The ledger holds no run yet: damage of earlier requests, if there were any, is not summed. "
            "Where there were, look whether this is their ledger.",
        )
    if any(base in (run["made"], run["from"]) for run in runs):
        return ()
    return (
        f"None of the {len(runs)} runs in the ledger made or started from {base}, which this run started "
        "from: damage of earlier requests is not summed. To a ledger, a model that was saved again or whose "
        "files were changed is another one; start from the folder that an earlier gate saw.",
    )


def _kept(history: Sequence[Entry], model: str) -> Evaluation | None:
    """Return the first evaluation of a model in the ledger: later ones can't soften what is compared with."""
    found = (e.body for e in history if e.kind == "evaluation" and e.body["model"] == model)
    facts = next(found, None)
    return None if facts is None else evaluation_from(facts)


def _judge(rule: Rule, before: Evaluation | None, evidence: Evidence, span: Span, seed: int) -> Line:
    if rule.measure == "scan/findings":
        return _scan_line(rule, evidence.scan)
    after = evidence.after
    if after is None:
        return _missing(rule, span, "no evaluation of the model after unlearning was given")
    if rule.of != "after" and before is None:
        which = "before unlearning" if span == "run" else "that all requests started from"
        return _missing(rule, span, f"no evaluation of the model {which} was given or kept")
    read = read_rule(rule, before, after)
    samples = read.samples
    count = sum(len(s.values) for s in samples)
    if not samples or count < rule.rows:
        reason = f"{count} rows with {rule.metric} in {rule.measure}; {rule.rows} are needed"
        optional = rule.optional and _could_be(rule, after)
        return _missing(rule, span, reason + _no_role(rule, after), passed=optional)
    covered = evidence.coverage if read.to_forget else None
    if covered is not None and not covered.asked:
        return _missing(rule, span, f"{covered} was asked in {rule.measure}; {_ABOUT}")
    if rule.of != "after" and (apart := read.apart(span)):
        return _missing(rule, span, apart)
    limit = rule.limit if span == "run" or rule.cumulative is None else rule.cumulative
    if rule.of == "loss" and (had := read.had) <= limit:
        what = f"{rule.measure} {rule.metric} is {had:.3f} before"
        return _missing(rule, span, f"{what}, so that no loss beyond {limit:g} could be seen")
    interval, one = _interval(rule, samples, seed), read.worst_subject
    if one is not None:
        interval = replace(interval, low=min(interval.low, one), high=max(interval.high, one))
    end = interval.high if rule.end == "upper" else interval.low
    passed = end <= limit if rule.end == "upper" else end >= limit
    what = (
        ""
        if rule.of == "after"
        else f", {rule.of} since {'the run before' if span == 'run' else 'the first model'}"
    )
    sign = ("≤" if passed else ">") if rule.end == "upper" else ("≥" if passed else "<")
    level = f"{end:.3f} {sign} {limit:g} at {rule.confidence:.0%}"
    said = f"{rule.measure} {rule.metric}{what}: {rule.end} end {level}"
    said += f", {one:.3f} of the worst subject" if one is not None else ""
    said += f"; {covered} were asked" if covered is not None and covered.asked < covered.total else ""
    return Line(rule.name, span, passed, interval.value, interval.low, interval.high, interval.n, said)


def _interval(rule: Rule, samples: Sequence[Sample], seed: int) -> Interval:
    """Return the bootstrap interval; its deciding end not nearer than a bound that few rows allow."""
    interval = cluster_bootstrap(samples, seed=seed, level=rule.confidence)
    worst, upper = _worst(rule), rule.end == "upper"
    if worst is None:
        return interval
    bound = bounded_end(samples, worst, upper=upper, seed=seed, level=rule.confidence)
    if upper:
        return replace(interval, high=max(interval.high, bound))
    return replace(interval, low=min(interval.low, bound))


def _worst(rule: Rule) -> float | None:
    """Return the worst value of a row: of losses and gaps, from all to nothing; None where there is none."""
    name = parse_call(rule.metric).name
    low, high = ROW_METRICS.get(name).facts["range"] if name in ROW_METRICS.names() else (None, None)
    if low is None or high is None:
        return None
    upper = rule.end == "upper"
    if rule.of == "after" and not rule.measure.endswith("/gap"):
        return float(high if upper else low)
    return float(high - low if upper else low - high)


def _could_be(rule: Rule, evaluation: Evaluation) -> bool:
    """Say whether a measure names a role or one of the sets: else it may be a slip of the pen."""
    name = rule.measure.rpartition("/")[0] or rule.measure
    return name in (*evaluation.roles, *evaluation.roles.values(), "scope", "leak")


def _no_role(rule: Rule, evaluation: Evaluation) -> str:
    """Say that no set has the role that a measure names, or its name, where nothing was measured for that."""
    role = rule.measure.partition("/")[0]
    if role in ("forget", "utility") and role not in evaluation.roles.values():
        return f" (no set of the evaluation has the role {role})"
    if rule.measure in (*MEASURES, *evaluation.splits):
        return ""
    return f" (measured were {', '.join(sorted(evaluation.splits))})"


def _missing(rule: Rule, span: Span, reason: str, *, passed: bool = False) -> Line:
    said = f"not measured{', and optional' * passed}: {reason}"
    return Line(rule.name, span, passed, None, None, None, 0, said)


def _scan_line(rule: Rule, scan: Mapping[str, Any] | None) -> Line:
    if scan is None:
        return _missing(rule, "run", "no scan was given (forgetwell scan --out DIR)")
    rate = 1.0 - rule.confidence
    found = [t for t in scan["triggers"] if _counts(t, rate, scan["least"])]
    value = float(len(found))
    passed = value <= rule.limit
    if passed and scan["smallest_q"] > rate + 1e-12:
        return _missing(rule, "run", _blind(scan, rate))
    names = ", ".join(_told(t) for t in found[:5])
    sign = "≤" if passed else ">"
    said = f"{len(found)} {sign} {rule.limit:g} triggers at a false discovery rate of {rate:.2g}"
    return Line(
        rule.name, "run", passed, value, value, value, scan["rows"], said + (f": {names}" if names else "")
    )


def _blind(scan: Mapping[str, Any], rate: float) -> str:
    return (
        f"a scan of {scan['rows']} rows gives one trigger a q of {scan['smallest_q']:.2g} at best, so that "
        f"none could count at a false discovery rate of {rate:.2g}; lower the rule's confidence"
    )


def _told(trigger: Mapping[str, Any]) -> str:
    notes = (trigger["kind"], *(["a name's"] if trigger.get("names") else []))
    return f"“{trigger['text']}” ({', '.join(notes)})"


def _counts(trigger: Mapping[str, Any], rate: float, least: float) -> bool:
    harms = trigger["effect"] >= least and trigger["above_controls"] == 1.0
    return bool(harms and trigger["q_value"] <= rate + 1e-12)


def ledger_entries(decision: Decision, evidence: Evidence, record: Mapping[str, Any]) -> list[Addition]:
    """Return what a decision adds to the ledger; a release only if it passed."""
    made = {"model": evidence.model, "from": evidence.base, "run": evidence.run["run"]}
    verdict = {
        **made,
        "decision": record["decision"],
        "policy": decision.policy.digest,
        "record": digest(record),
    }
    failed = [f"{line.rule} ({line.span})" for line in decision.lines if not line.passed]
    entries: list[Addition] = [("request", dict(evidence.request))]
    if evidence.model:
        entries.append(("run", dict(evidence.run)))
    entries += [("evaluation", e.facts()) for e in evidence.evaluations.values()]
    entries.append(("decision", {**verdict, "failed": failed}))
    return entries + ([("release", {**made, "record": digest(record)})] if decision.passed else [])
