import json
from pathlib import Path

import pytest

from forgetwell.data.world import load_refusals, load_world
from forgetwell.metrics.refusal import refusal
from forgetwell.types import Generation


def refuses(text):
    return refusal(Generation(text, 1, True)) == 1


def test_the_built_in_refusals_are_recognized():
    missed = [line for line in load_refusals() if not refuses(line)]
    assert len(missed) <= 2, missed


def test_the_world_answers_are_no_refusals():
    world = load_world()
    rows = (*world.request, *world.retain, *world.unseen, *world.replay, *world.evaluation)
    assert [r.answer for r in rows if refuses(r.answer)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I’m not sure. It may be Paris.", True),
        ("I'm sorry, but I can't answer that.", True),
        ("That is unknown.", True),
        ("There is no king of France. The last one ruled until 1848.", False),
        ("It is Paris. It is big. I do not know more.", False),
        ("please please please", False),
        ("", False),
    ],
)
def test_cases(text, expected):
    assert refuses(text) is expected


def test_errors_on_real_answers_labeled_by_hand():
    path = Path(__file__).parents[2] / "golden" / "refusal_labels.jsonl"
    labeled = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    wrong = [row["text"] for row in labeled if refuses(row["text"]) != row["refusal"]]
    assert len(labeled) == 100
    assert wrong == []
