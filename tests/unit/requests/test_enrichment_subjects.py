import pytest

from forgetwell.requests.enrichment import Background, enriched, large_subjects
from forgetwell.types import Row


def one_class(_feature):
    return "c"


def test_only_subjects_with_five_rows_count_as_small_requests():
    rows = [Row(f"{s}{i}", "Q?", "A", s) for s, n in (("a", 5), ("b", 4), ("", 9)) for i in range(n)]
    assert large_subjects(rows) == [tuple(rows[:5])]


def test_a_word_of_one_subject_of_several_counts_five_times():
    usual = Background(1000, {"also": 5}, {}, {"c": 0.005})

    def p_values(rows, subjects):
        return {e.feature: e.p_value for e in enriched(rows, usual, one_class, subjects=subjects)}

    def asked(*with_it):
        return [{"also"} if i in with_it else set() for i in range(40)]

    halves, unequal = [0] * 20 + [1] * 20, [0] * 36 + [1] * 4
    plain = p_values(asked(0, 1, 2), ())["also"]
    assert p_values(asked(0, 1, 2), halves)["also"] == pytest.approx(
        5 * plain
    )  # by lot 20·19·18/(40·39·38) = .12
    assert p_values(asked(0, 1, 39), halves)["also"] == pytest.approx(plain)
    assert p_values(asked(0, 1, 2), unequal)["also"] == pytest.approx(plain)  # 36·35·34/(40·39·38) = .72
    assert p_values(asked(0, 1, 2), [7] * 40)["also"] == pytest.approx(plain)
    assert max(p_values([{"also", str(i % 2)} for i in range(40)], halves).values()) <= 1
