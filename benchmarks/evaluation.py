"""How much faster `evaluate_suite` is than evaluating metric by metric, at equal numbers.

    OMP_NUM_THREADS=2 python -m benchmarks.evaluation --out results/evaluation-benchmark.json

Both sides ask one model the same suite in the same run. The plain side is what a straightforward evaluation
does: for every metric and set its own pass over the rows in the order of the file, padded batches, scoring
through the network's own forward and answers through transformers' `generate`.

Two suites, cut so that the whole takes minutes on two cores: TOFU with the default metrics, and with every
registered row metric. `gradient_norm` is left out on both sides: it is a backward pass for each row, whoever
does it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.shared import command_line, write_report
from forgetwell.calls import parse_call
from forgetwell.data.reading import read_rows
from forgetwell.metrics.registry import ROW_METRICS, measure
from forgetwell.models.generation import generate_padded
from forgetwell.models.lm import HFModel, load
from forgetwell.requests.template_sets import load_templates
from forgetwell.suites.catalog.tofu import UTILITY
from forgetwell.suites.evaluate import evaluate_suite
from forgetwell.suites.plan import METRICS
from forgetwell.suites.protocol import protocol_suite
from forgetwell.suites.types import Split, Suite
from forgetwell.types import Encoded, Generation, Record, Row, TokenScores

EVERY = tuple(name for name in ROW_METRICS.names() if name != "gradient_norm")


@dataclass
class Plain:
    """An evaluation without any sharing.

    Attributes:
        lm: The model.
        batch: Rows of a padded batch.
        passes: Passes over a set so far.
    """

    lm: HFModel
    batch: int
    passes: int = 0

    def values(self, split: Split, metric: str, longest: int) -> list[float | None]:
        """Return a metric's value of each row, asking for all that it reads anew."""
        item, _ = ROW_METRICS.resolve(parse_call(metric))
        rows, parts = split.rows, {}
        for name in item.inputs:
            if name == "generated":
                parts[name] = self.answers(rows, longest)
            elif name == "answer":
                parts[name] = self.scores(rows, moments="moments" in item.facts["needs"])
            elif name in ("paraphrase", "wrong") and split.condition == "clean":
                parts[name] = self.alternatives(rows, name)
        records = [Record(row, **{k: v[i] for k, v in parts.items()}) for i, row in enumerate(rows)]
        return measure(records, metric)

    def alternatives(self, rows: Sequence[Row], name: str) -> list[tuple[TokenScores, ...] | None]:
        """Score each row's other right answers (its own where it has none, as in TOFU), or its wrong ones."""
        texts = [r.wrong if name == "wrong" else r.paraphrases or (r.answer,) for r in rows]
        flat = [replace(r, answer=text) for r, answers in zip(rows, texts, strict=True) for text in answers]
        scores = iter(self.scores(flat))
        return [tuple(next(scores) for _ in answers) or None for answers in texts]

    def scores(self, rows: Sequence[Row], *, moments: bool = False) -> list[TokenScores]:
        """Score answers in padded batches, in the order given."""
        self.passes += 1
        encoded = [self.lm.codec.encode(row) for row in rows]
        return [s for part in self._parts(encoded) for s in self._score(part, moments)]

    def answers(self, rows: Sequence[Row], longest: int) -> list[Generation]:
        """Answer prompts in padded batches, in the order given."""
        self.passes += 1
        codec, network = self.lm.codec, self.lm.module.network
        found = []
        for prompts in self._parts([codec.encode_prompt(row) for row in rows]):
            with self.lm.precision():
                outputs = generate_padded(network, prompts, longest, codec.stop_ids)
            found += [
                Generation(codec.decode(ids).strip(), len(ids), bool(ids) and ids[-1] in codec.stop_ids)
                for ids in outputs
            ]
        return found

    def _parts(self, items: Sequence) -> Iterator[Sequence]:
        return (items[k : k + self.batch] for k in range(0, len(items), self.batch))

    def _score(self, rows: Sequence[Encoded], moments: bool) -> Iterator[TokenScores]:
        width = max(len(row.ids) for row in rows)
        ids = torch.tensor([row.ids + (0,) * (width - len(row.ids)) for row in rows])
        mask = torch.tensor([[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in rows])
        with self.lm.precision():
            logits = self.lm.module.network(input_ids=ids, attention_mask=mask).logits
        logps = torch.log_softmax(logits.float(), -1)
        for row, own in zip(rows, logps, strict=True):
            own = own[row.start - 1 : len(row.ids) - 1]
            labels = torch.tensor(row.ids[row.start :])
            more = ()
            if moments:
                mean = (own.exp() * own).sum(-1)
                variance = (own.exp() * own.square()).sum(-1) - mean.square()
                more = (tuple(mean.tolist()), tuple(variance.sqrt().tolist()))
            chosen = own.gather(-1, labels[:, None])[:, 0]
            yield TokenScores(tuple(chosen.tolist()), tuple((own.argmax(-1) == labels).tolist()), *more)


class Clock:
    """Seconds on the wall, and of this process's threads, which other work on the machine changes less."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def seconds(self, what: str) -> dict[str, float]:
        """Say and return the seconds since the start."""
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(f"  {what}: {wall:.1f} s, {cpu:.1f} s of processor time", flush=True)
        return {"wall": round(wall, 2), "cpu": round(cpu, 2)}


def small_tofu(rows: int, max_new_tokens: int) -> Suite:
    """Return TOFU's suite on the first rows of each set, in every trigger template, and scope pairs."""
    sets = {name: read_rows(f"tofu:{name}_perturbed", limit=rows) for name in UTILITY}
    forget = read_rows("tofu:forget01_perturbed", limit=rows)
    templates = load_templates("tofu")
    return protocol_suite("tofu", forget, sets, templates, max_new_tokens=max_new_tokens)


@torch.no_grad()
def compare(lm: HFModel, suite: Suite, metrics: Sequence[str], batch: int) -> dict:
    """Time both sides on a suite, and return the times, their ratio and the largest difference of a value."""
    clock = Clock()
    evaluation = evaluate_suite(lm, suite, metrics=metrics)
    ours = clock.seconds("one pass, tables included")
    plain, expected = Plain(lm, batch), {}
    clock = Clock()
    for split in suite.splits:
        for metric in metrics:
            expected[metric, split.key] = plain.values(split, metric, suite.max_new_tokens)
        slow = clock.seconds(f"metric by metric, {split.key}")
    worst: dict[str, float] = {}
    for (metric, key), values in expected.items():
        found = measure(evaluation.records[key], metric)
        worst[metric] = max(worst.get(metric, 0.0), *map(difference, found, values))
    return {
        "rows": sum(len(s.rows) for s in suite.splits),
        "sets": len(suite.splits),
        "metrics": list(metrics),
        "passes_of_plain": plain.passes,
        "seconds": ours,
        "seconds_of_plain": slow,
        "ratio": {kind: round(slow[kind] / ours[kind], 2) for kind in ours},
        "largest_difference": worst,
    }


def difference(a: float | None, b: float | None) -> float:
    """Return |a - b|, relative to b where that is over 1; infinity where only one is there."""
    if a is None or b is None:
        return 0.0 if a is b else float("inf")
    return abs(a - b) / max(1.0, abs(b))


def main() -> None:
    """Run both comparisons and write the result."""
    parser = command_line(__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rows", type=int, default=3, help="rows of each set, default metrics")
    parser.add_argument("--rows-every", type=int, default=1, help="rows of each set, every metric")
    parser.add_argument("--max-new-tokens", type=int, default=16)
    parser.add_argument("--batch", type=int, default=32, help="rows of a padded batch on the plain side")
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    lm = load(given.model, dtype=given.dtype)
    lm.score(small_tofu(1, 1).splits[0].rows)  # warm-up
    result: dict = {
        "settings": {k: str(v) for k, v in vars(given).items() if k != "out"},
        "suites": {},
    }
    for name, rows, metrics in (("default", given.rows, METRICS), ("every metric", given.rows_every, EVERY)):
        print(f"TOFU, {name}, {rows} rows of each set", flush=True)
        result["suites"][name] = compare(lm, small_tofu(rows, given.max_new_tokens), metrics, given.batch)
    write_report(given.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
