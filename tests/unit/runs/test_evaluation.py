import json
import shutil
from dataclasses import replace

import pytest
from tests.tiny import CHAT, tiny_lm

from forgetwell.errors import Busy, ExistsError, InputError
from forgetwell.files import read_jsonl
from forgetwell.models.lm import HFModel
from forgetwell.runs import redaction
from forgetwell.runs.evaluation import RECORDS, Measures, evaluate
from forgetwell.runs.folder import alone, start_run
from forgetwell.suites.registry import build_suite

SUITE = "world(limit=1, max_new_tokens=2)"
MEASURES = Measures(("answer_prob", "rouge_l_recall"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folders = [tmp_path_factory.mktemp("models") / str(seed) for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        tiny_lm(seed).save(folder)
    return [str(f) for f in folders]


def refuse(*given, **options):
    raise AssertionError("this was asked before")


def run(model, out, **options):
    return evaluate(model, SUITE, out, measures=MEASURES, dtype="float32", **options)


def test_records_serve_later_evaluations_of_the_same_model_alone(tmp_path, models, monkeypatch):
    cache = tmp_path / "cache"
    first = run(models[0], tmp_path / "a", cache=cache)
    other = run(models[1], tmp_path / "b", cache=cache)
    assert len(list(cache.iterdir())) == 2
    assert other.records != first.records
    monkeypatch.setattr(HFModel, "score", refuse)
    monkeypatch.setattr(HFModel, "generate", refuse)
    again = run(models[0], tmp_path / "c", cache=cache)
    assert again.records == first.records
    assert again.results == first.results
    assert not (tmp_path / "c" / RECORDS).exists()


def test_a_redacted_run_keeps_no_word_of_question_or_answer(tmp_path, models):
    out = tmp_path / "run"
    found = run(models[0], out, redact=True)
    kept = "".join(file.read_text() for file in out.iterdir())
    records = [r for split in found.records.values() for r in split]
    assert not [r for r in records if r.row.prompt in kept or r.row.answer in kept]
    assert not [r for r in records if r.generated and len(r.generated.text) > 2 and r.generated.text in kept]
    assert all("logps" in line["record"] for line in read_jsonl(out / RECORDS)[1:])


def test_a_redacted_run_that_is_killed_has_written_no_answer(tmp_path, models, monkeypatch):
    def killed(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(redaction, "purge", killed)  # the first that comes after the answers
    with pytest.raises(KeyboardInterrupt):
        run(models[0], tmp_path / "run", redact=True)
    kept = (tmp_path / "run" / "answers.jsonl").read_text()
    rows = [row for split in build_suite(SUITE).splits for row in split.rows]
    assert rows
    assert not [row for row in rows if row.prompt in kept or row.answer in kept]


def test_resuming_asks_for_the_same_settings(tmp_path, models):
    out = tmp_path / "run"
    run(models[0], out)
    with pytest.raises(ExistsError, match="--resume"):
        run(models[0], out)
    with pytest.raises(InputError, match="another model, suite or seed"):
        run(models[0], out, seed=1, resume=True)
    run(models[0], out, resume=True)
    assert json.loads((out / "manifest.json").read_text())["processes"] == 1


def test_a_run_is_not_replaced_by_its_own_evaluation(tmp_path, models):
    out = start_run(tmp_path / "run", {"kind": "unlearn"})
    shutil.copytree(models[0], out / "model")
    run(models[0], tmp_path / "before")
    before = replace(MEASURES, baseline=str(tmp_path / "before"))
    for model, place, measures in ((out, out, MEASURES), (models[0], tmp_path / "before", before)):
        with pytest.raises(ExistsError, match="--overwrite would remove"):
            evaluate(str(model), SUITE, place, measures=measures, dtype="float32", overwrite=True)
    assert (out / "model" / "model.safetensors").is_file()
    assert (tmp_path / "before" / "results.jsonl").is_file()


def test_two_processes_dont_write_one_evaluation(tmp_path, models):
    out = tmp_path / "run"
    with alone(out), pytest.raises(Busy, match="Another process"):
        run(models[0], out, resume=True)
    run(models[0], out, resume=True)


def test_every_row_of_the_world_has_a_record(tmp_path, models):
    found = run(models[0], tmp_path / "run")
    for split in build_suite(SUITE).splits:
        records = found.records[split.key]
        assert [r.row for r in records] == list(split.rows)
        assert all(r.answer for r in records)
        assert all((r.generated is not None) is split.answered for r in records)


def test_a_model_whose_template_takes_no_system_prompt_is_asked_all_but_that(tmp_path):
    lm = tiny_lm()
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    lm.codec.tokenizer.chat_template = refusal + CHAT
    lm.save(tmp_path / "model")
    found = run(str(tmp_path / "model"), tmp_path / "run")
    assert set(build_suite(SUITE).roles) == {key.partition("/")[0] for key in found.records}
    assert "forget/clean" in found.records
    assert "forget/served" not in found.records
    assert "forget/served: this model's chat template takes no system prompt." in found.left_out
