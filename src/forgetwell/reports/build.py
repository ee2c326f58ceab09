"""Run folders in, one page and its tables out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from forgetwell.errors import InputError
from forgetwell.files import atomic_path, check_new, plain, read_text
from forgetwell.reports.differences import Difference, difference_tables, find_differences
from forgetwell.reports.examples import pick_examples
from forgetwell.reports.glossary import GLOSSARY, anchor, entries
from forgetwell.reports.loading import RunView, load_runs
from forgetwell.reports.matched import matched_lines
from forgetwell.reports.rows import drill_down, worst_rows
from forgetwell.reports.svg import bar_panels, charts, plane
from forgetwell.reports.tables import (
    COLUMNS,
    SUMMARY,
    Cell,
    Line,
    SetTable,
    all_cells,
    set_tables,
    summary_table,
    to_csv,
    whole_table,
)
from forgetwell.reports.verdict import Verdict, chance, judge, number, short, signed
from forgetwell.reports.visible import plain_text, visible

TITLE = "Unlearning report"
_FACTS = ("kind", "objective", "model", "base", "seed", "stopped", "seconds", "created", "command")
_SKIPPED = ("name", "condition")


@dataclass(frozen=True)
class ReportFiles:
    """The files of one report."""

    html: Path
    csv: Path
    json: Path


@dataclass(frozen=True)
class Fact:
    """One line of a run's provenance."""

    name: str
    value: str


def report(
    runs: Sequence[str | Path], out: str | Path, *, title: str = TITLE, overwrite: bool = False
) -> ReportFiles:
    """Write a report on runs: one page that opens offline, and its tables as CSV and JSON beside it.

    The page shows questions and answers of the runs; the CSV and JSON hold numbers and names only.

    Args:
        runs: Folders of finished runs. Their manifests' ``condition`` (before, plain, attacked, defended)
            decides what is compared with what, or else a folder of that name; without either, each run is
            described by itself. An evaluation shows the objective and curves of the run it measured.
        out: The page, ending in .html.
        title: Heading of the page.
        overwrite: Replace a report that is there.

    Raises:
        InputError: No run was given, a folder is no run, a file is damaged, or `out` is no .html file.
        MissingError: A folder is missing or its run did not finish.
        ExistsError: One of the files exists and `overwrite` was not asked for.
        WriteFailed: The disk refused; no file has changed.
    """
    files, title = _files(Path(out), overwrite), plain_text(title, longest=200)
    views = load_runs([Path(run) for run in runs])
    content = _content(title, views)
    page, cells = _page(files, content), to_csv(content.cells)
    _write_all({files.html: page, files.csv: cells, files.json: _json(content)})
    return files


@dataclass(frozen=True)
class _Content:
    """What the page, the CSV and the JSON are made from."""

    title: str
    runs: tuple[RunView, ...]
    verdict: Verdict
    summary: tuple[Line, ...]
    sets: tuple[SetTable, ...]
    whole: SetTable | None
    differences: tuple[Difference, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        return all_cells(self.summary, [*self.sets, *([self.whole] if self.whole else [])])

    @property
    def metrics(self) -> list[str]:
        read = ["matched_utility"] if matched_lines(self.runs) else []
        return [*dict.fromkeys(cell.metric for cell in self.cells), *read]


def _content(title: str, runs: tuple[RunView, ...]) -> _Content:
    return _Content(
        title,
        runs,
        judge(runs),
        summary_table(runs),
        set_tables(runs),
        whole_table(runs),
        find_differences(runs),
    )


def _page(files: ReportFiles, content: _Content) -> str:
    runs = content.runs
    return (
        page_environment()
        .get_template("report.html.jinja")
        .render(
            content=content,
            style=Markup(page_template("style.css")),  # ours, not a run's
            splits=SUMMARY,
            columns=COLUMNS,
            panels=bar_panels(content.summary),
            plane=plane(content.summary),
            differences=difference_tables(runs, content.differences),
            charts=charts({run.name: run.probes for run in runs}),
            matched=matched_lines(runs),
            groups=pick_examples(runs),
            worst=worst_rows(runs),
            drills=drill_down(runs),
            facts={run.name: tuple(_facts(run)) for run in runs},
            lengths=sorted(
                {str(r.evaluation["max_new_tokens"]) for r in runs if "max_new_tokens" in r.evaluation}
            ),
            glossary=GLOSSARY,
            entries=entries(content.metrics),
            csv_name=files.csv.name,
            json_name=files.json.name,
        )
    )


def check_page(out: Path, *, overwrite: bool) -> None:
    """Refuse a page that can't be written, before the work is done.

    Raises:
        InputError: `out` is no .html file.
        ExistsError: It exists and `overwrite` was not asked for.
    """
    if out.suffix != ".html":
        raise InputError(f"The report {out} should be a file that ends in .html, as report.html.")
    check_new(out, overwrite=overwrite)


def _files(out: Path, overwrite: bool) -> ReportFiles:
    check_page(out, overwrite=overwrite)
    files = ReportFiles(out, out.with_suffix(".csv"), out.with_suffix(".json"))
    for path in (files.csv, files.json):
        check_new(path, overwrite=overwrite)
    return files


def _write_all(texts: Mapping[Path, str]) -> None:
    """Write every file under a temporary name first, so that a full disk changes none of them."""
    with ExitStack() as stack:
        for path, text in texts.items():
            temporary = stack.enter_context(atomic_path(path))
            temporary.write_text(text, encoding="utf-8")


def page_environment() -> Environment:
    """Return the Jinja environment of all pages: nothing is printed but escaped and visible."""
    environment = Environment(
        loader=PackageLoader("forgetwell.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    environment.filters["number"] = number
    environment.filters["short"] = short
    environment.filters["signed"] = signed
    environment.filters["chance"] = chance
    environment.filters["anchor"] = anchor
    # Every value that the template prints goes through `visible`; numbers and our own words pass unchanged.
    environment.finalize = lambda value: value if isinstance(value, Markup | int | float) else visible(value)
    return environment


def page_template(name: str) -> str:
    """Return the text of one of our own templates or style sheets."""
    return read_text(Path(__file__).parent / "templates" / name)


def _json(content: _Content) -> str:
    runs = content.runs
    value = {
        "title": content.title,
        "verdict": plain(content.verdict),
        "runs": [
            {"name": r.name, "condition": r.condition, **{k: r.manifest.get(k) for k in _FACTS}} for r in runs
        ],
        "tables": [plain(c) for c in content.cells],
        "differences": [{**plain(d), "clear": d.clear} for d in content.differences],
        "matched": [plain(line) for line in matched_lines(runs)],
        "curves": {r.name: [{"step": p.step, **p.values} for p in r.probes] for r in runs if r.probes},
    }
    return json.dumps(value, ensure_ascii=True, indent=2) + "\n"


def _facts(run: RunView) -> Iterator[Fact]:
    """Yield what made a run: the important first, the rest as it stands in the manifest."""
    rest = [k for k in run.manifest if k not in (*_FACTS, *_SKIPPED)]
    for key in (*_FACTS, *rest):
        value = run.manifest.get(key)
        if value not in (None, "", {}, []):
            yield Fact(key.replace("_", " "), _words(value))
    for key, value in run.evaluation.items():
        if key in run.manifest or value in (None, "", {}, []):
            continue
        yield Fact(f"evaluation {key.replace('_', ' ')}", _words(value))


def _words(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return "\n".join(f"{k}: {_inline(v)}" for k, v in value.items())
    return _inline(value)


def _inline(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return ", ".join(f"{k} {_inline(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(_inline, value))
    return "none" if value is None else str(value)
