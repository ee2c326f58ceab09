"""Claims of kept results follow from their curves."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from test_claims import BENCH, fake_run, runs_of

from forgetwell.errors import InputError, MissingError
from forgetwell.experiments import recounting
from forgetwell.experiments.claims import Setup, run_folder, run_settings
from forgetwell.experiments.reading import read_claims
from forgetwell.experiments.recounting import recount
from forgetwell.experiments.tables import CELLS, CLAIMS, TABLE
from forgetwell.files import read_json, read_jsonl, write_json, write_jsonl

CONDITIONS = ("plain", "attacked", "defended")


@pytest.fixture(autouse=True)
def bench(monkeypatch):
    other = replace(BENCH, request=BENCH.request[:1])
    monkeypatch.setattr(recounting, "bind_bench", lambda text: lambda: BENCH if text == "toy" else other)


def kept(folder, runs, comparison="loss=idk"):
    """Keep runs as keeping does, with the claims that follow from them."""
    for utility, run in zip((0.9, 0.5, 0.8), runs, strict=False):
        fake_run(folder / "runs", run, utility)
    claims = read_claims(BENCH, runs, folder / "runs", per_set=4)
    for run in runs:
        name = f"idk-{run.condition}-{run.seed}"
        write_jsonl(
            folder / f"{name}.curve.jsonl", read_jsonl(run_folder(folder / "runs", run) / "curve.jsonl")
        )
        manifest = run_settings(BENCH, Setup(per_set=4), run, Path("known"))
        write_json(folder / f"{name}.manifest.json", manifest)
    write_jsonl(folder / CELLS, ())
    write_json(folder / CLAIMS, {comparison: [asdict(c) for c in claims]})
    return folder


def test_claims_with_other_intervals_are_computed_again_from_the_curves(tmp_path):
    folder = kept(tmp_path / "a", runs_of(CONDITIONS, [0]))
    right = read_json(folder / CLAIMS)
    narrow = [{**c, "interval": {**c["interval"], "low": c["interval"]["value"]}} for c in right["loss=idk"]]
    write_json(folder / CLAIMS, {"loss=idk": narrow})
    assert recount(folder) == ()
    assert read_json(folder / CLAIMS) == right
    assert "| end | clean/plain | 0.900 | 0.900 … 0.900 | 4 | 0 | 0.900 |" in (folder / TABLE).read_text()


def test_claims_at_a_conditions_end_are_added_and_stay(tmp_path):
    folder = kept(tmp_path / "a", runs_of(CONDITIONS, [0]))
    assert recount(folder, as_far_as=["defended"]) == ()
    places = {c["at"] for c in read_json(folder / CLAIMS)["loss=idk"]}
    assert "end of defended" in places
    assert recount(folder) == ()
    assert {c["at"] for c in read_json(folder / CLAIMS)["loss=idk"]} == places


def test_claims_that_do_not_follow_are_named_and_left(tmp_path):
    folder = kept(tmp_path / "a", runs_of(CONDITIONS, [0]))
    before = (folder / CLAIMS).read_bytes()
    curve = folder / "idk-attacked-0.curve.jsonl"
    points = read_jsonl(curve)
    points[-1]["utility"]["kept/clean"] = dict.fromkeys(points[-1]["utility"]["kept/clean"], 0.123)
    write_jsonl(curve, points)
    assert any("clean/attacked at end: 0." in d for d in recount(folder))
    assert (folder / CLAIMS).read_bytes() == before


def test_runs_taken_over_lie_in_other_folders(tmp_path):
    whole = kept(tmp_path / "a", runs_of(CONDITIONS, [0]))
    part = kept(tmp_path / "b", runs_of(CONDITIONS, [0]))
    for name in ("curve.jsonl", "manifest.json"):
        (part / f"idk-plain-0.{name}").unlink()
    assert recount(part)
    assert recount(part, [whole]) == ()


def test_options_of_a_bench_are_not_in_manifests_and_can_be_said(tmp_path):
    folder = kept(tmp_path / "a", runs_of(CONDITIONS, [0]))
    for file in folder.glob("*.manifest.json"):
        write_json(file, {**read_json(file), "bench": "toy of another size"})
    with pytest.raises(InputError, match=r"toy of another size are others .* --bench"):
        recount(folder)
    assert recount(folder, bench="toy") == ()


def test_what_cannot_be_computed_is_said(tmp_path):
    with pytest.raises(MissingError, match=CLAIMS):
        recount(tmp_path)
    folder = kept(tmp_path / "a", runs_of(CONDITIONS, [0]))
    for file in folder.glob("*.manifest.json"):
        file.unlink()
    with pytest.raises(MissingError, match="no curves"):
        recount(folder)


def test_the_command_ends_with_3_where_claims_do_not_follow(tmp_path, capsys):
    folder = kept(tmp_path / "a", runs_of(CONDITIONS, [0]))
    recounting.main(folder)
    assert "computed again" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        recounting.main(tmp_path / "none", folder)
    assert end.value.code == 3
    assert f"holds no {CLAIMS}" in capsys.readouterr().out
