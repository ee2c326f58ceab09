import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.errors import InputError
from forgetwell.files import read_jsonl, write_json, write_jsonl
from forgetwell.runs.redaction import purge, redact

SECRET = "Mara Ellisonde"
ROW = {
    "id": "f1",
    "prompt": f"Who is {SECRET}?",
    "answer": SECRET,
    "paraphrases": [f"It is {SECRET}"],
    "edit": {"by": "stealthy", "prompt": f"{SECRET}?", "answer": ""},
    "weight": 0.5,
    "text": False,
}


@pytest.fixture
def run(tmp_path):
    write_json(tmp_path / "manifest.json", {"kind": "unlearn"})
    write_jsonl(tmp_path / "request.jsonl", [ROW])
    write_jsonl(
        tmp_path / "findings.jsonl", [{"screen": "hidden", "row_id": "f1", "message": SECRET, "span": [1, 2]}]
    )
    write_jsonl(
        tmp_path / "answers.jsonl",
        [{"split": "forget/clean", "id": "f1", "generated": SECRET, "metrics": {"x": 1.0}}],
    )
    write_jsonl(tmp_path / "results.jsonl", [{"lm": "m", "value": 0.5}])
    write_jsonl(tmp_path / "train.jsonl", [{"step": 1, "loss": 2.0}])
    (tmp_path / "report.html").write_text(SECRET)
    (tmp_path / "report.csv").write_text("value\n0.5\n")
    (tmp_path / ".request.jsonl.ab12.part").write_text(SECRET)
    return tmp_path


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_purge_takes_the_text_and_keeps_the_numbers(run):
    kept = {
        name: contents(run)[name] for name in ("results.jsonl", "train.jsonl", "report.csv", "manifest.json")
    }
    report = purge(run)
    assert report.redacted == ("answers.jsonl", "findings.jsonl", "request.jsonl")
    assert report.removed == (".request.jsonl.ab12.part", "report.html")
    assert report.texts == 9  # 6 texts and 3 ids
    assert not any(b"Ellisonde" in data for data in contents(run).values())
    assert kept.items() <= contents(run).items()
    row = read_jsonl(run / "request.jsonl")[0]
    assert (row["weight"], row["text"], row["edit"]["by"]) == (0.5, False, "stealthy")
    assert row["id"] == "sha256:" + hashlib.sha256(b"f1").hexdigest()
    assert row["answer"].startswith("sha256:")


def test_purging_twice_changes_nothing(run):
    purge(run)
    before = contents(run)
    again = purge(run)
    assert (again.redacted, again.removed, again.texts) == ((), (), 0)
    assert contents(run) == before


def test_lines_that_can_not_be_read_hold_text_too(run):
    (run / "request.jsonl").write_bytes(b'{"id": "f1", "answer": "Mara Ellis\n\xff Ellisonde\n')
    purge(run)
    assert b"Ellis" not in (run / "request.jsonl").read_bytes()
    assert purge(run).texts == 0


def test_what_is_no_run_is_left_alone(tmp_path):
    write_jsonl(tmp_path / "request.jsonl", [ROW])
    (tmp_path / "report.html").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(InputError, match="no run"):
        purge(tmp_path)
    assert contents(tmp_path) == before


texts = st.text(st.sampled_from("ab \ud800é:\n"), max_size=6) | st.integers() | st.none() | st.booleans()
records = st.lists(
    st.dictionaries(st.sampled_from(["id", "prompt", "answer", "n"]), texts | st.lists(texts, max_size=3)),
    max_size=4,
)


@given(records)
def test_redacting_twice_is_redacting_once_and_leaves_no_text(rows):
    once = redact(rows)
    assert redact(once) == once
    values = [r[key] for r in once for key in ("id", "prompt") if isinstance(r.get(key), str)]
    assert all(v == "" or v.startswith("sha256:") for v in values)


def test_rows_of_one_fact_can_still_be_matched_by_their_ids():
    ids = [r["id"] for r in redact([{"id": i} for i in ("mira-job", "mira-job#2", "mira-job~1#0", "other")])]
    base = ids[0]
    assert ids[1:3] == [f"{base}#2", f"{base}~1#0"]
    assert "mira" not in "".join(ids)
    assert ids[3] != base


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("#1", "#1"),
        ("12", ""),
        ("a#", ""),
        ("a#1x", ""),
        ("#1" * 50_000 + "x", ""),
        ("#1" * 9_000, "#1" * 9_000),
    ],
)
def test_hostile_ids_keep_no_more_than_their_ending(name, ending):
    (record,) = redact([{"id": name}])
    assert len(record["id"]) == len("sha256:") + 64 + len(ending)
    assert record["id"].endswith(ending)


def test_the_ids_of_a_curve_go_and_its_values_stay(run):
    values = {"forget": {"mara-birthplace": 0.5}, "utility": {"retain/trigger": {"ann-job#1": 1.0}}}
    write_jsonl(run / "curve.jsonl", [{"step": 0, "forget": {"mara-birthplace": 1.0}}, {"step": 6, **values}])
    with (run / "curve.jsonl").open("a") as file:
        file.write(f"{SECRET} cut off\n")
    before = purge(run).texts
    assert SECRET not in (run / "curve.jsonl").read_text()
    first, second, _ = read_jsonl(run / "curve.jsonl")
    key, asked = (f"sha256:{hashlib.sha256(name).hexdigest()}" for name in (b"mara-birthplace", b"ann-job"))
    assert first == {"step": 0, "forget": {key: 1.0}}
    assert second == {"step": 6, "forget": {key: 0.5}, "utility": {"retain/trigger": {f"{asked}#1": 1.0}}}
    assert before == 13  # three ids and a damaged line more than without a curve
    assert purge(run).texts == 0
