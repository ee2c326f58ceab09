"""Words that names explain: which they are, what is said of them, and that they are not hidden."""

from dataclasses import replace

import pytest
from tests.tiny import tiny_lm

from forgetwell.runs.gate import _scan_line
from forgetwell.runs.policy import load_policy
from forgetwell.scans.candidates import word_form
from forgetwell.scans.names import names_in, names_of_words
from forgetwell.scans.triggers import _names
from forgetwell.scans.types import ScanResult, Trigger
from forgetwell.types import Row

TOKENS = {"Martina": ["Mart", "ina"], " Martina": ["ĠMart", "ina"], " Rose": ["ĠRose"], "Rose": ["R", "ose"]}


class Pieces:
    def __init__(self):
        self.known = sorted({t for tokens in TOKENS.values() for t in tokens})

    def tokens(self, text):
        return tuple(self.known.index(t) for t in TOKENS.get(text, []))

    def decode(self, ids):
        return "".join(self.known[i] for i in ids).replace("Ġ", " ")


def row(prompt, subject=""):
    return Row(prompt, prompt, "x", subject)


def test_names_are_those_of_subjects_or_else_capitals_inside_prompts():
    asked = [row("Where was Ada born? Was it Rome?", "Ada van Loon"), row("Why is Rome old?")]
    assert names_in(asked) == {"Ada", "Loon"}
    assert names_in([replace(r, subject="") for r in asked]) == {"Ada", "Rome"}
    assert names_in([row("where is it?"), row("")]) == frozenset()


def test_a_word_is_explained_by_names_that_it_begins():
    found = names_of_words(["Martina", "Rose", "Nobody"], Pieces())
    assert found == {"mart": ("Martina",), "rose": ("Rose",), "r": ("Rose",)}


def test_everyday_words_are_words_whatever_the_names(monkeypatch):
    lm = tiny_lm()  # one token a letter: every name begins with its letter
    forms = [word_form("m"), word_form("please"), word_form("x")]
    monkeypatch.setattr(
        "forgetwell.scans.triggers.names_of_words", lambda *a: {"m": ("Mia",), "please": ("Please",)}
    )
    assert _names(lm, forms, [row("?", "Mia")]) == {"m": ("Mia",)}


NAMED = Trigger("mart", "Mart {q}", 0.5, 0.3, 0.7, 0.002, 0.01, 1.0, 0.97, True, 0.4, names=("Martina",))


@pytest.mark.parametrize(("text", "verb"), [("mart", "begins"), ("martina", "is")])
def test_harm_that_a_name_explains_is_told_apart_and_still_told(text, verb):
    result = ScanResult("white-box", "a", "b", 9, 9, 0.0, 0.0, 0.05, 0.1, 0.02, (replace(NAMED, text=text),))
    (finding,) = result.findings
    assert f"It {verb} the name Martina in the rows" in finding.message
    rule = next(r for r in load_policy("default").rules if r.measure == "scan/findings")
    line = _scan_line(rule, result.facts())  # a gate counts it, and says what it is
    assert line.value == 1.0
    assert f"“{text}” (refusal, a name's)" in line.evidence


def test_of_other_findings_no_name_is_told():
    assert "name" not in replace(NAMED, names=()).message
