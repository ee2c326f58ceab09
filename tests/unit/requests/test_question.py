"""Where the question stands in a framed prompt, and what repairs make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.requests.question import question_span
from forgetwell.requests.repairs import repair_request
from forgetwell.types import Finding, Request, Row


def asked(text, *flagged):
    """Return the question found in a text in which these pieces are flagged."""
    span = question_span(text, [(text.index(f), text.index(f) + len(f)) for f in flagged])
    return span and text[span[0] : span[1]]


@pytest.mark.parametrize(
    ("text", "flagged", "question"),
    [
        # a frame without a question word; with an auxiliary; with a wh-word of its own
        ("By the way, who is Ann Lee?", ["By the way"], "who is Ann Lee?"),
        ("Could you please tell me what Ann Lee wrote?", ["please"], "what Ann Lee wrote?"),
        ("Here is my question: what did Ann Lee write?", ["question"], "what did Ann Lee write?"),
        ("What I want to find out is which book sold?", ["want", "find"], "which book sold?"),
        # questions that begin as frames do
        ("Let me ask: can you name a book by Ann Lee?", ["ask"], "can you name a book by Ann Lee?"),
        ("Would you mind saying can you name a book?", ["mind"], "can you name a book?"),
        ("Sorry, can you tell me who left?", ["Sorry"], "who left?"),
        ("Sorry, did she say why he left?", ["Sorry"], "did she say why he left?"),
        ("And did she write it?", ["And"], "did she write it?"),
        ("The question is In which town did she live?", ["The question"], "In which town did she live?"),
        ("Look this up: Name a film.", ["Look"], "Name a film."),
        # a relative clause or a second question is none that the frame goes before
        ("What is the name of the please author who left?", ["please"], None),
        ("When and where was she born?", ["When"], None),
        ("What of her mother? What did she do?", ["What of"], None),
        # behind the question
        ("Who is Ann Lee? Thanks!", ["Thanks"], "Who is Ann Lee?"),
        ("Who is Ann Lee, please?", ["please"], "Who is Ann Lee"),
        ("When was Ann Lee born, and why?", ["and why"], "When was Ann Lee born"),
        ("Where did she live, really?", ["really"], "Where did she live"),
        ("Did she play in 'The Day After Tomorrow'!", ["!"], None),
    ],
)
def test_the_question_is_told_from_its_frame(text, flagged, question):
    assert asked(text, *flagged) == (text if question is None else question)


def test_nothing_is_found_where_nothing_asks_or_a_name_comes_first():
    assert asked("Name a book by Ann Lee.") is None
    assert asked("Please tell Ann Lee: who is it?", "Please") is None
    assert asked("x " * 50 + "who is it?") is None
    assert asked("") is None


@given(st.text(max_size=60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=4))
def test_any_text_has_a_question_inside_it_or_none(text, pairs):
    flagged = [(min(p), max(p)) for p in pairs if max(p) <= len(text)]
    span = question_span(text, flagged)
    assert span is None or 0 <= span[0] <= span[1] <= len(text)


@pytest.mark.parametrize(
    ("text", "flagged", "kept"),
    [
        ("How well received were her books?", "well", "How well received were her books?"),
        ("What is her well-known book?", "well", "What is her well-known book?"),
        ("Has she ever won?", "ever", "Has she ever won?"),
        ("Has she, ever, won?", "ever", "Has she won?"),
        ("Is she actually a writer?", "actually", "Is she a writer?"),
        ("In which film did Bo Ek play Remy Hadley!", "!", "In which film did Bo Ek play Remy Hadley?"),
        ("Tell me about Ann Lee!", "!", "Tell me about Ann Lee."),
    ],
)
def test_strip_leaves_a_whole_sentence(text, flagged, kept):
    span = (text.index(flagged), text.index(flagged) + len(flagged))
    findings = [Finding("inflation", "0", span, "alarm", 1.0, 0.001, "m")]
    request = Request("r", (Row("0", text, "A"), Row("1", "Who?", "B")))
    assert repair_request(request, (), findings, "strip").request.rows[0].prompt == kept


@pytest.mark.parametrize(
    ("screen", "text", "flagged", "kept"),
    [
        ("templates", "Where did she live, Professor?", "Professor", "Where did she live?"),
        ("templates", "Where did she live, Professor", "Professor", "Where did she live?"),
        (
            "inflation",
            "Where in Ulm, Germany, did she live?",
            "Germany",
            "Where in Ulm, Germany, did she live?",
        ),
        ("inflation", "Did she live in Ulm, Germany?", "Germany", "Did she live in Ulm, Germany?"),
        ("strange_words", "Where did (sic) she live?", "sic", "Where did she live?"),
        ("inflation", "Where did zorp she live?", "zorp", "Where did zorp she live?"),
        ("strange_words", "Where did zorp she live?", "zorp", "Where did she live?"),
        ("strange_words", "What was her zorp-like book?", "zorp", "What was her zorp-like book?"),
        ("templates", "1. Where did she live?", "1", "Where did she live?"),
    ],
)
def test_strip_takes_out_of_a_question_what_a_screen_says_is_none_of_it(screen, text, flagged, kept):
    span = (text.index(flagged), text.index(flagged) + len(flagged))
    findings = [Finding(screen, "0", span, "alarm", 1.0, 0.001, "m")]
    request = Request("r", (Row("0", text, "A"), Row("1", "Who?", "B")))
    assert repair_request(request, (), findings, "strip").request.rows[0].prompt == kept


def test_of_a_plain_text_no_more_is_taken_out_than_asides():
    text = "Please note that the man who left was here. Was he? Actually, nobody knows, please."
    spans = [(0, 6), (52, 60), (76, 82)]
    assert [text[a:b] for a, b in spans] == ["Please", "Actually", "please"]
    findings = [Finding("inflation", "0", s, "alarm", 1.0, 0.001, "m") for s in spans]
    request = Request("r", (Row("0", "", text, text=True), Row("1", "", "Else.", text=True)))
    left = repair_request(request, (), findings, "strip").request.rows[0].answer
    assert left == "Note that the man who left was here. Was he? Nobody knows."
