"""The pages of the documentation site: those of the repository, all items, and the API.

python docs/site/pages.py build/docs

A plain script rather than a plugin, so that any generator that reads mkdocs.yml builds the same site.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import pkgutil
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import forgetwell
from forgetwell.cli.listing import all_families, card, list_items

ROOT = Path(__file__).parents[2]
PAGES = (
    {"README.md": "index.md"}
    | {name: name for name in ("CONTRIBUTING.md", "PAPERS.md", "CHANGELOG.md", "SECURITY.md")}
    | {"examples/accelerate/README.md": "accelerate.md"}
)
FAMILIES = {
    "term": ("Terms", "What an objective is a weighted sum of, as in `npo + gdr + 5*su`."),
    "view": ("Views", "Which rows a term reads: its positional parameters name them."),
    "schedule": ("Weight schedules", "How a weight changes over a run, as in `5*linear(until=0.5)*su`."),
    "rule": ("Step rules", "How a step is taken: `--step-rule NAME`."),
    "method": ("Methods", "Unlearning that is more than an objective: `method = NAME` in a plan."),
    "attack": ("Request attacks", "What requesters do: `forgetwell attack-request --attack NAME`."),
    "screen": ("Screens", "What looks for attacks in a request: `forgetwell screen --screens NAME`."),
    "repair": ("Repairs", "What is done about findings: `forgetwell repair --repair NAME`."),
    "metric": ("Row metrics", "One value a row: `forgetwell evaluate --metrics NAME`."),
    "set-metric": ("Set metrics", "One value a run: `forgetwell evaluate --metrics NAME`."),
    "bench": (
        "Benches",
        "What plans and claims are made on: what a model learns, a request, rows to keep, utility sets.",
    ),
    "curve-metric": ("Curve metrics", "Read from the probes of a run; reports show them."),
    "suite": ("Suites", "What a model is asked: `forgetwell evaluate --suite NAME`."),
}  # fmt: skip


def printed(command: Callable[..., None], *arguments: str, **options: bool) -> str:
    """Return what a command prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        command(*arguments, **options)
    return out.getvalue()


def site_links(text: str) -> str:
    """Return a page's text with links as they are on the site, where all pages lie in one folder."""
    text = re.sub(r"\]\((?:\.\./)?examples/accelerate/README\.md", "](accelerate.md", text)
    text = re.sub(r"\]\((?:docs/|\.\./)([\w-]+\.(?:md|png))", r"](\1", text)
    text = text.replace("](README.md", "](index.md").replace(
        "](LICENSE)", "](https://www.apache.org/licenses/LICENSE-2.0)"
    )
    return text


def write(page: str, text: str) -> None:
    """Write a page of the site."""
    path = Path(sys.argv[1]) / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def project_pages() -> None:
    """Put the repository's pages and those of docs/ into one folder."""
    for path in sorted((ROOT / "docs").glob("*.md")):
        write(path.name, site_links(path.read_text(encoding="utf-8")))
    for picture in (ROOT / "docs").glob("*.png"):
        shutil.copy(picture, Path(sys.argv[1]))
    write("site.css", (ROOT / "docs" / "site" / "site.css").read_text(encoding="utf-8"))
    for source, page in PAGES.items():
        write(page, site_links((ROOT / source).read_text(encoding="utf-8")))


def item_pages() -> None:
    """Write a page a family: a table of all items, then each one's card, as forgetwell show prints it."""
    listed = json.loads(printed(list_items, json_=True))
    overview = ["# Items\n", "Everything that can be named on the command line, in plans and in calls.\n"]
    for family, items in listed.items():
        title, what = FAMILIES[family]
        overview += [
            f"\n## {title}\n",
            f"{what} [All cards](items/{family}.md).\n",
            *table(items, f"items/{family}.md"),
        ]
        cards = [f"# {title}\n", f"{what}\n", *table(items, ""), *card_texts(family)]
        write(f"items/{family}.md", "\n".join(cards) + "\n")
    write("items.md", "\n".join(overview) + "\n")


def table(items: dict[str, str], page: str) -> list[str]:
    """Return a table of names and summaries that links to the cards of a page."""
    rows = (
        f"| [`{name}`]({page}#{name}) | {summary.replace('|', chr(92) + '|')} |"
        for name, summary in items.items()
    )
    return ["| name | what it is |", "|---|---|", *rows, ""]


def card_texts(family: str) -> Iterator[str]:
    """Give the card of each of a family's items, as forgetwell show prints it."""
    items = all_families()[family]
    for name in items.names():
        yield f"\n## `{name}` {{ #{name} }}\n\n```text\n{card(items.get(name))}\n```\n"


def api_pages() -> None:
    """Write a page a package, with all its modules."""
    package = Path(forgetwell.__file__).parent
    names = sorted(m.name for m in pkgutil.iter_modules([str(package)]) if m.ispkg and m.name != "cli")
    top = ["extend", "own", "types", "errors", "registry", "calls", "files"]
    write(
        "api/forgetwell.md",
        "# forgetwell\n\n" + directive("forgetwell") + "".join(directive(f"forgetwell.{m}") for m in top),
    )
    for name in names:
        modules = pkgutil.walk_packages([str(package / name)], f"forgetwell.{name}.")
        text = "".join(directive(m.name) for m in modules if not m.ispkg)
        write(f"api/{name}.md", f"# forgetwell.{name}\n\n{text}")
    write(
        "api/index.md",
        "# Python API\n\nThese names are those of `forgetwell` itself; every module has a page below.\n\n"
        + "\n".join(public_names())
        + "\n\n## Modules\n\n"
        + "\n".join(
            f"* [`forgetwell{'' if n == 'forgetwell' else '.' + n}`]({n}.md)" for n in ["forgetwell", *names]
        )
        + "\n",
    )


def public_names() -> Iterator[str]:
    """Give a line of each public name, with a link to what documents it."""
    for name in sorted(forgetwell.__all__):
        item = getattr(forgetwell, name)
        _, package, *inside = item.__module__.split(".")
        page = package if inside else "forgetwell"
        summary = inspect.getdoc(item).partition("\n\n")[0].replace("\n", " ")
        yield f"* [`{name}`]({page}.md#{item.__module__}.{name}): {summary}"


def directive(module: str) -> str:
    """Return what mkdocstrings replaces by a module's documentation."""
    return f"::: {module}\n    options:\n      heading_level: 2\n\n"


if __name__ == "__main__":
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    project_pages()
    item_pages()
    api_pages()
