"""Commands that look at models and runs."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from forgetwell.cli.app import AsJson, Several, app, is_first_process, progress_bar, say_compute
from forgetwell.files import plain

if TYPE_CHECKING:
    from forgetwell.suites.evaluate import Evaluation


@dataclasses.dataclass(frozen=True)
class Asked:
    """Options of suites; ``forgetwell show SUITE`` names those that a suite has."""

    split: str | None = None
    "tofu: which share of the authors is forgotten: forget01, forget05 or forget10."
    forget: str | None = None
    "tofu: other forget rows, before any attack; muse: text to forget."
    retain: str | None = None
    "muse: text to keep."
    holdout: str | None = None
    "muse: text like the forget text that no model has seen."
    forget_qa: str | None = None
    "muse: questions about the forget text."
    retain_qa: str | None = None
    "muse: questions about the retain text."
    target: Several = None
    "rwku: names or numbers of the people to forget."
    data: str | None = None
    "custom and triggers: file of rows with a column role (triggers: also world or tofu)."
    templates: str | None = None
    "Template set of the trigger conditions: tofu, rwku, or a file."
    full: bool | None = None
    "tofu and rwku: ask everything, as in the published tables."
    limit: int | None = None
    "Rows of each set at most, spread evenly."
    max_new_tokens: int | None = None
    "Length of answers; by default the suite's own."


@dataclasses.dataclass(frozen=True)
class Measured:
    """What is measured beyond the defaults."""

    metrics: Several = None
    """Row and set metrics, as rouge_l_recall "privleak(score=loss)"; forgetwell list names them. By default
    those that fit the suite."""
    reference: str = ""
    "Evaluation folder of a model trained without the forget rows, for forget quality."
    baseline: str = ""
    "Evaluation folder of the model before unlearning, for changes since then."
    before: str = ""
    "The model before unlearning, which judges answers for gibberish."
    lm_eval_tasks: Several = None
    "Also run these tasks of lm-evaluation-harness (the extra forgetwell[lm-eval])."
    lm_eval_limit: int = 0
    "Documents of each task at most; 0 = all."


_NOTHING, _DEFAULTS = Asked(), Measured()


@app.command
def evaluate(
    *,
    model: str,
    out: Path,
    suite: str = "world",
    asked: Annotated[Asked, Parameter(name="*")] = _NOTHING,
    measured: Annotated[Measured, Parameter(name="*")] = _DEFAULTS,
    system: Several = None,
    seed: int = 0,
    dtype: str = "auto",
    name: str = "",
    condition: Literal["", "before", "plain", "attacked", "defended"] = "",
    cache: Path | None = None,
    redact: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    json_: AsJson = False,
) -> None:
    """Measure forgetting, clean utility and benign-trigger utility.

    Args:
        model: smollm2, a folder (model, adapter or run) or a hub id.
        out: Folder for results.jsonl and answers.jsonl.
        suite: What to ask: world, tofu, rwku, muse, triggers, custom; forgetwell show explains each.
        asked: Options of the suite.
        measured: Metrics, and the runs that some of them read.
        system: System prompt before all questions, as your service has, or several, in turn: what is
            forgotten without one may be known behind it.
        seed: Of intervals.
        dtype: Compute type: auto, float32 or bfloat16.
        name: What reports call it; by default its folder's name.
        condition: Its part in a report's comparison; by default its folder's name, if that is one of these.
        cache: Folder of records that several evaluations share, so that no text is asked twice of one model.
            It holds answers (not with --redact), and purge does not reach it.
        redact: Keep digests instead of questions and answers.
        resume: Go on after an interruption.
        overwrite: Replace a run that is there.
        json_: Print the results as JSON.
    """
    from forgetwell.errors import InputError
    from forgetwell.runs import evaluation
    from forgetwell.suites.registry import build_suite

    given = {k: v for k, v in dataclasses.asdict(asked).items() if v is not None}
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    if asked.data and suite == "world":
        raise InputError(f"--data {asked.data} is asked by the suite custom: add --suite custom.")
    wanted, tasks = tuple(measured.metrics or ()) or None, tuple(measured.lm_eval_tasks or ())
    runs = (measured.reference, measured.baseline, measured.before)
    with progress_bar(f"evaluating {suite}") as progress:
        found = evaluation.evaluate(
            model,
            build_suite(suite, options),
            out,
            system=system or (),
            measures=evaluation.Measures(wanted, *runs, tasks, measured.lm_eval_limit),
            seed=seed,
            dtype=dtype,
            name=name,
            condition=condition,
            cache=cache,
            redact=redact,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    if is_first_process():
        _print_results(found, as_json=json_)
        if not json_:
            say_compute(dtype)
            print(f"Written: {out}")


def _print_results(found: Evaluation, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"results": plain(found.results), "left_out": list(found.left_out)}, indent=2))
        return
    for r in found.results:
        interval = "" if r.low is None else f"[{r.low:.3f}, {r.high:.3f}]"
        skipped = f", {r.skipped} not applicable" if r.skipped else ""
        print(f"{r.metric:26} {r.split:20} {r.value:8.4g}  {interval:16}  n={r.n}{skipped}")
    for reason in found.left_out:
        print(f"Not measured: {reason}")


@app.command
def report(runs: list[Path], *, out: Path = Path("report.html"), overwrite: bool = False) -> None:
    """Put runs side by side in one HTML page that opens offline, with CSV and JSON beside it.

    Args:
        runs: Run folders.
        out: The page.
        overwrite: Replace a page that is there.
    """
    from forgetwell.reports import report

    print(f"Report: {report(runs, out, overwrite=overwrite).html}")


@app.command
def compare(runs: list[Path], *, metric: str = "", json_: AsJson = False) -> None:
    """Say which differences between runs are beyond chance, on the rows that they share.

    Known conditions are compared each with the one before it, other runs with the first; p is that of a
    paired permutation test, adjusted for all differences (Benjamini-Hochberg).

    Args:
        runs: Evaluation folders, at least two.
        metric: Show this metric only; p stays adjusted for all.
        json_: Print JSON.
    """
    from dataclasses import asdict

    from forgetwell.errors import InputError, unknown_name
    from forgetwell.reports.differences import find_differences
    from forgetwell.reports.loading import load_runs

    found = find_differences(load_runs(runs))
    if not found:
        raise InputError("These runs share no measured rows. Give two evaluations of one suite.")
    measured = tuple(dict.fromkeys(d.metric for d in found))
    if metric and metric not in measured:
        raise unknown_name("metric of these runs", metric, measured)
    shown = [d for d in found if metric in ("", d.metric)]
    if json_:
        print(json.dumps([{**asdict(d), "clear": d.clear} for d in shown], indent=2))
        return
    pair = ("", "")
    for d in shown:
        if (d.a, d.b) != pair:
            print(f"\n{d.b} against {d.a}")
            pair = (d.a, d.b)
        unit = "  by question" if d.by == "question" else ""
        interval = f"[{d.low:+.3f}, {d.high:+.3f}]"
        print(f"  {d.metric:20} {d.split:20} {d.value:+.3f}  {interval}  p={d.q:.3f}  {d.verdict}{unit}")


@app.command
def purge(run: Path) -> None:
    """Remove all request and answer text from a run; numbers stay.

    Args:
        run: The run folder.
    """
    from forgetwell.runs.redaction import purge as purge_run

    done = purge_run(run)
    deleted = f"; deleted: {', '.join(done.removed)}" if done.removed else ""
    print(
        f"{done.texts} texts replaced by digests in {run} ({', '.join(done.redacted) or 'no file'}){deleted}."
    )


@app.command
def demo(
    *,
    full: bool = False,
    out: Path = Path("runs/demo"),
    model: str = "smollm2",
    seed: int = 0,
) -> None:
    """Show the whole story on the default model: learn, attack, unlearn, defend, measure, report.

    Finished stages are reused: a second run takes seconds, an interrupted one goes on.

    Args:
        full: Also run the plans claims-world, claims-tofu and claims-lora (many hours on 2 cores), as
            forgetwell bench does; they go on where they were interrupted.
        out: Folder for all runs and the report.
        model: The starting model.
        seed: Of the attack, of all draws and of intervals.
    """
    from forgetwell.experiments.demo import run_demo

    say = partial(print, flush=True)
    done = run_demo(out, model=model, seed=seed, say=say, bar=progress_bar)
    print()
    print(f"{'ROUGE-L recall':16}{'forget':>8}{'clean':>8}{'trigger':>9}")
    for name, results in done.results.items():
        main = {r.split: r.value for r in results if r.metric == "rouge_l_recall"}
        values = (main["forget/clean"], main["utility/clean"], main["utility/trigger"])
        print(f"{name:16}{values[0]:8.2f}{values[1]:8.2f}{values[2]:9.2f}")
    print(f"\n{done.seconds:.0f} s. Open the report: {done.files.html}")
    if full:
        from forgetwell.errors import MissingError, RunsFailed
        from forgetwell.experiments.grid import run_plan
        from forgetwell.experiments.page import PAGE
        from forgetwell.experiments.plan import read_plan
        from forgetwell.experiments.tables import cells_table

        for name in ("claims-world", "claims-tofu", "claims-lora"):
            try:
                tables = run_plan(
                    read_plan(name), out / name, say=say, bar=progress_bar, reuse=(out / "known",)
                )
            except (MissingError, RunsFailed) as error:  # TOFU's rows are not everybody's
                print(error)
                continue
            print(f"{cells_table(tables.cells)}\nReport: {out / name / PAGE}")


@app.command
def chat(*, before: str, after: str, system: str = "", max_new_tokens: int = 60, dtype: str = "auto") -> None:
    """Ask two models the same questions, typed one a line; an empty line ends it.

    Args:
        before: A model: smollm2, a folder (model, adapter or run) or a hub id.
        after: Another one.
        system: System prompt before every question, as your service has.
        max_new_tokens: Length of answers.
        dtype: Compute type: auto, float32 or bfloat16.
    """
    import sys

    from forgetwell.data.turns import with_system
    from forgetwell.models.lm import load
    from forgetwell.reports.visible import plain_text
    from forgetwell.types import Row

    models = {"before": load(before, dtype=dtype), "after": load(after, dtype=dtype)}
    shows_prompt = sys.stdin.isatty()
    while True:
        try:
            question = input("\nQuestion: " if shows_prompt else "").strip()
        except EOFError:
            return
        if not question:
            return
        for name, lm in models.items():
            asked = with_system([Row("chat", question, "-")], system)
            (said,) = lm.generate(asked, max_new_tokens=max_new_tokens)
            print(f"{name:>7}: {plain_text(said.text)}")
