"""The documentation site builds, strictly: no broken link, no page that the navigation forgets."""

import json
import os
import pkgutil
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import forgetwell
from forgetwell.cli.listing import list_items

ROOT = Path(__file__).parents[2]


def test_every_family_and_package_has_its_page(capsys):
    list_items(json_=True)
    families = json.loads(capsys.readouterr().out)
    packages = [m.name for m in pkgutil.iter_modules(forgetwell.__path__) if m.ispkg and m.name != "cli"]
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in [*(f"items/{f}.md" for f in families), *(f"api/{p}.md" for p in packages)]:
        assert f": {page}\n" in navigation, page


def test_a_page_has_the_cards_of_its_own_family(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pages.py", str(tmp_path)])
    runpy.run_path(str(ROOT / "docs" / "site" / "pages.py"))["item_pages"]()
    benches, suites = (
        (tmp_path / "items" / f"{f}.md").read_text(encoding="utf-8") for f in ("bench", "suite")
    )
    assert "Written: rwku(triple=1, choice=smollm2" in benches  # suites of these names take other options
    assert "Written: world(phrasings=2" in benches
    assert "Written: rwku(target=[1]" in suites
    assert "max_new_tokens=24" not in benches


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason=f"{package} is not installed (pip install 'forgetwell[docs]')")
    pages, site = tmp_path / "docs", tmp_path / "site"
    environment = {**os.environ, "DISABLE_MKDOCS_2_WARNING": "true", "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([sys.executable, "docs/site/pages.py", str(pages)], cwd=ROOT, env=environment, check=True)
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    settings = settings.replace("build/docs", str(pages)).replace("paths: [src]", f"paths: [{ROOT / 'src'}]")
    (tmp_path / "mkdocs.yml").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    term = (site / "items" / "term.html").read_text(encoding="utf-8")
    assert 'id="su"' in term
    assert 'src="http' not in term  # nothing is loaded from elsewhere
    assert "forgetwell.objectives.scope.su" in (site / "api" / "objectives.html").read_text(encoding="utf-8")

    (pages / "results.md").write_text("[a](nowhere.md)", encoding="utf-8")
    broken = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert broken.returncode != 0  # with --quiet mkdocs would not count its warnings
    assert "nowhere.md" in broken.stderr
