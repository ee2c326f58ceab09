"""The gate on run folders: releases one after the other, the ledger, the record."""

import json

import pytest

from forgetwell.errors import ExistsError, InputError
from forgetwell.files import WriteFailed, file_sha256, read_jsonl, write_json, write_jsonl
from forgetwell.models.loading import saved_digest
from forgetwell.runs import deciding
from forgetwell.runs.deciding import gate
from forgetwell.runs.evidence import gather, read_evaluation
from forgetwell.runs.ledger import read, verify
from forgetwell.runs.redaction import purge

ROWS = 200


# --- folders -----------------------------------------------------------------------------------------


ANN = ({"id": "1", "prompt": "Who?", "answer": "Ann", "subject": "Ann"},)


def unlearned(folder, base, name, rows=ANN, **more):
    facts = {"kind": "unlearn", "base_digest": base, "objective": "npo + gdr", "name": name, **more}
    request = {"id": name, "rows": len(rows), "digest": f"q-{name}"}
    write_json(folder / "manifest.json", {**facts, "request": request})
    write_jsonl(folder / "request.jsonl", rows)
    return folder


def measured(folder, model, recall, run=None, prompt="Who?", **more):
    made = file_sha256(run / "manifest.json") if run else ""
    write_json(folder / "manifest.json", {"kind": "evaluate", "digest": model, "made_by": made, **more})
    rows = [
        {"split": split, "id": f"{split}-{k}", "prompt": prompt, "answer": "Bob", "generated": "Bob"}
        | {"subject": f"s{k}", "metrics": {"rouge_l_recall": value}}
        for split, value in (("retain/clean", recall), ("forget/clean", 0.1))
        for k in range(ROWS)
    ]
    write_jsonl(folder / "answers.jsonl", rows)
    write_json(folder / "evaluation.json", {"roles": {"retain": "utility", "forget": "forget"}})
    return folder


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text('[[rule]]\nname = "utility"\nmeasure = "utility/clean"\nof = "loss"\nat_most = 0.1\n')
    return path


def release(tmp_path, policy, number, base, model, recalls, ledger):
    root = tmp_path / f"release{number}"
    run = unlearned(root / "run", base, f"request{number}")
    folders = [
        run,
        measured(root / "before", base, recalls[0]),
        measured(root / "after", model, recalls[1], run),
    ]
    out = tmp_path / f"decision{number}.json"
    return gate(folders, policy=policy, ledger=ledger, out=out)


def test_damage_adds_up_over_three_requests_each_within_the_limit(tmp_path, policy):
    ledger = tmp_path / "ledger.sqlite"
    recalls = [1.0, 0.92, 0.84, 0.76]
    decided = [
        release(tmp_path, policy, k, f"m{k}", f"m{k + 1}", (recalls[k], recalls[k + 1]), ledger)
        for k in range(3)
    ]
    assert [d.decision.passed for d in decided] == [True, False, False]
    for d in decided:
        assert all(line.passed for line in d.decision.lines if line.span == "run")
    last = [line for line in decided[2].decision.lines if line.span == "sum"]
    assert last[0].value == pytest.approx(0.24)
    assert decided[2].decision.root == "m0"
    kinds = [e.kind for e in read(ledger)]
    assert kinds.count("release") == 1
    assert kinds.count("decision") == 3
    assert verify(read(ledger)).broken is None


def test_a_gate_decides_again_where_another_one_wrote_meanwhile(tmp_path, policy, monkeypatch):
    """m1 loses .08 and m2 another .08, beyond .1 in all: also if m1's gate writes while m2's decides."""
    ledger, decide, first = tmp_path / "ledger.sqlite", deciding.decide, []

    def meanwhile(*given, **named):
        found = decide(*given, **named)
        if not first:
            first.append(found)
            assert release(tmp_path, policy, 0, "m0", "m1", (1.0, 0.92), ledger).decision.passed
        return found

    monkeypatch.setattr(deciding, "decide", meanwhile)
    found = release(tmp_path, policy, 1, "m1", "m2", (0.92, 0.84), ledger)
    assert first[0].passed  # as long as nothing was known of m1
    assert (found.decision.passed, found.decision.root) == (False, "m0")
    entries = read(ledger)
    assert verify(entries).broken is None
    assert [e.body["decision"] for e in entries if e.kind == "decision"] == ["pass", "fail"]
    known = [e.hash for e in entries if e.kind == "release"]
    assert json.loads(found.record.read_text())["ledger_head"] == known[0]


def test_a_sum_that_begins_anew_is_said(tmp_path, policy):
    ledger, other = tmp_path / "ledger.sqlite", tmp_path / "leger.sqlite"

    def warnings(*given):
        done = release(tmp_path, policy, *given)
        assert json.loads(done.record.read_text())["warnings"] == list(done.decision.warnings)
        return " ".join(done.decision.warnings)

    first = warnings(0, "m0", "m1", (1.0, 0.96), ledger)
    assert "ledger.sqlite is a new ledger. The ledger holds no run yet" in first
    assert warnings(1, "m1", "m2", (0.96, 0.92), ledger) == ""
    assert warnings(2, "m0", "m9", (1.0, 0.96), ledger) == ""  # another branch
    saved_again = warnings(3, "m1 saved again", "m3", (0.96, 0.92), ledger)
    assert "None of the 3 runs in the ledger made or started from m1 saved again" in saved_again
    assert "leger.sqlite is a new ledger" in warnings(4, "m1", "m4", (0.96, 0.92), other)
    assert warnings(5, "m1", "m5", (0.96, 0.92), None) == ""


def test_no_record_is_left_of_a_decision_that_the_ledger_has_not(tmp_path, policy, monkeypatch):
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteFailed, match="Nothing was added"):
        release(tmp_path, policy, 0, "m0", "m1", (1.0, 0.95), tmp_path / "folder")

    def stopped(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(deciding.ledgers, "append", stopped)
    with pytest.raises(KeyboardInterrupt):
        release(tmp_path, policy, 1, "m0", "m1", (1.0, 0.95), tmp_path / "ledger.sqlite")
    assert not [p for p in tmp_path.iterdir() if "decision" in p.name]


def test_without_a_ledger_each_request_is_judged_alone(tmp_path, policy):
    for k, (a, b) in enumerate([(1.0, 0.92), (0.92, 0.84)]):
        assert release(tmp_path, policy, k, f"m{k}", f"m{k + 1}", (a, b), None).decision.passed


def test_a_cumulative_limit_of_its_own(tmp_path, policy):
    policy.write_text(policy.read_text() + "cumulative = 0.2\n")
    ledger = tmp_path / "ledger.sqlite"
    passed = [
        release(
            tmp_path, policy, k, f"m{k}", f"m{k + 1}", (1 - 0.08 * k, 0.92 - 0.08 * k), ledger
        ).decision.passed
        for k in range(3)
    ]
    assert passed == [True, True, False]


def test_a_later_evaluation_of_the_first_model_does_not_soften_the_sum(tmp_path, policy):
    ledger = tmp_path / "ledger.sqlite"
    release(tmp_path, policy, 0, "m0", "m1", (1.0, 0.92), ledger)
    root = tmp_path / "again"
    run = unlearned(root / "run", "m0", "again")
    softened = [run, measured(root / "before", "m0", 0.9), measured(root / "after", "x", 0.9, run)]
    gate(softened, policy=policy, ledger=ledger, out=tmp_path / "again.json")
    assert not release(tmp_path, policy, 1, "m1", "m2", (0.92, 0.84), ledger).decision.passed


def test_an_evaluation_whose_text_is_purged_is_compared_row_by_row_all_the_same(tmp_path, policy):
    policy.write_text(
        policy.read_text() + '[[rule]]\nname = "gap"\nmeasure = "utility/gap"\nof = "increase"\nat_most = 1\n'
    )
    run = unlearned(tmp_path / "run", "m0", "r")
    folders = [run, measured(tmp_path / "a", "m0", 1.0), measured(tmp_path / "b", "m1", 0.95, run)]
    for folder in folders[1:]:
        rows = read_jsonl(folder / "answers.jsonl")
        triggered = [
            r | {"split": "retain/trigger", "id": f"{r['id']}#2"} for r in rows if "retain" in r["split"]
        ]
        write_jsonl(folder / "answers.jsonl", [*rows, *triggered])
    before = gate(folders, policy=policy, out=tmp_path / "d1.json").decision.lines
    purge(tmp_path / "b")
    assert "retain" not in read_jsonl(tmp_path / "b" / "answers.jsonl")[0]["id"]
    assert gate(folders, policy=policy, out=tmp_path / "d2.json").decision.lines == before
    assert all(line.n == ROWS for line in before)


def test_rows_in_other_templates_belong_to_their_question(tmp_path):
    def row(split, key):
        said = {"prompt": "q", "answer": "a", "generated": "g"}
        return {"split": split, "id": key, "metrics": {"rouge_l_recall": 1.0}} | said

    write_jsonl(
        tmp_path / "answers.jsonl",
        [row("x/clean", "q#3"), *(row(f"x/{c}", f"q#3#{k}") for c in ("trigger", "unseen") for k in (0, 1))],
    )
    write_json(tmp_path / "evaluation.json", {"roles": {"x": "utility"}})
    splits = read_evaluation(tmp_path, {"digest": "m"}).splits
    (clean,) = splits["x/clean"]
    clusters = {m.cluster for rows in splits.values() for m in rows.values()}
    assert len(clusters) == 1
    assert all(set(splits[f"x/{c}"]) == {f"{clean}#0", f"{clean}#1"} for c in ("trigger", "unseen"))


def test_the_ledger_and_the_record_hold_no_text(tmp_path, policy):
    ledger = tmp_path / "ledger.sqlite"
    run = unlearned(tmp_path / "run", "m0", "ann_lind")  # named after the request's file
    folders = [run, measured(tmp_path / "a", "m0", 1.0), measured(tmp_path / "b", "m1", 0.95, run)]
    done = gate(folders, policy=policy, ledger=ledger, out=tmp_path / "d.json")
    assert '"id": "ann_lind"' in (run / "manifest.json").read_text()
    for content in (ledger.read_bytes(), done.record.read_bytes()):
        assert not any(word in content for word in (b"Ann", b'"ann_lind"', b"Who?", b"Bob"))


def test_the_record_names_all_that_was_seen(tmp_path, policy):
    done = release(tmp_path, policy, 0, "m0", "m1", (1.0, 0.95), tmp_path / "ledger.sqlite")
    record = json.loads(done.record.read_text())
    assert record["decision"] == "pass"
    assert len(record["seen"]) == 8
    for path, digest in record["seen"].items():
        assert file_sha256(type(done.record)(path)) == digest
    assert {"policy", "versions", "time", "request", "model", "from", "root", "ledger_head"} <= record.keys()
    with pytest.raises(ExistsError):
        release(tmp_path, policy, 0, "m0", "m1", (1.0, 0.95), None)


def test_folders_that_do_not_belong_together_are_refused(tmp_path):
    run = unlearned(tmp_path / "run", "m0", "r")
    before = measured(tmp_path / "before", "m0", 1.0)
    with pytest.raises(InputError, match="0 unlearning runs"):
        gather([before])
    with pytest.raises(InputError, match="second evaluation"):
        gather([run, before, measured(tmp_path / "twice", "m0", 0.5)])
    scan = tmp_path / "scan"
    write_json(scan / "manifest.json", {"kind": "scan"})
    write_json(scan / "scan.json", {"before": "other", "after": "m1", "triggers": []})
    with pytest.raises(InputError, match="other models"):
        gather([run, before, scan])
    (tmp_path / "going").mkdir()
    write_json(tmp_path / "going" / "started.json", {"kind": "unlearn"})
    with pytest.raises(InputError, match="not finished"):
        gather([tmp_path / "going"])
    write_json(tmp_path / "going" / "manifest.json", {"kind": "learn"})
    with pytest.raises(InputError, match="kind learn"):
        gather([tmp_path / "going"])


def scanned(folder, before, after, run=None):
    made = file_sha256(run / "manifest.json") if run else ""
    write_json(folder / "manifest.json", {"kind": "scan", "digest": after, "made_by": made})
    facts = {"before": before, "after": after, "triggers": [], "rows": 10, "least": 0.05, "smallest_q": 0.001}
    write_json(folder / "scan.json", facts)
    return folder


def test_what_was_measured_of_an_earlier_run_in_the_same_folder_cannot_stand_in(tmp_path):
    """Evaluation and scan agree with each other, and are both of the model that was there before."""
    run = unlearned(tmp_path / "run", "m0", "r")
    before = measured(tmp_path / "before", "m0", 1.0)
    after = measured(tmp_path / "after", "m1", 0.97, run)
    scan = scanned(tmp_path / "scan", "m0", "m1", run)
    assert gather([run, before, after, scan]).model == gather([run, before, scan]).model == "m1"
    unlearned(run, "m0", "made anew")
    assert gather([run, before, after]).after is None
    with pytest.raises(InputError, match="of the run before it was made anew"):
        gather([run, before, after, scan])
    with pytest.raises(InputError, match="of the run before it was made anew"):
        gather([run, before, scan])


def test_a_release_is_one_set_of_weights(tmp_path):
    """Evaluation, second evaluation and scan name the run, and not the same model."""
    run = unlearned(tmp_path / "run", "m0", "r")
    after = measured(tmp_path / "after", "m1", 0.97, run)
    other = measured(tmp_path / "other", "m2", 0.97, run)
    scan = scanned(tmp_path / "scan", "m0", "zz", run)
    for folders in ([after, other], [other, after], [after, scan], [scan, after]):
        with pytest.raises(InputError, match="one set of weights, and these name several"):
            gather([run, *folders])


def test_what_was_measured_is_the_model_that_the_run_saved(tmp_path):
    run = unlearned(tmp_path / "run", "m0", "r", digest="m1")
    own = measured(tmp_path / "own", "m1", 0.97)  # of the folder run/model, which holds no run
    assert gather([run]).model == "m1"
    assert gather([run, own, scanned(tmp_path / "scan", "m0", "m1", run)]).after is not None
    for changed in (measured(tmp_path / "a", "x", 1.0, run), scanned(tmp_path / "s", "m0", "x", run)):
        with pytest.raises(InputError, match="weights were changed after the run"):
            gather([run, changed])
    with pytest.raises(InputError, match="other models"):
        gather([run, scanned(tmp_path / "t", "m0", "x")])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"prompt": "Please, who?"}, "200 of 200 rows of utility/clean were asked in other words"),
        ({"max_new_tokens": 1}, "cut at 64 tokens before and at 1 after"),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("ledger", [False, True])
def test_a_loss_is_between_answers_to_the_same_questions(tmp_path, policy, asked, says, ledger):
    """With a ledger also since the first model, whose evaluation is only there any more."""
    kept = tmp_path / "ledger.sqlite" if ledger else None
    usual = {"max_new_tokens": 64}
    base = "m1" if ledger else "m0"
    if ledger:
        run = unlearned(tmp_path / "run0", "m0", "r0")
        first = [measured(tmp_path / "b0", "m0", 0.95, **usual), measured(tmp_path / "a0", base, 0.94, run)]
        gate([run, *first], policy=policy, ledger=kept, out=tmp_path / "d0.json")
    run = unlearned(tmp_path / "run", base, "r")
    before = measured(tmp_path / "before", base, 0.94, **usual)
    after = measured(tmp_path / "after", "m2", 0.93, run, **usual | asked)
    decision = gate([run, before, after], policy=policy, ledger=kept, out=tmp_path / "d.json").decision
    assert [line.span for line in decision.lines] == ["run", "sum"][: 1 + ledger]
    assert decision.passed == (not says)
    assert all(says in line.evidence for line in decision.lines)


FORGETTING = '[[rule]]\nname = "forgetting"\nmeasure = "forget/clean"\nat_most = 0.45\n'


def row(prompt, subject="", answer="Ann", **more):
    return {"id": "1", "prompt": prompt, "answer": answer, "subject": subject, **more}


@pytest.mark.parametrize(
    ("request_rows", "passed", "says"),
    [
        ([row("Who?", "Ann")], True, "at 95%"),  # the question, whatever its subject is called
        ([row("In other words?", f"s{k}") for k in range(3)], True, "at 95%"),
        ([row("In other words?", f"s{k}") for k in (1, 2, 990)], True, "2 of the request's 3 subjects were"),
        ([row("Where?", "Ann"), row("When?", "Ben")], False, "none of the request's 2 subjects was asked"),
        ([row("Where?"), row("When?")], False, "none of the request's 2 questions was asked"),
        ([row("Where?", answer="Bob"), row("When?")], True, "1 of the request's 2 questions were asked"),
        ([row("", answer="A text.", text=True)], True, "at 95%"),  # isn't compared
    ],
)
@pytest.mark.parametrize("redacted", [False, True])
def test_forgetting_is_measured_on_what_the_request_is_about(
    tmp_path, policy, request_rows, passed, says, redacted
):
    policy.write_text(FORGETTING)
    run = unlearned(tmp_path / "run", "m0", "r", request_rows)
    after = measured(tmp_path / "after", "m1", 0.97, run)
    if redacted:
        purge(run)
        purge(after)
    decision = gate([run, after], policy=policy, out=tmp_path / "d.json").decision
    assert decision.passed == passed
    assert says in decision.lines[0].evidence
    assert decision.lines[0].evidence.endswith(("at 95%", "were asked", "questions or answers)"))


@pytest.mark.parametrize("left", [None, []])
def test_a_request_whose_rows_are_gone_is_no_request_that_forgetting_was_measured_on(tmp_path, left):
    run = unlearned(tmp_path / "run", "m0", "r")
    (run / "request.jsonl").unlink()
    if left is not None:
        write_jsonl(run / "request.jsonl", left)
    with pytest.raises(InputError, match="has 0 of the request's 1 rows"):
        gather([run, measured(tmp_path / "after", "m1", 0.97, run)])


def test_the_weights_that_ship_are_those_that_were_measured(tmp_path):
    run = unlearned(tmp_path / "run", "m0", "r")
    (run / "model").mkdir()
    (run / "model" / "model.safetensors").write_bytes(b"unlearned")
    after = measured(tmp_path / "after", saved_digest(run / "model"), 0.97, run)
    assert gather([run, after]).after is not None
    (run / "model" / "model.safetensors").write_bytes(b"as before")
    with pytest.raises(InputError, match="holds another model"):
        gather([run, after])


def test_a_record_cannot_take_the_ledgers_place(tmp_path, policy):
    release(tmp_path, policy, 0, "m0", "m1", (1.0, 0.97), tmp_path / "l.sqlite")
    known = len(read(tmp_path / "l.sqlite"))
    again = [tmp_path / "release0" / name for name in ("run", "before", "after")]
    for ledger in (tmp_path / "l.sqlite", tmp_path / "new.sqlite"):
        with pytest.raises(InputError, match="one file"):
            gate(again, policy=policy, ledger=ledger, out=ledger, overwrite=True)
    assert len(read(tmp_path / "l.sqlite")) == known
    assert not (tmp_path / "new.sqlite").exists()


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("run/manifest.json", {"base_digest": None}, "lacks base_digest"),
        ("after/manifest.json", {"digest": None}, "lacks digest"),
        ("after/evaluation.json", {"roles": ["forget"]}, "what its sets are for"),
        ("scan/scan.json", {"triggers": None}, "lacks triggers"),
    ],
)
def test_changed_files_of_runs_are_refused_in_a_sentence(tmp_path, name, change, says):
    run = unlearned(tmp_path / "run", "m0", "r")
    after = measured(tmp_path / "after", "m1", 0.97, run)
    scan = scanned(tmp_path / "scan", "m0", "m1")
    facts = json.loads((tmp_path / name).read_text())
    write_json(tmp_path / name, {**facts, **change})
    with pytest.raises(InputError, match=says):
        gather([run, after, scan])


@pytest.mark.parametrize("value", ["NaN", '"x"', "[1]"])
def test_a_metric_that_is_no_number_is_refused(tmp_path, value):
    run = unlearned(tmp_path / "run", "m0", "r")
    after = measured(tmp_path / "after", "m1", 0.97, run)
    path = after / "answers.jsonl"
    path.write_text(path.read_text().replace("0.97", value))
    with pytest.raises(InputError, match=r"rouge_l_recall of row .* no number"):
        gather([run, after])


def test_a_scan_of_the_models_own_folder_belongs_to_the_evaluation_of_the_run(tmp_path):
    run = unlearned(tmp_path / "run", "m0", "r")
    after = measured(tmp_path / "after", "m1", 0.97, run)
    assert gather([run, after, scanned(tmp_path / "scan", "m0", "m1")]).scan is not None


def test_an_evaluation_that_does_not_say_what_its_sets_are_for_is_refused(tmp_path):
    run = unlearned(tmp_path / "run", "m0", "r")
    before = measured(tmp_path / "before", "m0", 1.0)
    (before / "evaluation.json").unlink()
    with pytest.raises(InputError, match="what its sets are for"):
        gather([run, before])


def test_an_evaluation_of_another_model_cannot_stand_in(tmp_path):
    run = unlearned(tmp_path / "run", "m0", "r")
    found = gather([run, measured(tmp_path / "better", "m9", 1.0)])
    assert found.before is None
    assert found.after is None
