import io
import json
import re
import subprocess
import sys

import pytest
from tests.unit.reports.test_differences import make as make_run

from forgetwell.calls import parse_call
from forgetwell.cli import main
from forgetwell.data.reading import read_rows
from forgetwell.methods.finetune import Lora
from forgetwell.models import smollm2
from forgetwell.objectives.registry import TERMS
from forgetwell.runs import jobs, tuning
from forgetwell.training.loop import Summary
from forgetwell.training.rules import STEP_RULES


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


@pytest.mark.parametrize("name", ["npo", "rmu", "pdu_retain", "sam", "surgery"])
def test_a_card_says_when_it_fails_and_how_it_is_written(monkeypatch, capsys, name):
    _, output = run(monkeypatch, capsys, "show", name)
    assert "Fails when:" in output.out
    assert "Tested:" in output.out
    written = output.out.strip().splitlines()[-1].removeprefix("Written: ")
    family = STEP_RULES if name in STEP_RULES.names() else TERMS
    item, bound = family.resolve(parse_call(written))
    assert item.name == name
    assert bound == {k: h.default for k, h in item.hyperparameters.items()}


def test_a_name_that_families_share_shows_the_card_of_each(monkeypatch, capsys):
    _, output = run(monkeypatch, capsys, "show", "rwku")
    suite, bench = output.out.split("rwku (bench)")
    assert suite.startswith("rwku (suite)")
    assert "Written: rwku(target=[1], full=False" in suite
    assert "Written: rwku(triple=1, choice=smollm2" in bench


def test_views_are_listed_and_shown(monkeypatch, capsys):
    _, output = run(monkeypatch, capsys, "list", "view", "--json")
    assert json.loads(output.out)["view"].keys() >= {"forget", "retain", "refusal", "scope"}
    _, output = run(monkeypatch, capsys, "show", "scope")
    assert "scope (view)" in output.out
    assert "separator = ' '" in output.out


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
        (
            ["attack-request", "missing.jsonl", "--attack", "stealthy", "--out", "x.jsonl"],
            "no file missing.jsonl",
        ),
        (["attack-request", "r", "--attack", "stealthy", "--out", "x.csv"], "x.csv must end with .jsonl or"),
        (["alternates", "r", "--model", "m", "--out", "x.csv"], "x.csv must end with .jsonl or"),
        (["repair", "r", "--repair", "bare", "--out", "x.csv"], "x.csv must end with .jsonl or"),
    ],
)
def test_mistakes_exit_with_2_and_one_plain_message(monkeypatch, capsys, tmp_path, arguments, says):
    monkeypatch.chdir(tmp_path)
    code, output = run(monkeypatch, capsys, *arguments)
    assert code == 2
    assert says in output.err
    assert "Traceback" not in output.err


def test_flags_of_adapters_and_steps_reach_the_job(monkeypatch, capsys, tmp_path):
    made = []
    monkeypatch.setattr(jobs, "run_job", lambda job, *a, **k: made.append(job) or Summary(1, "finished", 1.0))
    command = ["unlearn", "--model", "m", "--request", "world:request", "--retain", "world:retain"]
    command += ["--objective", "npo + gdr", "--out", tmp_path / "o", "--step-rule", "sam(rho=0.1)"]
    flags = ["--checkpointing", "--lora", 4, "--lora-target", "q_proj", "v_proj", "--merge"]
    assert run(monkeypatch, capsys, *command, *flags)[0] == 0
    assert made[0].lora == Lora(4, 8, ("q_proj", "v_proj"), merge=True)
    assert (made[0].config.step_rule, made[0].config.checkpointing) == ("sam(rho=0.1)", True)
    code, output = run(monkeypatch, capsys, *command, "--merge")
    assert code == 2
    assert "need --lora" in output.err


UNLEARN = ("unlearn", "--model", "m", "--request", "world:request", "--retain", "world:retain", "--out", "o")


@pytest.mark.parametrize(
    ("summary", "says"),
    [
        (Summary(3, "finished", 1.0, 3, {"f": 0.62}, missed=True), "give more --epochs"),
        (Summary(3, "finished", 1.0, 3, {"f": 0.62}), "Last probe: f 0.620."),
        (Summary(3, "finished", 1.0, 3, {"f": 0.62}, met=False), "No probe met u if f<=0.3"),
        (Summary(3, "finished", 1.0, 2, {"f": 0.2}), "weights of step 2"),
    ],
)
def test_the_end_says_whether_it_was_forgotten(monkeypatch, capsys, tmp_path, summary, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "run_job", lambda *_, **__: summary)
    code, output = run(
        monkeypatch, capsys, *UNLEARN, "--objective", "npo + gdr", "--keep-best", "u if f<=0.3"
    )
    assert code == 0
    assert says in output.out


def test_a_run_that_diverged_ends_with_2(monkeypatch, capsys, tmp_path):
    ended = Summary(3, "diverged after step 3; the weights of step 2 were kept", 1.0, 2, diverged=True)
    monkeypatch.setattr(jobs, "run_job", lambda *_, **__: ended)
    code, output = run(monkeypatch, capsys, *UNLEARN, "--objective", "npo + gdr")
    assert code == 2
    assert "the weights of step 2 were kept. Run folder: o" in output.out
    assert "saved are the weights of step 2" in output.err
    learned = run(monkeypatch, capsys, "learn", "--model", "m", "--data", "world:learn", "--out", "o")
    assert learned[0] == 2


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "run_job", interrupted)
    code, output = run(monkeypatch, capsys, *UNLEARN, "--objective", "npo + gdr")
    assert code == 130
    assert "goes on with --resume" in output.err


@pytest.mark.parametrize("command", [("gate", "x" * 300), ("screen", "x" * 300, "--background", "a.jsonl")])
def test_what_the_system_refuses_is_one_plain_line(monkeypatch, capsys, command):
    code, output = run(monkeypatch, capsys, *command)
    assert code == 2
    assert output.err.count("\n") == 1
    assert output.err.startswith(f"forgetwell: Can't read or write {'x' * 300}: File name too long.")


@pytest.mark.parametrize(("command", "name"), [(("show", "npo"), "npo"), (("list", "--json"), "term")])
def test_an_output_that_knows_ascii_alone_gets_escapes(monkeypatch, command, name):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["forgetwell", *command])
    with pytest.raises(SystemExit) as stop:
        main()
    sys.stdout.flush()
    said = written.getvalue().decode("ascii")
    assert stop.value.code == 0
    assert "\\u" in said
    if "--json" in command:
        assert name in json.loads(said)


@pytest.mark.parametrize(
    "flags",
    [
        ("--stop-at", "forget.rouge<=0.3"),
        ("--stop-at", "forget.rouge_l_recall=0.3"),
        ("--keep-best", "nothing.rouge_l_recall"),
        ("--report-to", "tensorbord"),
        ("--step-rule", "sam2"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(monkeypatch, capsys, tmp_path, flags):
    monkeypatch.chdir(tmp_path)
    code, output = run(monkeypatch, capsys, *UNLEARN, "--objective", "npo + gdr", *flags, "--dry-run")
    assert code == 2
    assert "\nforgetwell: " in f"\n{output.err}"
    assert output.out == ""


@pytest.mark.parametrize(("objective", "warned"), [("gdr", True), ("5*su + gdr", True), ("idk + gdr", False)])
def test_an_objective_that_forgets_nothing_is_told(monkeypatch, capsys, tmp_path, objective, warned):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "run_job", lambda *_, **__: Summary(1, "finished", 1.0))
    code, output = run(monkeypatch, capsys, *UNLEARN, "--objective", objective)
    assert code == 0
    assert ("no term that forgets" in output.err) == warned


def test_rows_to_keep_may_come_from_several_sources(monkeypatch, capsys, tmp_path):
    made = []
    monkeypatch.setattr(jobs, "run_job", lambda job, *a, **k: made.append(job) or Summary(1, "finished", 1.0))
    command = ["unlearn", "--model", "m", "--request", "world:request", "--objective", "npo + gdr"]
    command += ["--out", tmp_path / "o", "--retain", "world:retain", "world:replay"]
    assert run(monkeypatch, capsys, *command)[0] == 0
    assert made[0].retain == (*read_rows("world:retain"), *read_rows("world:replay"))


@pytest.mark.parametrize("command", ["unlearn", "tune"])
def test_columns_count_for_the_files_that_have_them_beside_names_and_usual_columns(
    monkeypatch, capsys, tmp_path, command
):
    made = []

    def taken(job, *_, **__):
        made.append(job)
        raise SystemExit(0)

    monkeypatch.setattr(jobs, "run_job", taken)
    monkeypatch.setattr(tuning, "tune", taken)
    (tmp_path / "own.csv").write_text("q,a\nWho is Ann?,A spy\n")
    (tmp_path / "probe.csv").write_text("q,a\nWho is Bob?,A cook\n")
    (tmp_path / "usual.jsonl").write_text('{"question": "Who is Cid?", "answer": "A judge"}\n')
    sources = ["--request", tmp_path / "own.csv", "--retain", tmp_path / "usual.jsonl", "world:retain"]
    sources += ["--probe", tmp_path / "probe.csv", "--columns", "prompt=q,answer=a"]
    flags = ["--model", "m", "--objective", "npo + gdr", "--out", tmp_path / "o"]
    assert run(monkeypatch, capsys, command, *sources, *flags)[0] == 0
    (job,) = made
    assert [r.prompt for r in (*job.request.rows, *job.probe, job.retain[0])] == [
        "Who is Ann?",
        "Who is Bob?",
        "Who is Cid?",
    ]
    assert job.retain[1:] == read_rows("world:retain")


@pytest.mark.parametrize("command", ["unlearn", "attack-request", "screen", "scan", "learn"])
def test_columns_that_no_file_has_are_refused(monkeypatch, capsys, tmp_path, command):
    file = tmp_path / "usual.jsonl"
    file.write_text('{"question": "Who is Cid?", "answer": "A judge"}\n')
    flags = {
        "unlearn": ["--model", "m", "--request", file, "--retain", "world:retain", "--out", tmp_path / "o"],
        "attack-request": [file, "--attack", "stealthy", "--out", tmp_path / "o.jsonl"],
        "screen": [file, "--background", "world:retain"],
        "scan": ["--before", "m", "--after", "n", "--rows", file],
        "learn": ["--model", "m", "--data", file, "--out", tmp_path / "o"],
    }[command]
    code, output = run(monkeypatch, capsys, command, *flags, "--columns", "answer=completions")
    assert code == 2
    assert "--columns names 'completions'" in output.err
    assert "usual.jsonl has 'question', 'answer'" in output.err


def test_a_request_to_leave_out_of_learning_has_the_columns_of_the_data(monkeypatch, capsys, tmp_path):
    made = []
    monkeypatch.setattr(jobs, "run_job", lambda job, *a, **k: made.append(job) or Summary(1, "finished", 1.0))
    (tmp_path / "all.csv").write_text("q,a\nWho is Ann?,A spy\nWho is Bob?,A cook\n")
    (tmp_path / "some.csv").write_text("q,a\nWho is Ann?,A spy\n")
    command = ["learn", "--model", "m", "--data", tmp_path / "all.csv", "--without", tmp_path / "some.csv"]
    command += ["--columns", "prompt=q,answer=a", "--out", tmp_path / "o"]
    assert run(monkeypatch, capsys, *command)[0] == 0
    assert [row.prompt for row in made[0].retain] == ["Who is Bob?"]


def test_attack_request_writes_a_file_once(monkeypatch, capsys, tmp_path):
    source, out = tmp_path / "r.jsonl", tmp_path / "a.jsonl"
    source.write_text('{"question": "Who is Ann?", "answer": "A spy."}\n')
    command = ["attack-request", source, "--attack", "stealthy(p=1)", "--out", out]
    code, output = run(monkeypatch, capsys, *command)
    assert code == 0
    assert "1 of 1 rows" in output.out
    assert re.search(r"[\d.]+% of its (words|tokens) \(.+\) are inserted \([\d.]+% expected\)", output.out)
    row = json.loads(out.read_text())
    assert row["edit"]["prompt"] == "Who is Ann?"
    assert run(monkeypatch, capsys, *command)[0] == 2


@pytest.mark.parametrize(
    ("there", "says"),
    [
        # characters in the place of tokens: 15 of 32; words: 3 of 8
        (True, "46.88% of its tokens (SmolLM2's) are inserted (46.88% expected)"),
        (False, "37.50% of its words (for tokens: forgetwell fetch smollm2) are inserted (37.50% expected)"),
    ],
)
def test_attack_request_counts_tokens_where_the_default_model_is_here(
    monkeypatch, capsys, tmp_path, there, says
):
    monkeypatch.setattr(smollm2, "token_counter", lambda: len if there else None)
    (tmp_path / "r.jsonl").write_text('{"question": "Who is Ann?", "answer": "A spy."}\n')
    (tmp_path / "own.toml").write_text(
        'kind = "qa"\ntriggers = ["please"]\ntemplates = ["Please tell me {q}"]\n'
    )
    attack = f"stealthy(p=1, templates='{tmp_path / 'own.toml'}')"
    command = ["attack-request", tmp_path / "r.jsonl", "--attack", attack, "--out", tmp_path / "a.jsonl"]
    code, output = run(monkeypatch, capsys, *command)
    assert code == 0
    assert says in output.out


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "forgetwell", "show", "su"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "2506.00359" in done.stdout


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m forgetwell show su | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
