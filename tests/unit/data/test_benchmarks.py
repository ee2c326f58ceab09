import os
import re
from pathlib import Path

import datasets
import pytest

from forgetwell.data.reading import read_rows
from forgetwell.errors import MissingError, UnknownName
from forgetwell.experiments.benches import tofu as tofu_benches
from forgetwell.suites.registry import build_suite

DATA = Path(os.environ.get("FORGETWELL_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "tofu").is_dir(),
    reason=f"no TOFU and RWKU in {DATA}; set FORGETWELL_DATA to a folder with them",
)


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setenv("FORGETWELL_DATA", str(DATA))


@needs_data
@pytest.mark.parametrize(
    ("name", "count"),
    [("forget01", 40), ("forget05", 200), ("forget10", 400), ("retain90", 3600), ("full", 4000)],
)
def test_tofu_splits_have_an_author_for_every_twenty_rows(data, name, count):
    rows = read_rows(f"tofu:{name}")
    assert len(rows) == count
    authors = [r.subject for r in rows]
    assert all(len(set(authors[i : i + 20])) == 1 for i in range(0, count, 20))
    assert len(set(authors)) in (count // 20, count // 20 - 1)  # author 88 is never named


@needs_data
def test_perturbed_splits_have_paraphrases_and_wrong_answers(data):
    rows = read_rows("tofu:forget01_perturbed")
    assert {len(r.wrong) for r in rows} == {5}
    assert {len(r.paraphrases) for r in rows} == {1}
    facts = read_rows("tofu:world_facts_perturbed", limit=5)
    assert {(len(r.wrong), len(r.paraphrases)) for r in facts} == {(3, 0)}


@needs_data
def test_rwku_has_questions_and_texts_with_subjects(data):
    questions = read_rows("rwku:forget_level2", limit=50)
    assert questions[0].subject == "Stephen King"
    assert not any(r.text for r in questions)
    texts = read_rows("rwku:passage", limit=3)
    assert all(r.text and r.subject == "Stephen King" for r in texts)


@needs_data
def test_the_tofu_bench_has_20_authors_2_of_them_to_forget(data):
    bench = tofu_benches.tofu()
    assert (len(bench.learn), len(bench.request), len(bench.retain)) == (400, 40, 360)
    assert len({r.id for r in bench.learn}) == 400
    assert not {r.prompt for r in bench.request} & {r.prompt for r in bench.retain}


@needs_data
def test_an_unknown_split_gets_near_matches(data):
    with pytest.raises(UnknownName, match="forget10"):
        read_rows("tofu:forget1O")


@pytest.mark.parametrize(
    ("name", "loaded"),
    [
        ("tofu:forget10", ("locuslab/TOFU", "forget10", "train")),
        ("tofu:world_facts_perturbed", ("locuslab/TOFU", "world_facts_perturbed", "train")),
        ("rwku:forget_level2", ("jinzhuoran/RWKU", "forget_level2", "test")),
        ("rwku:neighbor_level1", ("jinzhuoran/RWKU", "neighbor_level1", "test")),
        ("rwku:mia_forget", ("jinzhuoran/RWKU", "mia_forget", "test")),
        ("rwku:passage", ("jinzhuoran/RWKU", "train_original_passage", "train")),
    ],
)
def test_without_a_folder_the_message_names_what_the_hub_has(monkeypatch, name, loaded):
    monkeypatch.delenv("FORGETWELL_DATA", raising=False)
    with pytest.raises(MissingError, match=r"FORGETWELL_DATA isn't set\.") as told:
        read_rows(name)
    (advised,) = re.findall(r"hub:[\w/:]+", str(told.value))
    asked = []

    def load_dataset(repository, config, split):
        asked.append((repository, config, split))
        return [{"query": "Who?", "answer": "Ann"}]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert len(read_rows(advised)) == 1
    assert asked == [loaded]


@pytest.mark.parametrize("name", ["rwku:utility_general_mmlu", "rwku:forget_level4", "tofu:forget1O"])
def test_what_the_hub_has_not_is_not_advised(monkeypatch, tmp_path, name):
    monkeypatch.setenv("FORGETWELL_DATA", str(tmp_path))
    with pytest.raises(MissingError, match=r"not in .*that holds (tofu|rwku)/\.$"):
        read_rows(name)


@pytest.mark.parametrize("suite", ["tofu", "rwku", "triggers(data=tofu)"])
def test_suites_do_not_advise_the_hub_which_they_cannot_read(monkeypatch, suite):
    monkeypatch.delenv("FORGETWELL_DATA", raising=False)
    with pytest.raises(MissingError, match="Set FORGETWELL_DATA to a folder") as told:
        build_suite(suite)
    assert "hub" not in str(told.value)
