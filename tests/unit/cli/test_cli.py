import json
import subprocess
import sys

import pytest
from tests.unit.reports.test_differences import make as make_run

from forgetwell.cli import main


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["forgetwell", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code, capsys.readouterr()


def test_import_loads_no_torch():
    code = "import sys, forgetwell.cli.app; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_list_as_json(monkeypatch, capsys):
    code, output = run(monkeypatch, capsys, "list", "term", "--json")
    assert code == 0
    assert json.loads(output.out)["term"].keys() >= {"ga", "gdr", "klr", "npo", "simnpo", "idk", "dpo", "su"}


def test_show_has_formula_source_and_defaults(monkeypatch, capsys):
    _, output = run(monkeypatch, capsys, "show", "npo")
    assert "Source:" in output.out
    assert "beta = 0.1" in output.out


def test_compare_prints_every_difference(monkeypatch, capsys, tmp_path):
    runs = [make_run(tmp_path / c, c, [v] * 8, [1.0] * 8) for c, v in (("before", 1.0), ("plain", 0.2))]
    _, output = run(monkeypatch, capsys, "compare", *runs, "--metric", "rouge_l_recall")
    assert "NPO, honest request against Before unlearning" in output.out
    assert "forget/clean         -0.800  [-0.800, -0.800]  p=0.016  lower" in output.out
    code, output = run(monkeypatch, capsys, "compare", runs[0])
    assert code == 2
    assert "two evaluations" in output.err


@pytest.mark.parametrize("name", ["rouge_l_recall", "privleak"])
def test_show_explains_a_metric(monkeypatch, capsys, name):
    _, output = run(monkeypatch, capsys, "show", name)
    for word in ("meaning: ", "range: ", "direction: ", "reads: ", "source: arXiv "):
        assert word in output.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "npx"], "'npo'"),
        (["list", "terms"], "'term'"),
        (["attack-request", "missing.jsonl", "--attack", "stealthy", "--out", "x"], "no file missing.jsonl"),
    ],
)
def test_mistakes_exit_with_2_and_one_plain_message(monkeypatch, capsys, tmp_path, arguments, says):
    monkeypatch.chdir(tmp_path)
    code, output = run(monkeypatch, capsys, *arguments)
    assert code == 2
    assert says in output.err
    assert "Traceback" not in output.err


def test_attack_request_writes_a_file_once(monkeypatch, capsys, tmp_path):
    source, out = tmp_path / "r.jsonl", tmp_path / "a.jsonl"
    source.write_text('{"question": "Who is Ann?", "answer": "A spy."}\n')
    command = ["attack-request", source, "--attack", "stealthy(p=1)", "--out", out]
    code, output = run(monkeypatch, capsys, *command)
    assert code == 0
    assert "1 of 1 rows" in output.out
    row = json.loads(out.read_text())
    assert row["edit"]["prompt"] == "Who is Ann?"
    assert run(monkeypatch, capsys, *command)[0] == 2
