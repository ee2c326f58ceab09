import os
import stat

import pytest
import yaml
from tests.tiny import tiny_lm, tiny_model, tiny_tokenizer

from forgetwell.errors import ExistsError
from forgetwell.files import WriteFailed
from forgetwell.models.saving import ModelCard, card_text, save_model

HOSTILE = "x\n---\n# <script>alert(1)</script> | [a](http://b) `c`"


def card(base="smollm2", **more):
    return ModelCard(base, HOSTILE, {"lr": 1e-5, HOSTILE: HOSTILE}, {"base": "abc"}, **more)


def test_save_writes_a_folder_with_a_card_and_leaves_nothing_else(tmp_path):
    tiny_lm().save(tmp_path / "m", card())
    assert {"README.md", "config.json", "model.safetensors"} <= {f.name for f in (tmp_path / "m").iterdir()}
    assert [f.name for f in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_who_may_read_a_model_is_decided_by_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        tiny_lm().save(tmp_path / "m", card())
    finally:
        os.umask(before)
    assert {stat.S_IMODE(f.stat().st_mode) for f in (tmp_path / "m").iterdir()} == {mode}


def test_a_folder_in_use_is_refused_and_an_empty_one_taken(tmp_path):
    tiny_lm().save(tmp_path)
    with pytest.raises(ExistsError, match="not empty"):
        tiny_lm().save(tmp_path)


def test_a_full_disk_leaves_nothing(tmp_path):
    class Full:
        def save_pretrained(self, folder, **_):
            (folder / "part").write_text("x")
            raise OSError(28, "No space left on device")

    with pytest.raises(WriteFailed, match="No space"):
        save_model(Full(), tiny_tokenizer(), tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_errors_of_ours_are_not_hidden(tmp_path):
    with pytest.raises(AttributeError):
        save_model(tiny_model(), None, tmp_path / "m")


@pytest.mark.parametrize("base", ["smollm2", HOSTILE, "a: [b", "no"])
def test_front_matter_is_yaml_with_the_base_as_text(base):
    front = yaml.safe_load(card_text(card(base)).split("\n---\n")[0])
    assert front["base_model"] == base
    assert front["library_name"] == "transformers"


def test_hostile_text_stays_text():
    text = card_text(card())
    assert "<script>" not in text
    assert "[a](" not in text
    assert text.count("\n---\n") == 1


def test_numbers_stand_in_a_table_and_only_then_are_spoken_of():
    text = card_text(card(probe={"forget.rouge_l_recall": 0.25, "utility.x": float("nan")}))
    assert "| forget.rouge\\_l\\_recall | 0.25 |" in text
    assert "not known" in text
    assert "The numbers above" in text
    assert "numbers above" not in card_text(card())
    assert "## Last probe" not in card_text(card())


def test_a_card_says_how_training_ended():
    text = card_text(card(ending={"steps": 12, "stopped": HOSTILE, "kept_step": 8}))
    assert "| steps | 12 |" in text
    assert "| kept\\_step | 8 |" in text
    assert "<script>" not in text
