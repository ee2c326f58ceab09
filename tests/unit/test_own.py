"""Items of one's own: files, installed packages, and what a run remembers of their code."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
from tests.tiny import tiny_lm
from tests.toy import BENCH, bar, rows

from forgetwell import own
from forgetwell.beside import code_digest, code_files
from forgetwell.cli.config import take_used
from forgetwell.errors import InputError, MissingError
from forgetwell.experiments import grid
from forgetwell.experiments.bench import BENCHES
from forgetwell.experiments.claims import Run, Setup, run_settings
from forgetwell.experiments.plan import Comparison, Plan
from forgetwell.methods.finetune import finetune
from forgetwell.metrics.registry import ROW_METRICS
from forgetwell.objectives.registry import TERMS
from forgetwell.requests.attacks import ATTACKS
from forgetwell.runs.evaluation import Measures
from forgetwell.runs.job import Job
from forgetwell.runs.jobs import run_job
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks
from forgetwell.training.views import VIEWS
from forgetwell.types import Request

TERM = '''
from torch import Tensor

from forgetwell.extend import Scored, term


@term(per="row", side="forget", paper="", place="ours")
def hinge(forget: Scored, forget_ref: Scored, *, margin: float = 5.0) -> Tensor:
    """Push each answer's log-probability down until it is `margin` below the starting model's."""
    return (forget.row_logps() - forget_ref.row_logps() + margin).clamp(min=0)
'''
CONFIG = TrainConfig(batch=2, epochs=2)


@pytest.fixture(autouse=True)
def families(monkeypatch):
    """Take everything back that a test registers."""
    for family in (TERMS, ATTACKS, ROW_METRICS, BENCHES):
        family.names()  # scanned before, so that only what a test adds goes
        monkeypatch.setattr(family, "_items", dict(family._items))
    monkeypatch.setattr(own, "_USED", {})
    monkeypatch.setattr(own, "_INSTALLED", set())


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(TERM)
    return path


def job(objective="hinge(margin=1) + gdr", **changes):
    return replace(
        Job("unlearn", "tiny", Request("r", rows("f", 2)), rows("r", 4), objective, CONFIG), **changes
    )


def test_a_file_adds_a_term_that_trains(mine):
    own.use(mine)
    lm, losses = tiny_lm(), []
    request = Request("r", rows("f", 2))
    hooks = Hooks(log=lambda record: losses.append(record["terms"]["hinge(margin=1)"]))
    finetune(lm, request, rows("r", 4), hooks, objective="hinge(margin=1)", config=replace(CONFIG, lr=1e-2))
    assert losses[0] == pytest.approx(1.0, abs=1e-4)  # nothing is below the starting model yet
    assert losses[1] < 1.0


def test_a_file_is_run_again_only_if_it_changed(mine):
    own.use(mine)
    first = TERMS.get("hinge")
    own.use(mine)
    assert TERMS.get("hinge") is first
    kept = mine.stat()
    mine.write_text(TERM.replace("5.0", "6.0"))
    os.utime(mine, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # as large, and in the same second
    own.use(mine)
    assert TERMS.get("hinge").hyperparameters["margin"].default == 6.0
    assert own.used() == (mine,)


def test_the_code_of_an_item_is_the_digest_of_its_file(mine):
    own.use(mine)
    assert TERMS.get("hinge").code == hashlib.sha256(mine.read_bytes()).hexdigest()
    assert TERMS.get("npo").code == ""


def test_what_is_typed_into_a_program_has_code_as_well():
    def typed(text):
        space = {"__name__": "__main__"}
        exec(text, space)  # as an interpreter does, which keeps no source
        return TERMS.get("hinge").code

    assert typed(TERM) == typed(TERM) != typed(TERM.replace("+ margin", "- margin"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", r"mine\.py:1 can't be used: SyntaxError"),
        ("\nimport nothing_like_this\n", r"mine\.py:2 can't be used: ModuleNotFoundError: No module named"),
        ("x = 1\n\n\nx[0]\n", r"mine\.py:4 can't be used: TypeError"),
        (
            TERM.replace("def hinge", "def npo"),
            r"There is a term named 'npo' already, in forgetwell\.objectives",
        ),
    ],
)
def test_a_file_that_fails_says_where(mine, text, message):
    mine.write_text(text)
    before = set(sys.modules)
    with pytest.raises(InputError, match=message):
        own.use(mine)
    assert own.used() == ()
    assert not {name for name in sys.modules if name.startswith("forgetwell_own_")} - before


class TestBeside:
    """A file may import those beside it, and they count as part of it."""

    IMPORTING = TERM.replace(
        "from forgetwell", "from shares_of_mine import least\n\nfrom forgetwell", 1
    ).replace("min=0", "min=least.AT")

    @pytest.fixture(autouse=True)
    def modules(self, monkeypatch):
        yield
        for name in [n for n in sys.modules if n.partition(".")[0] == "shares_of_mine"]:
            del sys.modules[name]

    @pytest.fixture
    def beside(self, mine):
        package = mine.parent / "shares_of_mine"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "least.py").write_text("AT = 0.0\n")
        mine.write_text(self.IMPORTING)
        return package / "least.py"

    def test_it_is_imported_and_imported_again_if_it_changed(self, mine, beside):
        own.use(mine)
        first = TERMS.get("hinge")
        assert first.function.__globals__["least"].AT == 0.0
        assert first.code != hashlib.sha256(mine.read_bytes()).hexdigest()
        own.use(mine)
        assert TERMS.get("hinge") is first
        beside.write_text("AT = 1.0\n")  # as large, and in the same second
        own.use(mine)
        assert TERMS.get("hinge").function.__globals__["least"].AT == 1.0
        assert TERMS.get("hinge").code != first.code
        assert str(mine.parent) not in sys.path

    def test_the_digest_holds_what_is_imported_wherever_it_lies(self, tmp_path, mine, beside):
        digest = code_digest(mine)
        assert code_files(mine) == (mine, beside.parent / "__init__.py", beside)
        (tmp_path / "unrelated.py").write_text("x = 1")
        assert code_digest(mine) == digest
        shutil.copytree(mine.parent, tmp_path / "moved")
        assert code_digest(tmp_path / "moved" / "mine.py") == digest
        (tmp_path / "deeper.py").write_text("y = 1")
        beside.write_text("AT = 0.0\n\ndef later():\n    from deeper import y\n")
        assert code_files(mine)[1:] == (tmp_path / "deeper.py", beside.parent / "__init__.py", beside)

    def test_files_of_two_folders_have_their_own(self, tmp_path, mine, beside):
        own.use(mine)
        other = tmp_path / "other"
        shutil.copytree(beside.parent, other / "shares_of_mine")
        (other / "shares_of_mine" / "least.py").write_text("AT = 2.0\n")
        (other / "theirs.py").write_text(self.IMPORTING.replace("hinge", "bend"))
        own.use(other / "theirs.py")
        found = [TERMS.get(name).function.__globals__["least"].AT for name in ("hinge", "bend")]
        assert found == [0.0, 2.0]

    def test_a_name_that_another_module_has_is_refused(self, mine):
        (mine.parent / "json.py").write_text("x = 1")
        mine.write_text(f"import json\n{TERM}")
        with pytest.raises(InputError, match=r"imports json from beside it, and there is another .*json"):
            own.use(mine)

    def test_of_an_installed_file_its_package_alone_counts(self, tmp_path):
        package = tmp_path / "site-packages" / "mine_installed"
        package.mkdir(parents=True)
        for name, text in {
            "__init__": "",
            "terms": "import other_installed\nfrom . import shared\nfrom mine_installed.more import x",
            "shared": "",
            "more": "x = 1",
        }.items():
            (package / f"{name}.py").write_text(text)
        (package.parent / "other_installed.py").write_text("")
        names = [path.stem for path in code_files(package / "terms.py")]
        assert names == ["terms", "__init__", "more", "shared"]


def test_runs_remember_views_of_another_file(tmp_path, monkeypatch):
    monkeypatch.setattr(VIEWS, "_items", dict(VIEWS._items))
    texts = {
        "views.py": "from forgetwell.extend import view\n\n@view\ndef loud(pair, codec):\n"
        '    """Loud."""\n    return pair.forget\n',
        "terms.py": TERM.replace(
            "forget: Scored, forget_ref: Scored", "loud: Scored, loud_ref: Scored"
        ).replace("(forget.row_logps() - forget_ref", "(loud.row_logps() - loud_ref"),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        own.use(tmp_path / name)
    code = {
        "term hinge": code_digest(tmp_path / "terms.py"),
        "view loud": code_digest(tmp_path / "views.py"),
    }
    assert job().settings["own_code"] == code
    run = Run("plain", 0, "", "hinge + gdr")
    assert run_settings(BENCH, Setup(), run, tmp_path)["own_code"] == code


def test_only_python_files_are_run(tmp_path):
    with pytest.raises(MissingError, match=r"no file .*mine\.py"):
        own.use(tmp_path / "mine.py")
    (tmp_path / "rows.jsonl").write_text("{}")
    with pytest.raises(InputError, match="no Python file"):
        own.use(tmp_path / "rows.jsonl")


class TestInstalled:
    def points(self, monkeypatch, *values):
        found = tuple(EntryPoint(name="mine", value=value, group=own.GROUP) for value in values)
        monkeypatch.setattr(own, "_entry_points", lambda: found)

    def test_a_package_is_found_by_its_entry_point(self, tmp_path, monkeypatch):
        (tmp_path / "fw_installed.py").write_text(TERM)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "fw_installed", raising=False)
        self.points(monkeypatch, "fw_installed")
        monkeypatch.setattr(TERMS, "_scanned", False)
        assert TERMS.get("hinge").function.__module__ == "fw_installed"

    def test_one_that_fails_is_named(self, monkeypatch):
        self.points(monkeypatch, "fw_not_there")
        with pytest.raises(
            InputError, match="installed package fw_not_there says that it extends forgetwell"
        ):
            own.use_installed()
        with pytest.raises(InputError, match="fw_not_there"):  # not taken for loaded
            own.use_installed()


@pytest.mark.parametrize("wrong", ["out.mean()", "out[:1]", "1.0"])
def test_a_term_that_returns_another_shape_is_refused(mine, wrong):
    mine.write_text(TERM.replace("return (", "out = (") + f"    return {wrong}\n")
    own.use(mine)
    with pytest.raises(
        InputError, match=r"The term hinge .* one value for each row, here \(2,\), and it returned"
    ):
        finetune(tiny_lm(), Request("r", rows("f", 2)), (), Hooks(), objective="hinge", config=CONFIG)


class TestWhatRunsRemember:
    def test_settings_hold_the_code_of_what_is_named_alone(self, mine):
        own.use(mine)
        assert job().settings["own_code"] == {"term hinge": TERMS.get("hinge").code}
        assert "own_code" not in job("npo + gdr").settings

    def test_a_run_does_not_go_on_with_other_code(self, mine, tmp_path):
        own.use(mine)
        cut = job(config=replace(CONFIG, epochs=4, checkpoint_every=1))

        def stop(done, steps):
            if done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_job(cut, tmp_path / "out", lm=tiny_lm(), progress=stop)
        mine.write_text(TERM.replace("clamp(min=0)", "clamp(min=0.1)"))
        own.use(mine)
        with pytest.raises(InputError, match="code of your own"):
            run_job(cut, tmp_path / "out", lm=tiny_lm(), resume=True)

    def test_evaluations_and_rules_of_runs_hold_that_of_their_metrics(self, mine):
        mine.write_text(
            "from forgetwell.extend import Generation, row_metric\n\n\n"
            '@row_metric(better="high", meaning="Words.", paper="", range=(0, None))\n'
            "def words_said(generated: Generation) -> float:\n"
            '    """How many words an answer has."""\n'
            "    return float(len(generated.text.split()))\n"
        )
        own.use(mine)
        code = {"row metric words_said": ROW_METRICS.get("words_said").code}
        stopped = job("npo + gdr", config=replace(CONFIG, stop_at="forget.words_said<=3"))
        assert stopped.settings["own_code"] == code
        assert job("npo + gdr", keep_best="utility.words_said").settings["own_code"] == code
        asked = Measures(metrics=("words_said", "rouge_l_recall")).settings
        assert asked["own_code"] == {"row metric words_said": ROW_METRICS.get("words_said").code}

    def test_a_plan_s_runs_hold_that_of_all_they_name(self, mine, tmp_path):
        own.use(mine)
        (tmp_path / "attack.py").write_text(
            "from forgetwell.extend import Request, request_attack\n\n\n"
            '@request_attack(paper="", section="ours")\n'
            "def nothing(request: Request, *, seed: int = 0) -> Request:\n"
            '    """Do nothing."""\n'
            "    return request\n"
        )
        own.use(tmp_path / "attack.py")
        run = Run("attacked", 0, "nothing", "hinge + gdr", then="gdr")
        settings = run_settings(BENCH, Setup(), run, tmp_path)
        assert sorted(settings["own_code"]) == ["request attack nothing", "term hinge"]
        assert "own_code" not in run_settings(
            BENCH, Setup(), replace(run, attack="", objective="npo"), tmp_path
        )


def plan_of(tmp_path, bench, **changes):
    setup = Setup(config=TrainConfig(epochs=1, batch=2), per_set=1, floor=0.0)
    runs = (Run("plain", 0, "", "hinge + gdr"), Run("attacked", 0, "stealthy", "hinge + gdr"))
    return Plan("mine", "", 0.0, (Comparison("c", bench, str(tmp_path / "tiny"), setup, runs),))


@pytest.mark.slow
def test_processes_that_start_anew_know_the_items(mine, tmp_path):
    tiny_lm().save(tmp_path / "tiny")
    mine.write_text(TERM + BENCH_OF_ONES_OWN)
    own.use(mine)
    tables = grid.run_plan(plan_of(tmp_path, "toys"), tmp_path / "out", say=print, bar=bar, jobs=2)
    assert {c.condition for c in tables.cells} == {"plain", "attacked"}


BENCH_OF_ONES_OWN = '''

from forgetwell.extend import Bench, Row, bench
from forgetwell.training.config import TrainConfig


def made(prefix: str, count: int) -> tuple[Row, ...]:
    return tuple(Row(f"{prefix}{i}", f"Where is {prefix}{i}?", f"In {i}") for i in range(count))


@bench(paper="")
def toys(*, count: int = 2) -> Bench:
    """Return toys."""
    return Bench("toys", (), TrainConfig(), made("f", count), made("r", 4), {"kept": made("r", 4)}, 4)
'''


@pytest.mark.parametrize(
    ("given", "rest", "files"),
    [
        (["list", "--use", "a.py", "term"], ["list", "term"], ["a.py"]),
        (["--use=a.py", "list", "--use", "b.py"], ["list"], ["a.py", "b.py"]),
        (["list"], ["list"], []),
        (["list", "--use-it", "x"], ["list", "--use-it", "x"], []),
    ],
)
def test_the_command_line_takes_files_anywhere(given, rest, files):
    assert take_used(given) == (rest, files)


@pytest.mark.parametrize("given", [["list", "--use"], ["list", "--use="], ["list", "--use", "--json"]])
def test_it_wants_a_file(given):
    with pytest.raises(InputError, match="--use needs a Python file"):
        take_used(given)
