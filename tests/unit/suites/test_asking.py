import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.models.processes import Processes
from forgetwell.runs.redaction import redact
from forgetwell.suites import asking
from forgetwell.suites.asking import ask
from forgetwell.suites.cache import Cache, open_cache, read_cache
from forgetwell.suites.types import Split, Suite
from forgetwell.types import Generation, Row, TokenScores

ROWS = tuple(Row(f"r{i}", f"who is r{i}?", f"name {i}", wrong=("x", "y")) for i in range(10))
SUITE = Suite("s", (Split("a", "utility", "clean", ROWS),), 8)
EVERYTHING = ("answer", "paraphrase", "wrong", "generated")
ME = "sha256:" + "0" * 64


class FakeLM:
    name, digest, codec = "fake", "", None

    def __init__(self, dies_after=10**9):
        self.asked, self.left = [], dies_after

    def _take(self, texts):
        if self.left <= 0:
            raise KeyboardInterrupt
        self.left -= 1
        self.asked += texts

    def score(self, rows, *, moments=False, progress=lambda n: None):
        self._take([(r.prompt, r.answer) for r in rows])
        progress(len(rows))
        more = ((-1.5,), (0.5,)) if moments else ()
        return [TokenScores((-math.sqrt(2) * (1 + len(r.answer)),), (True,), *more) for r in rows]

    def generate(self, rows, *, max_new_tokens, progress=lambda n: None):
        self._take([(r.prompt, max_new_tokens) for r in rows])
        progress(len(rows))
        return [Generation(f"it is {r.prompt} \u2028 é", max_new_tokens, False) for r in rows]

    def save(self, folder):
        raise AssertionError


@pytest.fixture(autouse=True)
def small_rounds(monkeypatch):
    monkeypatch.setattr(asking, "ROUND", 4)


@pytest.mark.parametrize("rounds", [1, 5, 9])
def test_an_interrupted_evaluation_goes_on_where_it_stopped(tmp_path, rounds):
    file, whole, first, second = tmp_path / "records.jsonl", FakeLM(), FakeLM(dies_after=rounds), FakeLM()
    expected = ask(whole, SUITE, EVERYTHING)
    with pytest.raises(KeyboardInterrupt):
        ask(first, SUITE, EVERYTHING, cache=open_cache(file, ME))
    seen = []
    again = ask(
        second, SUITE, EVERYTHING, cache=open_cache(file, ME), progress=lambda *done: seen.append(done)
    )
    assert again == expected
    assert len(first.asked) == 4 * rounds - (2 if rounds == 9 else 0)
    assert sorted(first.asked + second.asked, key=str) == sorted(whole.asked, key=str)
    assert seen[-1] == (len(whole.asked),) * 2


def test_what_the_cache_knows_is_not_asked_and_other_settings_are(tmp_path):
    file = tmp_path / "records.jsonl"
    ask(FakeLM(), SUITE, EVERYTHING, cache=open_cache(file, ME))
    lm = FakeLM()
    ask(lm, SUITE, EVERYTHING, cache=open_cache(file, ME))
    assert lm.asked == []
    longer = Suite("s", SUITE.splits, 9)
    ask(lm, longer, EVERYTHING, cache=open_cache(file, ME))
    assert lm.asked == [(r.prompt, 9) for r in ROWS]
    assert open_cache(file, ME.replace("0", "1")).known == {}


def test_records_without_moments_are_not_enough_where_a_metric_needs_them(tmp_path):
    file, lm = tmp_path / "records.jsonl", FakeLM()
    ask(FakeLM(), SUITE, ["answer"], cache=open_cache(file, ME))
    records = ask(lm, SUITE, ["answer", "moments"], cache=open_cache(file, ME))
    assert len(lm.asked) == len(ROWS)
    assert all(r.answer.mean == (-1.5,) for r in records["a/clean"])
    ask(lm, SUITE, ["answer"], cache=open_cache(file, ME))
    assert len(lm.asked) == len(ROWS)


def cut(lines):
    return [*lines[:-1], lines[-1][: len(lines[-1]) // 2]]


def changed(lines):
    return [line.replace("-1.4", "-0.4").replace("-2.8", "-0.8") for line in lines]


def garbled(lines):
    return [lines[0], "{not json", "[1, 2]", "null", '{"key": 3}', *lines[1:]]


@pytest.mark.parametrize("damage", [cut, changed, garbled, lambda lines: lines[1:], lambda lines: []])
def test_a_damaged_file_costs_time_and_never_changes_a_number(tmp_path, damage):
    file = tmp_path / "records.jsonl"
    expected = ask(FakeLM(), SUITE, EVERYTHING, cache=open_cache(file, ME))
    file.write_text("\n".join(damage(file.read_text().splitlines())))
    assert ask(FakeLM(), SUITE, EVERYTHING, cache=open_cache(file, ME)) == expected
    lm = FakeLM()
    assert ask(lm, SUITE, EVERYTHING, cache=open_cache(file, ME)) == expected
    assert lm.asked == []


def test_redaction_takes_answers_out_of_the_file_and_leaves_scores(tmp_path):
    file = tmp_path / "records.jsonl"
    ask(FakeLM(), SUITE, EVERYTHING, cache=open_cache(file, ME))
    lines = redact([json.loads(line) for line in file.read_text().splitlines()])
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    known = read_cache(file, ME)
    assert known
    assert all(isinstance(said, TokenScores) for said in known.values())
    lm = FakeLM()
    ask(lm, SUITE, EVERYTHING, cache=open_cache(file, ME))
    assert lm.asked == [(r.prompt, 8) for r in ROWS]


def test_without_texts_no_word_of_a_row_is_written(tmp_path):
    file = tmp_path / "records.jsonl"
    ask(FakeLM(), SUITE, EVERYTHING, cache=open_cache(file, ME, texts=False))
    assert "who" not in file.read_text()
    assert "it is" not in file.read_text()
    assert len(read_cache(file)) == 30


def test_every_split_has_its_own_length_and_some_are_only_scored():
    splits = (
        Split("a", "utility", "clean", ROWS[:2], max_new_tokens=5),
        Split("b", "utility", "clean", ROWS[:2]),
        Split("h", "holdout", "clean", ROWS[2:4], answered=False),
    )
    lm = FakeLM()
    records = ask(lm, Suite("s", splits, 8), ["answer", "generated"])
    assert [r.generated.tokens for key in ("a/clean", "b/clean") for r in records[key]] == [5, 5, 8, 8]
    assert all(r.generated is None and r.answer for r in records["h/clean"])


def test_processes_share_a_round_and_only_the_first_writes(tmp_path):
    class Two(Processes):
        """One of two processes; the other's records are already known."""

        def gather(self, values):
            kind = type(values[0][1])
            return [*values, *((k, v) for k, v in expected.known.items() if isinstance(v, kind))]

        def same(self, value):
            return value

    expected = Cache(None)
    whole = ask(FakeLM(), SUITE, EVERYTHING, cache=expected)
    asked = []
    for index in (0, 1):
        lm, file = FakeLM(), tmp_path / f"{index}.jsonl"
        assert ask(lm, SUITE, EVERYTHING, cache=open_cache(file, ME), processes=Two(index, 2)) == whole
        asked.append(lm.asked)
        assert bool(read_cache(file, ME)) is (index == 0)
    assert not set(asked[0]) & set(asked[1])
    assert {*asked[0], *asked[1]} == {
        *((r.prompt, a) for r in ROWS for a in (r.answer, "x", "y")),
        *((r.prompt, 8) for r in ROWS),
    }


floats = st.floats(allow_nan=False, allow_infinity=False)
scores = st.builds(
    TokenScores,
    *[st.lists(x, max_size=4).map(tuple) for x in (floats, st.booleans(), floats, floats)],
)
answers = st.builds(Generation, st.text(), st.integers(0, 9), st.booleans())


@given(said=st.lists(scores | answers, max_size=5))
def test_what_is_kept_is_read_again(tmp_path_factory, said):
    file = tmp_path_factory.mktemp("cache") / "records.jsonl"
    found = {f"sha256:{k:064}": value for k, value in enumerate(said)}
    open_cache(file, ME).keep(found)
    assert read_cache(file, ME) == found
