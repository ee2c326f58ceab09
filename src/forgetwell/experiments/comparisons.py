"""Every comparison that the claims rest on, from the starting model to one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from forgetwell.data.world import load_refusals
from forgetwell.errors import MissingError, unknown_name
from forgetwell.experiments.benches import BENCHES, Bench
from forgetwell.experiments.claims import CONDITIONS, Setup, finished, plan_runs, run_claim
from forgetwell.experiments.demo import Bar, Say, train_stage
from forgetwell.experiments.reading import Claim, read_claims
from forgetwell.files import write_json, write_text
from forgetwell.methods.finetune import Lora
from forgetwell.runs.jobs import Job
from forgetwell.training.config import TrainConfig
from forgetwell.types import Request

SEEDS = (0, 1, 2)
_STEPS = TrainConfig(lr=1.5e-5, epochs=10, batch=4, probe_every=6)
SETUPS: Mapping[str, Setup] = {
    "npo": Setup("npo + gdr", config=_STEPS),
    "ga": Setup("ga + gdr", config=_STEPS),
    "idk": Setup("idk + gdr", config=_STEPS),
    "lora": Setup("npo + gdr", config=_STEPS, lora=Lora()),
}


def run_comparisons(
    out: Path,
    *,
    model: str,
    say: Say,
    bar: Bar,
    only: Sequence[str] = (),
    seeds: Sequence[int] = SEEDS,
) -> dict[str, tuple[Claim, ...]]:
    """Run comparisons and write ``claims.json`` and ``claims.md``; finished runs are reused.

    Args:
        out: Folder for all runs.
        model: The starting model.
        say: Takes one line for the person who watches.
        bar: Makes a progress bar.
        only: Comparisons as ``world/npo``; by default all. TOFU is left out where its data isn't there.
        seeds: Of attack and draws.

    Raises:
        UnknownName: There is no such comparison.

    Source: arXiv 2506.00359, section 5; see `plan_runs` and `read_claims` for what is ours.
    """
    names = [f"{bench}/{setup}" for setup in SETUPS for bench in BENCHES]
    for name in only:
        if name not in names:
            raise unknown_name("comparison", name, names)
    claims: dict[str, tuple[Claim, ...]] = {}
    for name in only or names:
        bench_name, _, setup_name = name.partition("/")
        try:
            bench = BENCHES[bench_name]()
        except MissingError as error:
            say(f"{name} is left out: {error}")
            continue
        known = out / bench_name / "known"
        train_stage(Job("learn", model, Request("", ()), bench.learn, "gdr", bench.learning), known, bar, say)
        setup = SETUPS[setup_name]
        claims[name] = _compare(bench, setup, known, out / bench_name / setup_name, seeds, say, bar)
        write_json(out / "claims.json", {k: [asdict(c) for c in v] for k, v in claims.items()})
        write_text(out / "claims.md", claims_table(claims))
    return claims


def _compare(
    bench: Bench, setup: Setup, known: Path, out: Path, seeds: Sequence[int], say: Say, bar: Bar
) -> tuple[Claim, ...]:
    runs, refusals = plan_runs(setup, CONDITIONS, seeds), load_refusals()
    for k, run in enumerate(runs, 1):
        say(f"{out}: run {k} of {len(runs)}, {run.condition}, seed {run.seed}: {run.objective}")
        with bar(run.condition) as progress:
            run_claim(bench, setup, run, known, out, refusals=refusals, progress=progress)
    return read_claims(bench, list(finished(out, runs)), out, per_set=setup.per_set)


def claims_table(claims: Mapping[str, Sequence[Claim]]) -> str:
    """Return claims as Markdown, one table a comparison."""
    parts = []
    for name, found in claims.items():
        lines = [
            "| forget recall at | what | value | 95 % interval | n | seeds |",
            "|---|---|---|---|---|---|",
        ]
        for c in found:
            i, seeds = c.interval, ", ".join(map(str, c.seeds))
            lines.append(
                f"| {c.at} | {c.name} | {i.value:.3f} | {i.low:.3f} … {i.high:.3f} | {i.n} | {seeds} |"
            )
        parts.append(f"## {name}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"
