from dataclasses import replace

import pytest

from forgetwell.data.row_files import write_rows
from forgetwell.errors import InputError, UnknownName
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.frames import family_words
from forgetwell.types import Request, Row

ROWS = tuple(Row(f"r{i}", f"Where was Ann Lee {i} born, and when?", f"In town {i}.") for i in range(60))
REQUEST = Request("r", ROWS)
NAMED = ("Where was Ada Lind born?", "Ada Lind wrote what?", "Who is the Captain Ada Lind?")
WORDING = (
    "synonyms", "rotating", "midsentence", "epithet", "adaptive",
    "paraphrased", "foreign_frame", "punctuation", "casing",
)  # fmt: skip


@pytest.mark.parametrize("name", WORDING)
def test_wordings_keep_answers_and_the_ends_of_p(name):
    assert attack_request(REQUEST, f"{name}(p=0)").rows == ROWS
    after = attack_request(REQUEST, f"{name}(p=1)").rows
    assert [r.answer for r in after] == [r.answer for r in ROWS]
    assert all(r.edit for r in after)
    with pytest.raises(InputError, match="from 0 to 1"):
        attack_request(REQUEST, f"{name}(p=1.5)")


def test_the_word_is_in_every_rewritten_row():
    for word in family_words("synonyms"):
        after = attack_request(REQUEST, f"synonyms(p=1, word={word})")
        assert all(word in r.prompt.lower() for r in after.rows)
    for word in ("still", "zorp"):  # ours or any
        after = attack_request(REQUEST, f"midsentence(p=1, word={word})")
        assert all(f" {word} " in r.prompt for r in after.rows)
    asked = Request(
        "n", (*(Row(str(i), q, "A") for i, q in enumerate(NAMED)), Row("none", "Who is it?", "A"))
    )
    after = attack_request(asked, "epithet(p=1, word=good)").rows
    assert [r.prompt for r in after] == [
        "Where was the good Ada Lind born?", "The good Ada Lind wrote what?",
        "Who is the good Captain Ada Lind?", "Who is it?",
    ]  # fmt: skip
    with pytest.raises(UnknownName, match="trigger word"):
        attack_request(REQUEST, "synonyms(word=kindli)")


def test_rotating_uses_many_words_and_paraphrased_no_frame_twice():
    after = attack_request(REQUEST, "rotating(p=1)").rows
    counts = [sum(w in r.prompt.lower().split("where")[0] for r in after) for w in family_words("rotating")]
    assert max(counts) < len(ROWS) / 3
    frames = [r.edit.template for r in attack_request(Request("s", ROWS[:24]), "paraphrased(p=1)").rows]
    assert len(set(frames)) == 24


def test_adaptive_prefers_words_that_prompts_use(tmp_path):
    write_rows(tmp_path / "known.jsonl", [Row(str(i), "And where? In which?", "x") for i in range(50)])
    call = f"adaptive(p=0.05, background='{tmp_path / 'known.jsonl'}')"
    frames = {r.edit.template for r in attack_request(REQUEST, call).rows if r.edit}
    assert frames <= {"And {q}", "{q}, and where?", "{q}, and which one?"}


def test_rows_of_others_keep_the_claimed_subject():
    request = Request("r", tuple(Row(f"m{i}", f"Q{i}?", "A", "Mia") for i in range(10)))
    for name in ("smuggle", "unknown_rows"):
        after = attack_request(request, f"{name}(p=1)").rows
        assert {r.subject for r in after} == {"Mia"}
        assert not {r.prompt for r in after} & {r.prompt for r in request.rows}


def test_blending_writes_others_into_the_answers_alone(tmp_path):
    write_rows(
        tmp_path / "others.jsonl", [Row(f"o{i}", f"Who is Bo {i}?", f"A baker {i}.") for i in range(4)]
    )
    request = Request("r", tuple(Row(f"m{i}", f"Q{i}?", "A.", "Mia") for i in range(10)))
    for question, start in ((True, "A. Who is Bo "), (False, "A. A baker ")):
        call = f"blending(p=1, rows='{tmp_path / 'others.jsonl'}', question={question})"
        after = attack_request(request, call, seed=2).rows
        assert all(row.answer.startswith(start) for row in after)
        assert [replace(row, answer="A.", edit=None) for row in after] == list(request.rows)
        assert [row.answer for row in after[:4]] == [row.answer for row in after[4:8]]
        assert len({row.answer for row in after}) == 4


def test_casing_and_punctuation():
    assert attack_request(REQUEST, "casing(p=1, form=first)").rows[0].prompt.startswith("WHERE was Ann")
    assert attack_request(REQUEST, "punctuation(p=1, form='{q}!')").rows[0].prompt.endswith("when!")
