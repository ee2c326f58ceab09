from forgetwell.requests.enrichment import large_subjects
from forgetwell.types import Row


def test_only_subjects_with_five_rows_count_as_small_requests():
    rows = [Row(f"{s}{i}", "Q?", "A", s) for s, n in (("a", 5), ("b", 4), ("", 9)) for i in range(n)]
    assert large_subjects(rows) == [tuple(rows[:5])]
