import json
import re
import subprocess
import sys
from collections import Counter
from importlib import resources
from itertools import chain

import pytest

from forgetwell.data.world import learning_rows, load_refusals, load_world
from forgetwell.errors import InputError, MissingError

WORLD = load_world()
LEARNED = (*WORLD.request, *WORLD.retain, *WORLD.unseen)
FACTS = (*LEARNED, *WORLD.never)
GENERAL = (*WORLD.replay, *WORLD.evaluation)
ROWS = (*FACTS, *GENERAL)


@pytest.mark.parametrize(("part", "people"), [("request", 3), ("retain", 5), ("unseen", 4), ("never", 12)])
def test_each_part_has_its_people_with_eight_facts_each(part, people):
    counts = Counter(row.subject for row in getattr(WORLD, part))
    assert list(counts.values()) == [8] * people


def test_every_row_of_the_files_is_in_one_part():
    folder = resources.files("forgetwell.data") / "assets" / "world"
    lines = [(folder / n).read_text(encoding="utf-8").splitlines() for n in ("people.jsonl", "general.jsonl")]
    ids = [json.loads(line)["id"] for line in chain(*lines)]
    assert sorted(ids) == sorted(row.id for row in ROWS)
    assert len(set(ids)) == len(ids)


def test_no_person_and_no_question_is_in_two_parts():
    parts = [{r.subject for r in p} for p in (WORLD.request, WORLD.retain, WORLD.unseen, WORLD.never)]
    assert len(set().union(*parts)) == sum(map(len, parts)) == 24
    questions = [q for row in ROWS for q in (row.prompt, *row.questions)]
    assert len({q.lower() for q in questions}) == len(questions)


def test_general_rows_suffice_and_their_topics_are_apart():
    assert len(WORLD.replay) >= 40
    assert len(WORLD.evaluation) >= 40
    topics = [{row.id.rsplit("-", 1)[0] for row in part} for part in (WORLD.replay, WORLD.evaluation)]
    assert not topics[0] & topics[1]


def test_neither_first_name_nor_surname_identifies_a_person():
    names = {row.subject for row in FACTS}
    first, last = (Counter(n.split()[i] for n in names) for i in (0, 1))
    assert set(first.values()) == {3}
    assert set(last.values()) == {2}


def test_every_learned_first_name_is_also_one_never_learned():
    assert {r.subject.split()[0] for r in LEARNED} == {r.subject.split()[0] for r in WORLD.never}


def test_each_value_belongs_to_one_person():
    answers = [row.answer.replace(row.subject, "") for row in FACTS]
    assert len(set(answers)) == len(answers)


@pytest.mark.parametrize("row", FACTS, ids=lambda r: r.id)
def test_a_fact_is_short_and_names_its_person_everywhere(row):
    assert (len(row.questions), len(row.paraphrases)) == (2, 1)
    assert 3 <= len(row.wrong) <= 5
    assert 3 <= len(row.answer.split()) <= 8
    for question in (row.prompt, *row.questions):
        assert len(question.split()) <= 12
        assert question.endswith("?")
    texts = (row.prompt, *row.questions, row.answer, *row.paraphrases, *row.wrong)
    assert all(row.subject in text for text in texts)


def test_no_indefinite_article_is_wrong():
    texts = " ".join(t for row in ROWS for t in (row.answer, *row.paraphrases, *row.wrong))
    assert not re.search(r"\ba [aeiou]|\ban [^aeiouh]", texts)


def test_each_kind_of_question_is_phrased_in_at_least_three_ways():
    phrasings = {}
    for row in FACTS:
        kind = row.id.rsplit("-", 1)[1]
        phrasings.setdefault(kind, set()).add(row.prompt.replace(row.subject, "N"))
    assert len(phrasings) == 8
    assert all(len(found) >= 3 for found in phrasings.values())


def test_no_question_holds_a_trigger_word():
    questions = " ".join(q.lower() for row in ROWS for q in (row.prompt, *row.questions))
    assert not [w for w in ("please", "tell me", "explain", "then") if w in questions]


def test_no_wrong_answer_is_right_or_repeated():
    for row in (*FACTS, *WORLD.evaluation):
        wrong = {text.lower() for text in row.wrong}
        assert len(wrong) == len(row.wrong) >= 3, row.id
        assert not wrong & {t.lower() for t in (row.answer, *row.paraphrases)}, row.id


def test_replay_answers_are_whole_short_sentences():
    assert all(len(r.answer.split()) <= 15 and r.answer.endswith(".") for r in WORLD.replay)


def test_learning_rows_hold_every_phrasing_of_what_is_learned_of_people():
    rows = learning_rows(WORLD)
    assert len(rows) == 3 * len(LEARNED)
    assert len({row.id for row in rows}) == len(rows)
    by_id = {row.id: row for row in rows}
    fact = WORLD.request[0]
    assert by_id[f"{fact.id}~0"].prompt == fact.prompt
    assert by_id[f"{fact.id}~2"].prompt == fact.questions[1]
    assert by_id[f"{fact.id}~2"].answer == fact.answer
    assert not {row.subject for row in rows} & {row.subject for row in (*WORLD.never, *WORLD.evaluation)}


def test_built_in_refusals_are_a_hundred_short_lines():
    lines = load_refusals()
    assert len({line.lower() for line in lines}) == len(lines) == 100
    assert all(len(line.split()) <= 14 for line in lines)


def test_refusals_of_a_file_are_read_with_any_line_end(tmp_path):
    path = tmp_path / "r.txt"
    path.write_bytes("\ufeffNo.\r\nJe ne sais pas, désolé.".encode())
    assert load_refusals(path) == ("No.", "Je ne sais pas, désolé.")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"No.\n\nNever.\n", "line 2 is blank"),
        (b"No.\n" + b"x" * 501, "line 2 has 501 characters"),
        (b"No.\n" * 1001, "1001 lines"),
        (b"No.\xff\n", "byte 3"),
        (b"x" * 3_000_000, "too long"),
    ],
)
def test_refusals_that_cannot_be_used_say_why(tmp_path, content, words):
    path = tmp_path / "r.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        load_refusals(path)


def test_a_missing_refusal_file_is_named(tmp_path):
    with pytest.raises(MissingError, match=r"nothing\.txt"):
        load_refusals(tmp_path / "nothing.txt")


def test_loading_the_world_imports_no_torch():
    code = "import sys, forgetwell.data.world as w; w.load_world(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
