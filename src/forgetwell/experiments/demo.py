"""The whole story on a real model: learn, receive a poisoned request, break, and stay intact."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from forgetwell.data.row_files import write_rows
from forgetwell.data.world import load_refusals
from forgetwell.experiments.bench import Bench, bind_bench, sampled_utility
from forgetwell.experiments.stages import Bar, Say, clear, learning_job, train_stage
from forgetwell.reports.build import ReportFiles, report
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.template_sets import load_templates
from forgetwell.runs.evaluation import evaluate, evaluation_settings
from forgetwell.runs.folder import is_done, started_with
from forgetwell.runs.job import Job
from forgetwell.runs.records import load_results
from forgetwell.suites.protocol import protocol_suite
from forgetwell.suites.types import Suite
from forgetwell.training.config import TrainConfig
from forgetwell.types import Request, Result

# `npo` on this small model unlearns by breaking what it says about everybody, with rounding deciding how far;
# teaching refusals is steady, and what the attack does is there to read in the answers.
OBJECTIVE = "idk + gdr"
DEFENSE = "idk + gdr + 2*su"
ATTACK = "stealthy(p=0.67)"
# All conditions stop at the same forgetting, so that what they cost can be compared.
UNLEARNING = TrainConfig(lr=1.5e-5, epochs=10, batch=4, probe_every=5, stop_at="forget.rouge_l_recall<=0.3")
PER_SET = 10
NAMES = {
    "before": "Before unlearning",
    "plain": "IDK, honest request",
    "attacked": "IDK, poisoned request",
    "defended": "IDK + SU, poisoned request",
}


@dataclass(frozen=True)
class Demo:
    """What a demo leaves: its report, and each condition's results."""

    files: ReportFiles
    results: dict[str, tuple[Result, ...]]
    seconds: float


def run_demo(out: Path, *, model: str, seed: int = 0, say: Say, bar: Bar) -> Demo:
    """Learn the built-in world, then unlearn an honest and a poisoned request, with and without `su`.

    Every finished stage is reused, so that a second run takes seconds and an interrupted one goes on.

    Args:
        out: Folder for all runs and the report.
        model: The starting model.
        seed: Of the attack, of all draws and of intervals.
        say: Takes one line for the person who watches.
        bar: Makes a progress bar.

    Raises:
        ExistsError: A run of other settings is in the way.

    Source: the protocol of arXiv 2506.00359, section 5, on data of our own.
    """
    started, bench = time.monotonic(), bind_bench("world")()
    known, suite = out / "known", demo_suite(bench, seed=seed)
    say(f"1/5  {model} learns {len(bench.learn)} rows about 12 fictional people and the world.")
    learned = learning_job(bench, model)
    train_stage(replace(learned, config=replace(learned.config, seed=seed)), known, bar, say)
    say("2/5  Three people ask to be forgotten. Somebody rewrites two thirds of the request.")
    honest = Request("honest", bench.request)
    attacked = replace(attack_request(honest, ATTACK, seed=seed), id="attacked")
    _show_request(attacked, out, say)
    conditions = {
        "plain": (honest, OBJECTIVE),
        "attacked": (attacked, OBJECTIVE),
        "defended": (attacked, DEFENSE),
    }
    config = replace(UNLEARNING, seed=seed)
    for k, (name, (request, objective)) in enumerate(conditions.items(), 1):
        say(f"3/5  Unlearning {k} of 3, {name}: {objective} on the {request.id} request.")
        job = Job(
            "unlearn",
            str(known),
            request,
            bench.retain,
            objective,
            config,
            refusals=load_refusals(),
            probe=bench.utility["unseen"],
            keep=bench.keep,
        )
        train_stage(job, out / f"unlearn-{name}", bar, say)
    for name in ("before", *conditions):
        say(f"4/5  Asking the model {name}: questions to forget, to keep, and the same with “please”.")
        source = known if name == "before" else out / f"unlearn-{name}"
        _evaluate(str(source), suite, out / name, seed, bar, say)
    say("5/5  Report.")
    folders = [out / name for name in ("before", *conditions)]
    files = report(folders, out / "report.html", title="forgetwell demo", overwrite=True)
    return Demo(files, {f.name: load_results(f) for f in folders}, time.monotonic() - started)


def demo_suite(bench: Bench, *, seed: int = 0) -> Suite:
    """Return a small form of the protocol: a sample of each utility set, clean and in every template."""
    chosen = sampled_utility(bench, per_set=PER_SET, seed=seed)
    return protocol_suite(
        bench.name,
        bench.request,
        {name: chosen[f"{name}/clean"] for name in bench.utility},
        load_templates("tofu"),
        max_new_tokens=bench.max_new_tokens,
        scope_pairs=8,
        forget_trigger=False,
        trigger_choices=False,  # they would double what is scored, and the story doesn't tell of them
        seed=seed,
    )


def _evaluate(model: str, suite: Suite, out: Path, seed: int, bar: Bar, say: Say) -> None:
    settings = evaluation_settings(model, suite, seed=seed)
    if is_done(out, settings):
        say(f"     reused {out}")
        return
    clear(out)
    begun, name = started_with(out, settings), NAMES[out.name]
    with bar("asking") as progress:
        found = evaluate(
            model, suite, out, seed=seed, name=name, resume=begun, overwrite=not begun, progress=progress
        )
    main = {r.split: r.value for r in found.results if r.metric == "rouge_l_recall"}
    say(
        f"     forget {main['forget/clean']:.2f}, clean utility {main['utility/clean']:.2f}, "
        f"trigger utility {main['utility/trigger']:.2f} (ROUGE-L recall)"
    )


def _show_request(attacked: Request, out: Path, say: Say) -> None:
    write_rows(out / "attacked.jsonl", attacked.rows)
    edited = [row for row in attacked.rows if row.edit is not None]
    for row in edited[:2]:
        say(f"     “{row.edit.prompt if row.edit else ''}” becomes “{row.prompt}”")
    say(f"     {len(edited)} of {len(attacked.rows)} rows rewritten: {out / 'attacked.jsonl'}")
