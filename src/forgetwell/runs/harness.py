"""Our models in lm-evaluation-harness, and its numbers in our tables.

Imported only where a task was asked for: lm-eval is the extra ``forgetwell[lm-eval]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lm_eval
from lm_eval.api import model as harness
from lm_eval.tasks import TaskManager

from forgetwell.data.encoding import Codec
from forgetwell.errors import InputError
from forgetwell.models.lm import LM
from forgetwell.types import Better, Result, Row

_Z = 1.959964  # half the width of a 95 % interval in standard errors
_LONGEST = 256  # tokens of an answer where a task says nothing, as in the harness


class HarnessLM(harness.LM):  # type: ignore[misc] # untyped
    """An `LM`, wrapped or not, behind the harness's interface; texts are raw, without a chat template.

    Prompt and continuation are tokenized apart, blanks at their border belong to the continuation, and
    prompts too long for the model lose their beginning. Models without a start token score a text from its
    second token on, where the harness's own models put the end token before it.
    """

    def __init__(self, lm: LM) -> None:
        super().__init__()
        self.lm = lm

    @property
    def tokenizer_name(self) -> str:
        """Name under which the harness caches requests."""
        return self.lm.name.replace("/", "__")

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return, for each (context, continuation), the summed log-probability and whether it is greedy."""
        rows = [_row(request.args[0], request.args[1], self.lm.codec) for request in requests]
        scored = self.lm.score(rows)
        return [(sum(s.logps), all(s.top1)) for s in scored]

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Return the summed log-probability of each text; every token counts once."""
        windows = [list(_windows(request.args[0], self.lm.codec)) for request in requests]
        scored = iter(self.lm.score([row for rows in windows for row in rows]))
        return [sum(sum(next(scored).logps) for _ in rows) for rows in windows]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Return each greedy answer up to its first stop sequence.

        Raises:
            InputError: A task asks for sampling.
        """
        said: dict[int, str] = {}
        lengths: dict[int, list[int]] = {}
        for k, request in enumerate(requests):
            lengths.setdefault(_longest(request.args[1]), []).append(k)
        for longest, places in lengths.items():
            room = max(1, self.lm.codec.max_length - longest)
            rows = [Row("r", _last(requests[k].args[0], room, self.lm.codec), "-", text=True) for k in places]
            answers = self.lm.generate(rows, max_new_tokens=longest)
            said |= {k: _until(a.text, requests[k].args[1]) for k, a in zip(places, answers, strict=True)}
        return [said[k] for k in range(len(requests))]


def harness_results(
    lm: LM,
    tasks: Sequence[str | Mapping[str, Any]],
    *,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[Result, ...]:
    """Run harness tasks on a model and return their metrics as results, split ``lm-eval/TASK``.

    Intervals are value ± 1.96 standard errors, as the harness gives them; metrics are called ``lm_eval_acc``
    and so on. Tasks fetch their data sets from the hub unless those are in its cache.

    Args:
        lm: The model.
        tasks: Names of tasks, or configurations as the harness reads them.
        limit: Documents of each task at most.
        seed: Of few-shot examples and bootstraps.

    Raises:
        InputError: There is no such task, or one asks for sampling.
    """
    # Reading the names of the harness's own tasks takes seconds; configurations need none of them.
    manager = TaskManager(include_defaults=any(isinstance(task, str) for task in tasks))
    try:
        found = lm_eval.simple_evaluate(
            model=HarnessLM(lm),
            tasks=list(tasks),
            task_manager=manager,
            limit=limit,
            bootstrap_iters=1000,
            random_seed=seed,
            numpy_random_seed=seed,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
            log_samples=False,
        )
    except (KeyError, ValueError) as error:
        raise InputError(f"lm-evaluation-harness refused {', '.join(map(str, tasks))}: {error}.") from error
    return tuple(_results(lm.name, found))


def _row(context: str, continuation: str, codec: Codec) -> Row:
    blanks = len(context) - len(context.rstrip())
    if blanks:
        context, continuation = context[:-blanks], context[-blanks:] + continuation
    room = codec.max_length - codec.count(continuation) - 1  # 1 for a start token
    return Row("r", _last(context, room, codec), continuation, text=True)


def _last(text: str, tokens: int, codec: Codec) -> str:
    """Return the end of a text, at most so many tokens."""
    spans = codec.spans(text)
    return text if len(spans) <= tokens else text[spans[-tokens][0] :] if tokens > 0 else ""


def _windows(text: str, codec: Codec) -> Iterator[Row]:
    """Cut a text into rows whose answers join to it, each with as much text before it as it is long."""
    spans, size = codec.spans(text), max(2, (codec.max_length - 1) // 2)
    edges = [spans[k][0] for k in range(0, len(spans), size)] + [len(text)]
    if len(edges) > 2 and len(spans) % size == 1:
        del edges[-2]  # a window of one token; there is room for it in the one before
    starts = [0, *edges]
    for before, start, end in zip(starts, edges, edges[1:], strict=False):
        yield Row("r", text[before:start], text[start:end], text=True)


def _longest(arguments: Mapping[str, Any]) -> int:
    if arguments.get("do_sample") and arguments.get("temperature", 1.0) > 0:
        raise InputError("A task asks for sampling; answers are greedy here. Choose a greedy task.")
    return int(arguments.get("max_gen_toks", _LONGEST))


def _until(text: str, arguments: Mapping[str, Any]) -> str:
    stops = arguments.get("until") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop)[0] if stop else text
    return text


def _results(name: str, found: Mapping[str, Any]) -> Iterator[Result]:
    for task, values in found["results"].items():
        n = int(found["n-samples"][task]["effective"]) if task in found["n-samples"] else 0
        for key, value in values.items():
            metric, _, variant = key.partition(",")
            if not variant or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = values.get(f"{metric}_stderr,{variant}")
            known = isinstance(error, int | float)
            low, high = (value - _Z * error, value + _Z * error) if known else (None, None)
            shown = metric if variant == "none" else f"{metric}_{variant.replace('-', '_')}"
            better = _better(found, task, metric)
            yield Result(name, f"lm_eval_{shown}", f"lm-eval/{task}", value, low, high, n, better)


def _better(found: Mapping[str, Any], task: str, metric: str) -> Better:
    higher = found.get("higher_is_better", {}).get(task, {}).get(metric)
    return "none" if higher is None else "high" if higher else "low"
