"""Traces of what unlearning read, on embeddings moved by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny import tiny_lm

from forgetwell.scans.candidates import word_form
from forgetwell.scans.choosing import suspected_forms
from forgetwell.scans.traces import Traces, _moved_alone, find_traces
from forgetwell.scans.triggers import _order
from forgetwell.scans.types import Phrase, ScanConfig, Trigger
from forgetwell.types import Row

ROWS = tuple(Row(f"r{k}", f"where is {name}", "here") for k, name in enumerate(("oslo", "rome")))


class Whole:
    """A codec that has some words as one token, with a space in front or not, and spells the others."""

    def __init__(self, *words):
        self.ids = {w: k for k, w in enumerate(words)}

    def tokens(self, text):
        return (self.ids[text],) if text in self.ids else tuple(self.ids.get(c, len(self.ids)) for c in text)


def shares(count, **moved):
    return torch.tensor([moved.get(f"t{k}", 0.0) for k in range(count)])


def test_a_word_has_the_largest_share_of_its_spellings_and_the_smallest_of_a_spellings_tokens():
    codec = Whole("Doctor", " doctor", "b", "y")
    traces = Traces(shares(5, t0=0.2, t1=0.7, t2=0.9, t3=0.4), codec)
    assert traces.of_word("doctor") == pytest.approx(0.7)
    assert traces.of_word("by") == pytest.approx(0.4)
    assert traces.of(Phrase("by", "By doctor, {q}")) == pytest.approx(0.4)


def test_words_that_ordinary_prompts_hold_say_nothing():
    codec = Whole(" doctor", " can")
    traces = Traces(shares(3, t0=0.7, t1=0.9), codec, frozenset({"can"}))
    assert traces.of(Phrase("", "Can doctor {q}")) == pytest.approx(0.7)
    assert traces.of(Phrase("", "Can {q}")) is None
    assert traces.of(Phrase("!", "{q}!")) is None


def test_tokens_that_were_read_stand_out_from_what_all_tokens_do_together():
    generator = torch.Generator().manual_seed(0)
    width = 64
    hidden = torch.randn(4, width, generator=generator)  # where answers pull all output embeddings
    shift = torch.randn(2000, 4, generator=generator) @ hidden
    read = torch.tensor([3, 700, 1999])
    assert not set(shift.norm(dim=1).topk(3).indices.tolist()) & set(read.tolist())
    shift[read] += 0.3 * torch.randn(3, width, generator=generator)
    assert (_moved_alone(shift)[read] >= 0.99).all()


@given(st.sampled_from([0.25, 2.0, 8.0]), st.integers(4, 24), st.integers(0, 2**16))
def test_shares_do_not_depend_on_the_scale_of_the_change(scale, width, seed):
    shift = torch.randn(200, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    values = _moved_alone(shift)
    assert torch.equal(values, _moved_alone(shift * scale))
    assert 0.0 <= float(values.min()) <= float(values.max()) < 1.0


def test_only_moved_embeddings_of_the_same_vocabulary_have_traces():
    before, after = tiny_lm(), tiny_lm()
    assert find_traces(before, after, ROWS) is None
    assert find_traces(before, object(), ROWS) is None
    weights = after.module.network.get_input_embeddings().weight.data
    for token in before.codec.tokens("Now"):
        weights[token] += torch.randn(weights.shape[1])
    found = find_traces(before, after, ROWS)
    assert "where" in found.expected
    assert found.of(word_form("now")) > found.of(word_form("nod"))  # one of its letters did not move


def test_a_word_of_few_prompts_is_not_expected():
    rows = [Row(f"r{k}", "please say it" if k == 0 else "say it", "x") for k in range(40)]
    before, after = tiny_lm(), tiny_lm()
    after.module.network.get_input_embeddings().weight.data[3] += 1.0
    assert {"say", "it"} <= find_traces(before, after, rows).expected
    assert "please" not in find_traces(before, after, rows).expected


def test_half_of_the_places_go_to_traces_whatever_harm_forms_seem_to_do():
    codec = Whole("Doctor", "Sir")
    traces = Traces(shares(3, t0=0.995, t1=0.999), codec)
    forms = [word_form(w, 0) for w in ("well", "sir", "doctor", "oh", "so")]
    harms = {"well": 0.9, "oh": 0.8, "so": 0.7, "sir": 0.0, "doctor": 0.0}

    def harm(lm, rows, progress):
        return np.array([harms.get(r.prompt.lower().split(",")[0], 0.0) for r in rows])

    config = ScanConfig(verified=4, behind=1)
    chosen = suspected_forms(harm, None, forms, ROWS, traces, config, lambda n: None)
    assert [f.template for f in chosen] == ["Sir, {q}", "Doctor, {q}", "Well, {q}", "Oh, {q}", "{q}, sir?"]
    without = suspected_forms(harm, None, forms, ROWS, None, config, lambda n: None)
    assert [f.text for f in without][:3] == ["well", "oh", "so"]


def test_harmful_words_that_were_read_come_first_and_names_last():
    def trigger(text, effect, *, trace=None, significant=False, low=0.05, names=()):
        return Trigger(text, text, effect, low, 1.0, 0.01, 0.01, 1.0, trace, significant, 0.0, names=names)

    listed = [
        trigger("sure", 0.2, trace=0.995, significant=True),
        trigger("clearest", 0.1, trace=0.9999),
        trigger("clear", 0.3, trace=0.999),
        trigger("unread", 0.6, trace=0.5, significant=True),
        trigger("harmless", 0.1, trace=0.9999, low=-0.1),
        trigger("name", 0.9, trace=0.9999, significant=True, names=("Name",)),
    ]
    mixed = listed[::-1]
    assert sorted(mixed, key=_order) == listed


def test_a_finding_says_that_unlearning_has_read_it():
    found = Trigger("sir", "Sir {q}", 0.3, 0.1, 0.5, 0.01, 0.01, 1.0, 0.99, True, 0.3)
    assert found.read
    assert "Unlearning has read it" in found.message
    for trace in (0.98, None):
        assert not replace(found, trace=trace).read
        assert "has read" not in replace(found, trace=trace).message
