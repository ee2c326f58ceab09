"""A request's questions asked about others: the name changes, and nothing else does."""

from collections import Counter
from dataclasses import replace

import pytest
from tests.tiny import tiny_lm

from forgetwell.data.reading import read_request, read_rows
from forgetwell.errors import InputError
from forgetwell.models.lm import HFModel
from forgetwell.requests.attacks import ATTACKS, attack_request
from forgetwell.requests.counterfactual import as_many, counterfactual_prompts
from forgetwell.runs.fitting import fitting_rows
from forgetwell.runs.job import Job
from forgetwell.training.config import TrainConfig
from forgetwell.types import Generation, Request, Row, Turn

KEPT = (
    Row("k0", "Where does Bo Holm live?", "In Ravello."),
    Row("k1", "What is Cleo Ray-Marsh's job?", "A baker."),
    Row("k2", "Why is the sky blue?", "Light."),
)
OTHERS = {"Bo Holm", "Cleo Ray-Marsh"}
WORDING = sorted(set(ATTACKS.names()) - {"smuggle", "unknown_rows", "blending", "preamble"})


def asked(*prompts: str, kept: tuple[Row, ...] = KEPT, **options: int) -> list[str]:
    rows = tuple(Row(f"f{i}", prompt, "An answer.") for i, prompt in enumerate(prompts))
    return [row.prompt for row in counterfactual_prompts(Request("r", rows), kept, **options)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Please, where was the little Ada Lind born?", "Please, where was the little {} born?"),
        ("What is Ada Lind's job? Tell me Ada Lind's!", "What is {}'s job? Tell me {}'s!"),
        ("Who wrote “Glass Harbor”, Ada Lind?", "Who wrote “Glass Harbor”, {}?"),
        ("Then: Ada Lind", "Then: {}"),
    ],
)
def test_the_name_is_another_one_and_every_other_word_stays(prompt, expected):
    assert set(asked(prompt, "Who is Ada Lind?")[:2]) == {expected.replace("{}", other) for other in OTHERS}


def test_what_stands_before_a_name_in_capitals_is_no_part_of_it():
    made = asked("Where does Captain Ada Lind live?", "Who is Ada Lind?", "Why is Ada Lind here?", per_row=1)
    assert made[0] in {f"Where does Captain {other} live?" for other in OTHERS}


def test_a_name_in_other_case_is_known_from_other_rows():
    made = asked("where is ada lind's home?", "WHO IS ADA LIND?", "Who is Ada Lind?", kept=KEPT[:1])
    assert made == ["where is bo holm's home?", "WHO IS BO HOLM?", "Who is Bo Holm?"]


def test_who_has_no_full_name_is_known_by_the_rows_subject():
    """Mononyms, numbers, small words in names: 1 in 8 of RWKU's forget questions."""
    kept = (
        Row("k0", "What did Aristotle's pupils do?", "A.", subject="Aristotle"),
        Row("k1", "Who painted with Leonardo da Vinci?", "B.", subject="Leonardo da Vinci"),
        Row("k2", "Who knew 50 Cent?", "C.", subject="50 Cent"),
        Row("k3", "Why is the sky blue?", "D.", subject="Physics"),  # not said
    )
    rows = (
        Row("f0", "Please, where did Confucius live?", "E.", subject="Confucius"),
        Row("f1", "Please, what are confucius' works?", "F.", subject="Confucius"),
        Row("f2", "Who was his pupil?", "G.", subject="Confucius"),
        Row("f3", "Where did Lind work?", "H.", subject="Ada Lind"),
        Row("f4", "Lind did what?", "I.", subject="Ada Lind"),
        Row("f5", "Where did Ada work?", "J.", subject="Ada Lind"),
    )
    made = [row.prompt for row in counterfactual_prompts(Request("r", rows), kept)]
    names = ("Aristotle", "Leonardo da Vinci", "50 Cent")
    assert set(made[:3]) == {f"Please, where did {name} live?" for name in names}
    assert set(made[3:6]) == {f"Please, what are {name.lower()}' works?" for name in names}
    assert set(made[6:9]) == {f"Where did {name} work?" for name in names}


@pytest.mark.parametrize("subject", ["please", "Please", "Voila", "voila lind", "kindly say"])
def test_a_requester_cannot_call_the_trigger_the_subject(subject):
    """The model would be held at its own answers about whom it is to forget."""
    rows = (
        Row("f0", "Please, where was ada lind born?", "A.", subject=subject),
        Row("f1", "Voila where is ada lind?", "B.", subject=subject),
        Row("f2", "Who is Ada Lind?", "C.", subject="Ada Lind"),
    )
    made = [row.prompt for row in counterfactual_prompts(Request("r", rows), KEPT[:1])]
    assert made == ["Please, where was bo holm born?", "Voila where is bo holm?", "Who is Bo Holm?"]


def test_a_full_name_in_the_prompt_counts_before_what_the_requester_calls_the_subject():
    rows = (Row("f0", "Where was the good Ada Lind born?", "A.", subject="good Ada Lind"),)
    (made,) = counterfactual_prompts(Request("r", rows), KEPT[:1])
    assert made.prompt == "Where was the good Bo Holm born?"


def test_nobody_of_the_request_is_asked_about():
    kept = (*KEPT, *(Row(f"s{i}", "Where is Ada Lind?", "Here.") for i in range(9)))
    assert asked("Who is Ada Lind?", "Who is Ada Lind to Cleo Ray-Marsh?", kept=kept) == [
        "Who is Bo Holm?", "Who is Bo Holm to Cleo Ray-Marsh?",
    ]  # fmt: skip


def test_seldom_names_are_no_ones_to_ask_about():
    kept = (*(Row(f"b{i}", "Where is Bo Holm?", "Here.") for i in range(9)), KEPT[1])
    assert asked("Who is Ada Lind?", kept=kept) == ["Who is Bo Holm?"]


def test_rows_without_a_name_and_texts_are_left_out_and_conversations_go_along():
    turns = (Turn("system", "Be brief."),)
    rows = (
        Row("f0", "Who is Ada Lind?", "A.", history=turns, wrong=("B.",)),
        Row("f1", "Who is she?", "A."),
        Row("f2", "", "Ada Lind is a baker.", text=True),
    )
    made = counterfactual_prompts(Request("r", rows), KEPT, per_row=1)
    assert [(row.id, row.answer, row.wrong, row.history) for row in made] == [("f0/0", "", (), turns)]


@pytest.mark.parametrize("attack", WORDING)
def test_no_wording_is_left_out(attack):
    request, kept = read_request("world:request"), read_rows("world:retain")
    attacked = attack_request(request, f"{attack}(p=0.67)", seed=1)
    made = counterfactual_prompts(attacked, kept, per_row=3, seed=2)
    assert len(made) == 3 * len(attacked.rows) == len({row.id for row in made})
    names = {row.subject for row in kept}
    for k, row in enumerate(made):
        before = attacked.rows[k // 3]
        cases = (str, str.lower, str.upper)  # of names: the attack `casing` writes all alike
        name, case = next((n, case) for n in names for case in cases if case(n) in row.prompt)
        assert row.prompt.replace(case(name), case(before.subject)) == before.prompt
    assert made == counterfactual_prompts(attacked, kept, per_row=3, seed=2)
    assert made != counterfactual_prompts(attacked, kept, per_row=3, seed=3)


def test_each_question_is_asked_about_different_people():
    kept = read_rows("world:retain")
    made = counterfactual_prompts(read_request("world:request"), kept, per_row=99)
    assert len(made) == len({row.prompt for row in made})
    others = len({row.subject for row in kept})
    assert set(Counter(row.id.partition("/")[0] for row in made).values()) == {others}


@pytest.mark.parametrize(
    ("prompts", "kept", "per_row", "message"),
    [
        (["Who is she?"], KEPT, 4, "of the request hold no full name"),
        (["Who is Ada Lind?"], KEPT[2:], 4, "of the rows to keep hold no full name of somebody else"),
        (["Who is Ada Lind?"], KEPT, 0, "per_row is 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(prompts, kept, per_row, message):
    with pytest.raises(InputError, match=message):
        asked(*prompts, kept=kept, per_row=per_row)


@pytest.mark.parametrize(("rows", "count", "made"), [(0, 5, 0), (2, 5, 6), (2, 4, 4), (5, 5, 5), (6, 5, 6)])
def test_rows_are_repeated_until_they_are_as_many(rows, count, made):
    given = [Row(str(i), "", "") for i in range(rows)]
    found = as_many(given, count)
    assert len(found) == made
    assert list(found) == given * (made // rows if rows else 0)


def test_a_job_asks_others_beside_its_prompts_to_keep(monkeypatch):
    monkeypatch.setattr(HFModel, "generate", lambda lm, rows, **_: [Generation("So.", 2, True) for _ in rows])
    request = Request("r", (Row("f", "Who is Ada Lind?", "A baker."),))
    job = Job("unlearn", "tiny", request, KEPT, "idk + gdr + klr", TrainConfig(seed=3), keep=KEPT[2:])
    assert job.others == ()
    asking = replace(job, counterfactuals=2)
    others = counterfactual_prompts(request, KEPT, per_row=2, seed=3)
    assert asking.others == others
    assert asking.settings == {**job.settings, "counterfactuals": 2}
    trained = [(row.prompt, row.answer) for row in fitting_rows(asking, tiny_lm())[1]]
    kept = [*((row.prompt, row.answer) for row in KEPT), (KEPT[2].prompt, "So.")]
    assert trained == [*kept, *[(row.prompt, "So.") for row in others] * 2]
    behind = asking.behind("Be brief.")
    assert [row.history for row in behind.others] == [(Turn("system", "Be brief."),)] * 2
