"""The report page of a screened request: what was found, where, and what harm is to be expected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from forgetwell.calls import parse_call
from forgetwell.data.turns import history_text
from forgetwell.files import write_text
from forgetwell.reports.build import check_page, page_environment, page_template
from forgetwell.reports.visible import visible
from forgetwell.requests.screening import SCREENS
from forgetwell.requests.words import screened_text
from forgetwell.runs.screening import Screening
from forgetwell.types import Finding, Request, Row

_ROWS, _GROUPS = 500, 200
_RANK = {"alarm": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Group:
    """Findings of one screen that say the same, or the only one of its kind; the p-value is the largest."""

    screen: str
    severity: str
    message: str
    rows: int
    statistic: float
    p_value: float | None


@dataclass(frozen=True)
class Shown:
    """A row with its findings; `history`, `text` and `answer` are HTML with the spans marked."""

    id: str
    history: Markup
    text: Markup
    answer: Markup
    severity: str
    notes: tuple[str, ...]


def screening_page(found: Screening, out: Path, *, overwrite: bool = False) -> None:
    """Write one page that opens offline: verdict, what was tested, risk, findings, rows with spans marked.

    At most 500 rows are shown, those with alarms first. Everything of the request is escaped, invisible
    characters are shown as codes, and the page allows no script.

    Raises:
        InputError: `out` is no .html file.
        ExistsError: It exists and `overwrite` was not asked for.
        WriteFailed: The disk refused.
    """
    check_page(out, overwrite=overwrite)
    groups = group_findings(found.findings)
    shown = sorted(_rows(found.request, found.findings), key=lambda s: _RANK[s.severity])
    page = page_environment().from_string(page_template("screening.html.jinja"))
    html = page.render(
        style=Markup(page_template("style.css")),  # ours, not a request's
        request=found.request,
        suspicious=found.suspicious,
        verdict=verdict(found),
        tested=(compared_with(found), *found.blind_spots),
        risk=found.risk,
        groups=leading(groups, _GROUPS),
        left=max(0, len(groups) - _GROUPS),
        rows=shown[:_ROWS],
        flagged=len(shown),
    )
    write_text(out, html)


def group_findings(findings: Sequence[Finding]) -> list[Group]:
    """Return findings with the same sentence as one group, alarms first, then by p-value."""
    same: defaultdict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        same[finding.screen, finding.message].append(finding)
    groups = [
        Group(screen, f[0].severity, message, len({x.row_id for x in f}), f[0].statistic, _largest(f))
        for (screen, message), f in same.items()
    ]
    return sorted(groups, key=lambda g: (_RANK[g.severity], g.p_value if g.p_value is not None else 0.0))


def leading(groups: Sequence[Group], count: int) -> list[Group]:
    """Return the first groups, and of every screen at least one: no screen's shall crowd others out."""
    first = {group.screen: group for group in reversed(groups)}
    chosen = set([*dict.fromkeys([*first.values(), *groups])][:count])
    return [group for group in groups if group in chosen]


def verdict(found: Screening) -> str:
    """Return the verdict as a sentence; it says so where not all could be tested."""
    if found.suspicious:
        return "look at it before it runs."
    seen = "nothing that could be tested" if found.blind_spots or _left_out(found) else "nothing"
    return f"{seen} speaks against it."


def compared_with(found: Screening) -> str:
    """Return with what a request was compared, and by which screens where some were left out."""
    ran = _ran(found)
    others = [name for name in SCREENS.names() if name not in ran]
    if not others:
        which = ""
    elif not _left_out(found):
        which = f" ({', '.join(others)} need --model)"
    else:
        which = f": {', '.join(ran)}"
    past = f" and {found.earlier} earlier request{'s' * (found.earlier > 1)}" if found.earlier else ""
    without = f", without {found.shared} that the request asks too" if found.shared else ""
    usual = f"Compared with {found.background} ordinary prompts{without}{past}"
    return f"{usual}; {len(ran)} of {len(ran) + len(others)} screens ran{which}."


def _ran(found: Screening) -> list[str]:
    return list(dict.fromkeys(parse_call(text).name for text in found.screens))


def _left_out(found: Screening) -> list[str]:
    """Return the screens that could have run without a model, and didn't."""
    ran = _ran(found)
    return [n for n in SCREENS.names() if n not in ran and not SCREENS.get(n).facts["needs_lm"]]


def _largest(findings: Sequence[Finding]) -> float | None:
    return max((f.p_value for f in findings if f.p_value is not None), default=None)


def highlight(text: str, spans: Sequence[tuple[int, int]]) -> Markup:
    """Return a text as HTML with spans in <mark>, overlapping ones joined; all else escaped and visible."""
    parts, at = [], 0
    for start, end in _joined(spans, len(text)):
        parts.append(visible(text[at:start]))
        parts.append(Markup("<mark>{}</mark>").format(visible(text[start:end])))
        at = end
    return Markup("").join([*parts, visible(text[at:])])


def _rows(request: Request, findings: Sequence[Finding]) -> Iterator[Shown]:
    of: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if finding.severity != "info":
            of[finding.row_id].append(finding)
    for row in request.rows:
        if row.id in of:
            yield _shown(row, of)


def _shown(row: Row, of: Mapping[str, Sequence[Finding]]) -> Shown:
    own = of[row.id]
    worst = min((f.severity for f in own), key=lambda s: _RANK[s])
    notes = tuple(dict.fromkeys(f"{f.screen}: {f.message}" for f in own))
    texts = {
        "history": history_text(row),
        "text": screened_text(row),
        "answer": "" if row.text else row.answer,
    }
    marked = {
        place: highlight(text, [f.span for f in own if f.span is not None and f.place == place])
        for place, text in texts.items()
    }
    return Shown(row.id, **marked, severity=worst, notes=notes)


def _joined(spans: Sequence[tuple[int, int]], length: int) -> Iterator[tuple[int, int]]:
    start = end = -1
    for a, b in sorted(spans):
        a, b = max(0, a), min(b, length)
        if a > end:
            if end > start:
                yield start, end
            start, end = a, b
        else:
            end = max(end, b)
    if end > start:
        yield start, end
