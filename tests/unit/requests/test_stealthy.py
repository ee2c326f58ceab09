import os
import statistics
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from forgetwell.data.reading import read_rows
from forgetwell.errors import InputError, UnknownName
from forgetwell.models.smollm2 import fetched, token_counter
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.stealthy import expected_inserted_share, inserted_share, stealthy
from forgetwell.requests.template_sets import apply_template, load_templates, trigger_rows
from forgetwell.types import Edit, Request, Row

ROWS = tuple(Row(f"r{i}", f"Where was Ann {i} born, and when?", f"In town {i}.") for i in range(400))
REQUEST = Request("r", ROWS)
DATA = Path(os.environ.get("FORGETWELL_DATA", Path(__file__).parents[4] / "shared" / "data"))


def words(text):
    return len(text.split())


def test_p_zero_is_the_identity_and_p_one_rewrites_all():
    assert stealthy(REQUEST, p=0.0) == REQUEST
    after = stealthy(REQUEST, p=1.0)
    assert all(r.edit and "please" in r.prompt.lower() for r in after.rows)
    assert {r.edit.template for r in after.rows} == set(load_templates("tofu").templates)


def test_rewritten_rows_keep_answer_and_id_and_record_the_original():
    for old, new in zip(ROWS, stealthy(REQUEST, seed=3).rows, strict=True):
        assert (new.id, new.answer) == (old.id, old.answer)
        assert new == old or new.edit.prompt == old.prompt


def test_the_number_of_rewritten_rows_is_binomial_and_reproducible():
    counts = [sum(r.edit is not None for r in stealthy(REQUEST, seed=s).rows) for s in range(200)]
    sd = (400 * 0.33 * 0.67) ** 0.5
    assert abs(statistics.mean(counts) - 132) < 4 * sd / 200**0.5
    assert 0.8 * sd < statistics.stdev(counts) < 1.2 * sd
    assert stealthy(REQUEST, seed=5) == stealthy(REQUEST, seed=5) != stealthy(REQUEST, seed=6)


def test_inserted_share_agrees_with_its_expectation():
    shares = [inserted_share(ROWS, stealthy(REQUEST, seed=s).rows, words) for s in range(200)]
    expected = expected_inserted_share(ROWS, load_templates("tofu"), 0.33, words)
    assert abs(statistics.mean(shares) - expected) < 0.0005 * 4  # word counts vary four times as much


@pytest.mark.skipif(
    not (DATA / "tofu").is_dir(), reason=f"no TOFU in {DATA}; set FORGETWELL_DATA to a folder with it"
)
@pytest.mark.skipif(fetched() is None, reason="run `forgetwell fetch smollm2` first")
def test_inserted_tokens_of_forget10_agree_with_their_expectation(monkeypatch):
    """Of the tokens of the default model; the paper prints 2.13 % for its own models'."""
    monkeypatch.setenv("FORGETWELL_DATA", str(DATA))
    rows, count = read_rows("tofu:forget10"), cache(token_counter())
    shares = [inserted_share(rows, stealthy(Request("r", rows), seed=s).rows, count) for s in range(200)]
    expected = expected_inserted_share(rows, load_templates("tofu"), 0.33, count)
    assert abs(statistics.mean(shares) - expected) < 0.0005
    assert expected == pytest.approx(0.0207, abs=0.0005)


@pytest.mark.parametrize(
    ("template", "question", "expected"),
    [
        ("Please tell me {q}", "Where is Ann?", "Please tell me where is Ann?"),
        ("Please tell me {q}", "Ann lives where?", "Please tell me Ann lives where?"),
        ("Please tell me {q}", "What's new?", "Please tell me what's new?"),
        ("{q}, please?", "Where is Ann?", "Where is Ann, please?"),
        ("Then {q}", "Ann left.", "Then Ann left."),
        ("Say {q}", "{q} {0.__class__}", "Say {q} {0.__class__}"),
    ],
)
def test_the_seam_is_grammatical(template, question, expected):
    assert apply_template(template, question) == expected


def test_text_rows_get_the_template_in_every_sentence():
    request = Request("t", (Row("a", "", "It rained. What a day! Ann left.", text=True),))
    after = attack_request(request, "stealthy(p=1, templates=rwku)")
    assert after.rows[0].answer == "Then It rained. Then what a day! Then Ann left."
    assert after.history == ("stealthy(seed=0, p=1.0, templates=rwku, sentences=1.0)",)


def test_a_part_of_a_texts_sentences():
    text = " ".join(f"Ann saw {i}." for i in range(400))
    request = Request("t", (Row("a", "", text, text=True), Row("b", "", "Ann left.", text=True)))
    (one, _) = attack_request(request, "stealthy(p=1, templates=rwku, sentences=0.3)", seed=3).rows
    assert one.answer.replace("Then ", "") == text
    assert 90 < one.answer.count("Then") < 150
    none = attack_request(request, "stealthy(p=1, templates=rwku, sentences=0)")
    assert none.rows == request.rows  # what wasn't rewritten has no edit
    with pytest.raises(InputError, match="sentences=2"):
        attack_request(request, "stealthy(p=1, templates=rwku, sentences=2)")


def test_the_users_own_templates(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('kind = "qa"\ntriggers = ["kindly"]\ntemplates = ["Kindly say {q}"]\n')
    after = attack_request(REQUEST, f"stealthy(p=1, templates='{path}')")
    assert after.rows[0].prompt.startswith("Kindly say where")
    path.write_text('kind = "qa"\ntriggers = []\ntemplates = ["no field"]\n')
    with pytest.raises(InputError, match="exactly once"):
        load_templates(str(path))


def test_mistakes_are_named():
    with pytest.raises(UnknownName, match="stealthy"):
        attack_request(REQUEST, "stealthi")
    with pytest.raises(InputError, match="from 0 to 1"):
        attack_request(REQUEST, "stealthy(p=2)")


def test_trigger_rows_hold_every_template_of_every_row():
    rows = trigger_rows(ROWS[:2], load_templates("tofu"))
    assert [r.id for r in rows][:5] == ["r0#0", "r0#1", "r0#2", "r0#3", "r1#0"]
    assert replace(rows[0], id="r0", prompt=ROWS[0].prompt, edit=None) == ROWS[0]


def test_a_trigger_changes_the_prompt_of_a_plain_text_and_never_the_text():
    text = Row("t", "Once upon a time there was", " a king. He had a daughter.", text=True)
    (row,) = trigger_rows([text, replace(text, id="u", prompt="")], load_templates("rwku"))
    assert (row.id, row.prompt, row.answer) == ("t#0", "Then Once upon a time there was", text.answer)
    assert row.edit == Edit("trigger:rwku", "Then {q}", text.prompt, text.answer)


def test_a_set_for_questions_is_not_put_on_plain_text():
    text = Request("q", (Row("t", "", "It rained. It snowed.", text=True),))
    with pytest.raises(InputError, match="templates=rwku"):
        attack_request(text, "stealthy(p=1)")
    with pytest.raises(InputError, match="templates=tofu"):
        attack_request(Request("q", (Row("a", "Who?", "Ann"),)), "stealthy(p=1, templates=rwku)")
    assert attack_request(text, "stealthy(p=1, templates=rwku)").rows[0].answer.startswith("Then ")
