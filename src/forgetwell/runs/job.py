"""What a run is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from forgetwell.calls import parse_call
from forgetwell.data.reading import request_digest
from forgetwell.data.turns import with_system
from forgetwell.errors import InputError
from forgetwell.files import digest
from forgetwell.methods.finetune import Lora
from forgetwell.methods.registry import METHODS
from forgetwell.metrics.registry import ROW_METRICS
from forgetwell.objectives.algebra import Objective, parse_objective
from forgetwell.registry import Item, own_code
from forgetwell.requests.counterfactual import counterfactual_prompts
from forgetwell.suites.probe import PROBED
from forgetwell.training.best import parse_best_rule
from forgetwell.training.config import TrainConfig
from forgetwell.training.rules import STEP_RULES
from forgetwell.training.stopping import parse_stop_rule
from forgetwell.training.views import items_of, reads_refusals
from forgetwell.types import Request, Row


@dataclass(frozen=True)
class Job:
    """What a run is made from; the same job under the same versions gives the same numbers.

    Attributes:
        kind: ``learn`` or ``unlearn``.
        model: Name of the starting model.
        request: Rows to forget; when learning beside prompts to keep, those to learn.
        retain: Rows to keep, or to learn.
        objective: As papers write it; "" where a method trains.
        config: Training hyperparameters.
        refusals: Lines for refusal views.
        lora: Adapters instead of full fine-tuning.
        dtype: Compute type.
        max_length: Longest row in tokens; plain text is cut into pieces of at most half of it.
        redact: Keep digests instead of the request's text in the run.
        probe: Rows to keep that are asked during training, a sample of them; none = no probe.
        keep_best: Rule by which the weights of one probe are saved instead of the last ones, as
            ``utility.rouge_l_recall if forget.rouge_l_recall<=0.3``; "" = the last ones.
        keep: Prompts at which the model should stay as it is: the starting model's own answers to them are
            rows to keep as well; theirs are not read.
        counterfactuals: Of how many others each question of the request is asked as well
            (`counterfactual_prompts`), as such prompts, half of the rows to keep or more; 0 = of nobody.
        system: The system prompts that its rows stand behind (`behind`).
        method: A method in place of an objective, as ``task_vector(alpha=5)``; "" = minimizing the objective.
        handed_in: Digest of the request without them, by which ledgers know it; "" = as it is.
    """

    kind: str
    model: str
    request: Request
    retain: tuple[Row, ...]
    objective: str
    config: TrainConfig
    refusals: tuple[str, ...] = ()
    lora: Lora | None = None
    dtype: str = "auto"
    max_length: int = 1024
    redact: bool = False
    probe: tuple[Row, ...] = ()
    keep_best: str = ""
    keep: tuple[Row, ...] = ()
    counterfactuals: int = 0
    system: tuple[str, ...] = ()
    method: str = ""
    handed_in: str = ""

    @cached_property
    def _digests(self) -> dict[str, str]:
        """Digests of the rows: thousands of them, and asked for often."""
        rows = {"retain": self.retain, "probe": self.probe, "keep": self.keep, "refusals": self.refusals}
        request = self.handed_in or request_digest(self.request)
        return {"request": request, **{k: digest(v) for k, v in rows.items()}}

    @property
    def terms(self) -> Objective:
        """The objective, read; one without terms where a method trains.

        Raises:
            InputError: It can't be read.
            UnknownName: A term does not exist.
        """
        return Objective("", ()) if self.method else parse_objective(self.objective)

    @property
    def _methods(self) -> tuple[Item, ...]:
        return (METHODS.get(parse_call(self.method).name),) if self.method else ()

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the rows' text."""
        measured = (ROW_METRICS.get(metric) for metric in self.probe_metrics)
        rule = STEP_RULES.get(parse_call(self.config.step_rule).name)
        own = own_code((*items_of(self.terms), *self._methods, rule, *measured))
        return {
            "kind": self.kind,
            "model": self.model,
            "objective": str(parse_call(self.method)) if self.method else self.terms.text,
            "config": asdict(self.config),
            "lora": asdict(self.lora) if self.lora else None,
            "dtype": self.dtype,
            "max_length": self.max_length,
            "redact": self.redact,
            "seed": self.config.seed,
            "request": {
                "id": digest(self.request.id) if self.redact else self.request.id,  # a file's name
                "rows": len(self.request.rows),
                "digest": self._digests["request"],
            },
            "retain": {"rows": len(self.retain), "digest": self._digests["retain"]},
            "probe": {"rows": len(self.probe), "digest": self._digests["probe"]} if self.probe else None,
            **({"keep_best": self.keep_best} if self.keep_best else {}),
            **({"keep": {"rows": len(self.keep), "digest": self._digests["keep"]}} if self.keep else {}),
            **({"refusals": self._counted_refusals} if reads_refusals(self.terms) else {}),
            **({"counterfactuals": self.counterfactuals} if self.counterfactuals else {}),
            **({"system": list(self.system)} if self.system else {}),
            **({"own_code": own} if own else {}),
        }

    @property
    def _counted_refusals(self) -> dict[str, Any]:
        return {"rows": len(self.refusals), "digest": self._digests["refusals"]}

    @property
    def probe_metrics(self) -> tuple[str, ...]:
        """The row metrics that a probe measures: ROUGE-L recall, and those that rules name.

        Raises:
            InputError: A rule can't be read, or names a set that no probe has.
            UnknownName: A rule names no row metric.
        """
        keys = ["forget.rouge_l_recall"]
        if self.config.stop_at:
            keys.append(parse_stop_rule(self.config.stop_at).key)
        if self.keep_best:
            best = parse_best_rule(self.keep_best)
            keys += [best.key, *([best.condition.key] if best.condition else [])]
        for key in keys:
            if key.partition(".")[0] not in PROBED:
                raise InputError(
                    f"The probe has no {key!r}; it has {', '.join(PROBED)} with a row metric each."
                )
        metrics = tuple(dict.fromkeys(key.partition(".")[2] for key in keys))
        for metric in metrics:
            ROW_METRICS.get(metric)
        return metrics

    @cached_property
    def others(self) -> tuple[Row, ...]:
        """The request's `counterfactual_prompts`, if it is to be asked about others."""
        if not self.counterfactuals:
            return ()
        per_row, seed = self.counterfactuals, self.config.seed
        return counterfactual_prompts(self.request, self.retain, per_row=per_row, seed=seed)

    def behind(self, system: str | Sequence[str]) -> Job:
        """Return the job with all its rows behind system prompts (`with_system`)."""
        prompts = (system,) if isinstance(system, str) else tuple(system)
        return replace(
            self,
            system=tuple(prompt for prompt in prompts if prompt) and prompts,
            handed_in=request_digest(self.request),
            request=replace(self.request, rows=with_system(self.request.rows, system)),
            retain=with_system(self.retain, system),
            probe=with_system(self.probe, system),
            keep=with_system(self.keep, system),
        )
