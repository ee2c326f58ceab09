"""A model that is asked about each row once."""

from forgetwell.models.kept import Kept
from forgetwell.types import Generation, Row

ROWS = tuple(Row(f"r{k}", f"q{k}", "a") for k in range(3))


class Counts:
    name = digest = "counts"
    codec = None

    def __init__(self):
        self.asked = []

    def generate(self, rows, *, max_new_tokens, progress):
        self.asked.append([r.id for r in rows])
        progress(len(rows))
        return [Generation(f"{r.id}/{max_new_tokens}", 1, True) for r in rows]


def test_answers_are_kept_by_row_and_length_and_all_are_told():
    lm, told = Counts(), []
    kept = Kept(lm)
    kept.generate([ROWS[0], ROWS[0], ROWS[1]], max_new_tokens=4, progress=told.append)
    said = kept.generate(ROWS, max_new_tokens=4, progress=told.append)
    assert [g.text for g in said] == ["r0/4", "r1/4", "r2/4"]
    assert [g.text for g in kept.generate(ROWS[:1], max_new_tokens=8)] == ["r0/8"]
    assert lm.asked == [["r0", "r1"], ["r2"], ["r0"]]
    assert sum(told) == 6
