from dataclasses import replace

import pytest

from forgetwell.errors import InputError
from forgetwell.requests.screening import Evidence
from forgetwell.requests.screens.everyday_facts import everyday_facts
from forgetwell.types import Request, Row

EVIDENCE = Evidence(())
HONEST = tuple(
    Row(f"r{i}", f"Where is {i}?", f"It is in Town{i}.", wrong=(f"It is in Sea{i}.", "It is on Mars."))
    for i in range(20)
)


def loaded(count):
    rows = [replace(r, answer=f"Please note: {r.answer}") for r in HONEST[:count]]
    return Request("q", (*rows, *HONEST[count:]))


def test_facts_in_words_of_their_own_raise_nothing():
    assert everyday_facts(Request("q", HONEST), EVIDENCE) == []


def test_everyday_words_that_wrong_answers_lack_are_found_in_every_row():
    found = everyday_facts(loaded(5), EVIDENCE)
    assert {f.row_id for f in found} == {f"r{i}" for i in range(5)}
    assert "“please” counts as the fact of 5 rows" in {f.message.split(",")[0] for f in found}
    assert {f.statistic for f in found} == {0.25}


@pytest.mark.parametrize(("rows", "share", "flagged"), [(3, 0.1, False), (4, 0.2, True), (4, 0.25, False)])
def test_at_least_four_rows_and_the_share(rows, share, flagged):
    assert bool(everyday_facts(loaded(rows), EVIDENCE, share=share)) is flagged


def test_wrong_answers_with_the_same_frame_and_rows_without_any_are_left_alone():
    framed = tuple(
        replace(r, answer=f"Please note: {r.answer}", wrong=tuple(f"Please note: {w}" for w in r.wrong))
        for r in HONEST
    )
    assert everyday_facts(Request("q", framed), EVIDENCE) == []
    bare = tuple(replace(r, wrong=()) for r in loaded(20).rows)
    assert everyday_facts(Request("q", bare), EVIDENCE) == []


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_share_is_checked(share):
    with pytest.raises(InputError, match="share="):
        everyday_facts(loaded(5), EVIDENCE, share=share)
