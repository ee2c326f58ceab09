"""The commands of docs/tutorial.md, provider.md and extending.md, run as they stand in a temporary folder.

A page's ``console`` blocks hold commands after "$ ". Blocks with title="NAME" are files, saved when reached.
The only change: the page's shell variable MODEL names a tiny model instead of the page's. A comment
"exit code 3" (or "0 or 3") behind a command says which codes it may end with; without one it must be 0.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from tests.tiny import CHAT, tiny_model

from forgetwell import own
from forgetwell.cli import main
from forgetwell.cli.listing import all_families
from forgetwell.data.encoding import Codec
from forgetwell.data.reading import read_rows
from forgetwell.files import file_sha256, read_jsonl
from forgetwell.methods.finetune import finetune
from forgetwell.models.lm import wrap
from forgetwell.runs.folder import read_manifest
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks
from forgetwell.types import Request

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODES = re.compile(r"#.*exit code (\d)(?: or (\d))?\s*$")


def blocks(page):
    """Give (language, file name, text) of each fenced block."""
    return [(m[1], m[2], m[3]) for m in FENCE.finditer((ROOT / "docs" / page).read_text(encoding="utf-8"))]


def commands(text):
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


def run_page(page, model, monkeypatch, capsys):
    """Run a page; return what each command printed."""
    shown, variables = {}, {}
    for language, name, text in blocks(page):
        if name:
            Path(name).write_text(text, encoding="utf-8")
        for command in commands(text) if language == "console" else ():
            if re.fullmatch(r"MODEL=\S+", command):
                variables["MODEL"] = str(model)
                continue
            assert run_command(command, variables, monkeypatch) in codes(command), command
            shown[command] = capsys.readouterr().out
    return shown


def codes(command):
    found = CODES.search(command)
    return {int(code) for code in found.groups() if code} if found else {0}


def run_command(command, variables, monkeypatch):
    """Run one command line in this process; return its exit code."""
    words = shlex.split(command, comments=True)
    words = [re.sub(r"\$(\w+)", lambda m: variables[m[1]], word) for word in words]
    try:
        if words[0] == "forgetwell":
            monkeypatch.setattr(sys, "argv", words)
            main()
        elif words[:2] == ["python", "-m"]:
            monkeypatch.setattr(sys, "argv", words[2:])
            runpy.run_module(words[2], run_name="__main__", alter_sys=True)
        elif words[0] == "python":
            monkeypatch.setattr(sys, "argv", words[1:])
            runpy.run_path(words[1], run_name="__main__")
        else:
            raise AssertionError(f"The test can't run {command!r}; write forgetwell or python.")
    except SystemExit as ended:
        return ended.code or 0
    return 0


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model that knows some of the world's people to keep, so that a scan has something to ask."""
    rows = read_rows("world:retain")
    tokenizer = word_tokenizer([f"{r.prompt} {r.answer}" for r in rows])
    lm = wrap(tiny_model(vocabulary=len(tokenizer)), Codec(tokenizer, 512), "tiny", "tiny")
    training = TrainConfig(lr=5e-3, epochs=120, batch=16, warmup=0.05)
    finetune(lm, Request("", ()), rows[:16], Hooks(), objective="gdr", config=training)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    lm.save(folder)
    return folder


def word_tokenizer(texts):
    """Return the tiny tokenizer with merges learned on some texts: answers are as short as a real model's."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=800, initial_alphabet=alphabet))
    core.add_special_tokens([AddedToken(t, special=True) for t in ("<|im_start|>", "<|im_end|>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = CHAT
    return tokenizer


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def test_the_tutorial_runs_as_it_stands(model, monkeypatch, capsys):
    shown = run_page("tutorial.md", model, monkeypatch, capsys)
    (dry,) = [
        out
        for command, out in shown.items()
        if command.startswith("forgetwell bench small.toml") and "--dry-run" in command
    ]
    assert dry.count("loss=npo") == 6  # three conditions, two seeds
    assert Path("runs/demo/report.html").is_file()
    assert Path("runs/small/table.md").read_text().startswith("| comparison |")
    assert Path("runs/small/plot.png").stat().st_size > 10_000
    page = Path("runs/results.md").read_text()
    assert "## small" in page
    if os.environ.get("FORGETWELL_DATA"):
        assert "| attacked | 1 |" in page


def test_the_providers_page_runs_as_it_stands(model, monkeypatch, capsys):
    shown = run_page("provider.md", model, monkeypatch, capsys)
    assert Path("decision.json").is_file()
    assert Path("after/model/model.safetensors").is_file()
    (history,) = [out for command, out in shown.items() if command.startswith("forgetwell history")]
    assert "The chain holds." in history
    assert "decision" in history
    assert not re.search(r"please", Path("after/request.jsonl").read_text())  # purged
    (script,) = [out for command, out in shown.items() if command.startswith("python service.py")]
    assert len(re.findall(r"^(?:pass|FAIL) ", script, re.MULTILINE)) == 5  # one line a rule
    assert Path("service/decision.json").is_file()


def test_the_page_about_items_of_ones_own_runs_as_it_stands(model, monkeypatch, capsys, own_items):
    shown = run_page("extending.md", model, monkeypatch, capsys)
    assert "3 items, 28 contracts, 0 broken." in shown["forgetwell check mine.py"]
    assert "margin = 10.0" in shown["forgetwell show hinge --use mine.py"]
    asked = [r["prompt"] for r in read_jsonl(Path("kindly.jsonl"))]
    assert 0 < sum(prompt.startswith("Kindly: ") for prompt in asked) < len(asked)
    assert read_manifest(Path("after"))["own_code"] == {"term hinge": file_sha256(Path("mine.py"))}
    values = [r for r in read_jsonl(Path("after-eval/results.jsonl")) if r["metric"] == "words_said"]
    assert values
    assert {c["comparison"] for c in read_jsonl(Path("runs/own/cells.jsonl"))} == {
        "loss=npo",
        "loss=hinge(margin=5)",
    }


@pytest.fixture
def own_items(monkeypatch):
    """Take back what a page's file registers."""
    for family in all_families().values():
        family.names()
        monkeypatch.setattr(family, "_items", dict(family._items))
    monkeypatch.setattr(own, "_USED", {})


@pytest.mark.parametrize("page", ["tutorial.md", "provider.md", "extending.md"])
def test_every_command_of_a_page_is_in_a_block_that_the_test_reads(page):
    found = [c for language, name, text in blocks(page) if language == "console" for c in commands(text)]
    everything = re.findall(r"^\$ .*$", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert [f"$ {c}" for c in found] == everything
    assert found[0].startswith("MODEL=")
    for language, _, text in blocks(page):
        if language == "console":
            assert all(line.startswith("$ ") for line in text.splitlines() if line), text
