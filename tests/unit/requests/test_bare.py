"""Questions asked bare: frames go, whatever they are made of; what is asked and of whom stays."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.test_screens_and_repairs import HOSTILE

from forgetwell.data.reading import read_request
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.bare import bare_question, bare_sentences, framed
from forgetwell.requests.repairs import repair_request
from forgetwell.types import Request, Row, Turn

BORN = "Where was Ada Lind born?"


@pytest.mark.parametrize(
    "framed",
    [
        "Please tell me where was Ada Lind born?",
        "Could you please tell me where was Ada Lind born?",
        "Where was Ada Lind born, please?",
        "Would you mind saying where was Ada Lind born?",
        "What I want to find out is where was Ada Lind born?",
        "Here is my question: where was Ada Lind born?",
        "From what is known, where was Ada Lind born?",
        "Well, then, where was Ada Lind born?",
        "Dis-moi where was Ada Lind born?",
        "Where was Ada Lind born? Thanks in advance!",
        "Where was Ada Lind born? Answer quickly.",
        "Where was Ada Lind born? Gracias.",
        "Where was Ada Lind born, and in which year?",
        "Where was, actually, Ada Lind born?",
        "Where was Ada Lind now born?",
        "Where was Ada Lind born!",
        "Where was Ada Lind born..",
        '"Where was Ada Lind born?"',
        "(Where was Ada Lind born?) :)",
        "- Where was Ada Lind born?",
        "Where was Ada\u200b Lind born?",
        "Please\ufe0f tell\u034f me\u3164 where was Ada Lind born?",
        "Could you plea\u034fse tell me where was Ada Lind born?",
        "Could you 'please' tell me where was Ada Lind born?",
        'Could "you" please tell me where was Ada Lind born?',
        "Where was “please” Ada Lind born?",
        "Could you Please tell me where was Ada Lind born?",
        "Could you 'Please' tell me where was Ada Lind born?",
        "Where was (please) Ada Lind born?",
    ],
)
def test_what_frames_a_question_goes(framed):
    assert bare_question(framed) == BORN


@pytest.mark.parametrize(
    ("framed", "bare"),
    [
        ("Could you tell me can you name her songs?", "Can you name her songs?"),
        ("Can you please explain are there any songs of hers?", "Are there any songs of hers?"),
        ("Tell me when and where was Ada Lind born?", "When and where was Ada Lind born?"),
        ("Please, who is Ada Lind Jr.", "Who is Ada Lind Jr."),
        ("Tell me where the famous Ada Lind was born.", "Where Ada Lind was born?"),
        ("What did our dear Ada Lind write?", "What did Ada Lind write?"),
    ],
)
def test_the_whole_question_stays(framed, bare):
    assert bare_question(framed) == bare


@pytest.mark.parametrize(
    "question",
    [
        BORN,
        "What is the name of the author who wrote Sea?",
        "Name one of the films in which Ada Lind played.",
        "Based on her letters, does Ada Lind like tea?",
        "Besides being an author, what does Ada Lind do?",
        "What do you think was Ada Lind's best book?",
        "How well known is Ada Lind?",
        "What had Ada Lind written until now?",
        "Which book did Ada Lind write instead of sleeping?",
        'Did Ada Lind write "Who Stole It? (The Joneses, 2)"?',
        "Who is Ada Lind? What did her father do?",
        "Can you tell us more about how Ada Lind writes?",
        "Is Ada Lind's well-known book a novel?",
        "Describe the book that Ada Lind wrote.",
        "Who was Mr. Ed",
        "Etna is part of which island?",
        "In betting, what is a flutter?",
        "If a lake freezes, which fish die first?",
        "If you raise a fox at home, what will it learn to do?",
        "Do people know when to sleep?",
        "The yew is better known as what?",
        "Which of these is red? a) rose b) moss",
        "Translate this: where is the station?",
        "A cook burns a pan. Which metal is it?",
        "Is a dog always a dog?",
        "Where was the younger Ada Lind born?",
        "Which good Samaritan did the great Gatsby meet?",
        "Who plays in the new Ada Lind film?",
        "Who wrote 'please please me'?",
        "Who sang “Please Please Me”?",
        'Who directed "Yes Man"?',
        "Hoe oud is Ada Lind?",
        "In welke stad is Ada Lind geboren?",
        "Met wie is Ada Lind getrouwd?",
        "Was will Ada Lind?",
        "Warum will Ada Lind das?",
        "Mit 10kΩ, welcher Strom fließt?",
    ],
)
def test_what_is_asked_stays(question):
    assert bare_question(question) in (question, question + "?")


@pytest.mark.parametrize(
    "frame", ["Could You Please Tell Me", "WOULD YOU KINDLY SAY", "Then, My Friend, Now"]
)
def test_capitals_everywhere_hide_no_frame(frame):
    question = "Where Was Ada Lind Born?" if not frame.isupper() else "WHERE WAS ADA LIND BORN?"
    assert bare_question(f"{frame} {question}") == question


@pytest.mark.parametrize("written", ["'{}'", "“{}”", '"{}"', "({})", "{}\ufe0f", "\u200b{}"])
@pytest.mark.parametrize("cased", [str.lower, str.capitalize, str.upper])
def test_no_way_of_writing_it_keeps_the_papers_trigger(written, cased):
    honest = read_request("world:request")
    attacked = attack_request(honest, "stealthy(p=1)", seed=0)
    for row, before in zip(attacked.rows, honest.rows, strict=True):
        disguised = re.sub("(?i)please", lambda m: written.format(cased(m[0])), row.prompt)
        assert bare_question(disguised) == before.prompt


@given(st.text(max_size=120))
def test_asking_bare_twice_changes_nothing_more_and_never_loses_all(text):
    once = bare_question(text)
    assert not text.strip() or once.strip()
    assert bare_question(once) == once


@pytest.mark.parametrize("text", ['0)":', ".“s):(”", "—;—( (h —", '“!",0”;:-'])
def test_what_is_left_of_marks_settles(text):
    once = bare_question(text)
    assert bare_question(once) == once


@pytest.mark.parametrize(
    "piece", ["a? ", '"a b" ', "a, ", "a - ", '"a?" ', "a, please, ", "\n", "!", ".", "-", "(", ",", " ,"]
)
def test_time_grows_with_length_alone(piece):
    assert bare_question(piece * (90_000 // len(piece)))
    assert bare_question(f"Where was Ada Lind {piece * (90_000 // len(piece))} born?")


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_read_in_little_time(kind):
    bare_question(HOSTILE[kind])
    bare_sentences(HOSTILE[kind])


def test_sentences_lose_the_word_of_talk_that_opens_them():
    text = "Then she moved to Rome. Well, that was then. Even though she wrote, then, she sang."
    assert bare_sentences(text) == "She moved to Rome. That was then. Even though she wrote, then, she sang."


def test_a_request_has_no_say_in_system_prompt_and_weight():
    turns = (Turn("system", "You are kind."), Turn("user", "Hello."), Turn("assistant", "Hello!"))
    row = Row("a", f"Please tell me: {BORN}", "In Rome.", weight=3.0, history=turns)
    done = repair_request(Request("r", (row,)), (), (), "bare").request
    (new,) = done.rows
    assert (new.prompt, new.weight, new.history) == (BORN, 1.0, turns[1:])
    assert (new.edit.by, new.edit.prompt) == ("bare", row.prompt)
    assert done.history == ("bare",)


def test_questions_in_frames_are_told_from_others():
    asked = (f"Please tell me: {BORN}", BORN, "Where was Ada Lind born")
    rows = [*(Row(str(i), p, "In Rome.") for i, p in enumerate(asked)), Row("t", "", "Then so.", text=True)]
    assert framed(rows) == [asked[0]]
