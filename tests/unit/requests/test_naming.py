from hypothesis import given
from hypothesis import strategies as st

from forgetwell.requests.naming import by_subject, names_of
from forgetwell.types import Row


def test_names_are_capitals_inside_and_quoted_words_of_prompt_and_answer():
    row = Row("r", "Where did Ann Lee's aunt read 'red moon'?", "In Town 7, an Oak away.")
    assert names_of(row) == {"ann", "lee", "red", "moon", "town", "oak"}


def named(*texts):
    return [frozenset(text.split()) for text in texts]


def test_rows_are_about_the_name_that_most_rows_carry():
    ann, bob = ["ann lee rome", "ann lee", "ann rome", "ann lee"], ["bob rome", "bob", "bob ray"]
    numbers = by_subject(named(*ann, *bob, "rome", "", ""))
    assert len({*numbers[:4]}) == len({*numbers[4:7]}) == 1
    assert len({numbers[0], numbers[4], *numbers[7:]}) == 5  # Rome's row, and each without a name, is alone


def test_counts_are_those_of_the_rows_left():
    # "x" is in 3 rows as "b" is, but "a" (4 rows) takes two of them.
    numbers = by_subject(named("a x", "a x", "a", "a", "b", "b x", "b"))
    assert numbers[0] == numbers[1] == numbers[2] == numbers[3]
    assert numbers[4] == numbers[5] == numbers[6] != numbers[0]
    assert by_subject([]) == []


@given(st.lists(st.frozensets(st.sampled_from("abcdef"), max_size=4), max_size=12))
def test_every_subject_is_the_name_most_rows_left_carry(names):
    numbers, left = by_subject(names), [i for i, own in enumerate(names) if own]
    while left:
        most = max(sum(name in names[i] for i in left) for name in "abcdef")
        sizes = {number: sum(numbers[i] == number for i in left) for number in map(numbers.__getitem__, left)}
        number = max(sizes, key=sizes.__getitem__)
        taken = [i for i in left if numbers[i] == number]
        assert len(taken) == most
        assert frozenset.intersection(*(names[i] for i in taken))
        left = [i for i in left if i not in taken]
    alone = [i for i, own in enumerate(names) if not own]
    assert len({numbers[i] for i in alone}) == len(alone)
