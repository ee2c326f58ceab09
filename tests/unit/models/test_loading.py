import json
from pathlib import Path

import pytest
from tests.tiny import tiny_lm, tiny_model, tiny_tokenizer

from forgetwell.errors import ForgetwellError, InputError, MissingError
from forgetwell.methods.finetune import Lora, with_lora
from forgetwell.models import loading
from forgetwell.models.lm import load
from forgetwell.models.loading import find_model, folder_digest, load_pretrained


@pytest.fixture
def folder(tmp_path):
    tiny_lm().save(tmp_path / "base")
    return tmp_path / "base"


def adapter(tmp_path, base, weights=True):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    model.save_pretrained(tmp_path / "adapter")
    return edited(tmp_path / "adapter", base_model_name_or_path=base)


def edited(path, **settings):
    file = path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    return path


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_refused(name):
    with pytest.raises(InputError, match="empty"):
        find_model(name)


def test_an_unknown_name_is_missing(tmp_path):
    with pytest.raises(MissingError, match="expected smollm2"):
        find_model(str(tmp_path / "none"))


def test_a_saved_model_loads_with_the_same_weights(folder):
    loaded = load_pretrained(str(folder))
    assert loaded.digest == folder_digest(folder)
    expected = tiny_model().state_dict()
    assert all(value.equal(expected[name]) for name, value in loaded.model.state_dict().items())


def test_a_local_adapter_on_a_local_base_loads(tmp_path, folder):
    loaded = load_pretrained(str(adapter(tmp_path, str(folder))))
    assert loaded.digest != folder_digest(folder)


def test_an_adapter_is_found_from_other_working_directories(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    tiny_lm().save(Path("run/model"))
    with_lora(load("run"), Lora(rank=2), seed=0).save(Path("adapter"))
    here = load("adapter").digest
    named = json.loads(Path("adapter/adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str((tmp_path / "run/model").resolve())
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load("../adapter").digest == here
    texts = [f.read_text() for f in (tmp_path / "run").rglob("*.json")]
    texts += [f.read_text() for f in (tmp_path / "adapter").glob("*.md")]
    assert not [text for text in texts if str(tmp_path) in text]


@pytest.mark.parametrize("base", ["owner/name", "", None, 3, "ADAPTER", "EMPTY"])
def test_other_bases_of_adapters_are_refused_without_the_network(tmp_path, monkeypatch, base):
    monkeypatch.setattr(loading, "_snapshot", lambda name: pytest.fail("asked the hub"))
    (tmp_path / "empty").mkdir()
    named = {"ADAPTER": str(tmp_path / "adapter"), "EMPTY": str(tmp_path / "empty")}.get(base, base)
    with pytest.raises(InputError, match="base"):
        load_pretrained(str(adapter(tmp_path, named)))


@pytest.mark.parametrize("settings", [{"peft_type": "PROMPT_TUNING"}, {"megatron_config": {"a": 1}}])
def test_only_plain_lora_is_read(tmp_path, folder, settings):
    with pytest.raises(InputError, match="plain LoRA"):
        load_pretrained(str(edited(adapter(tmp_path, str(folder)), **settings)))


def test_an_adapter_needs_safetensors(tmp_path, folder):
    path = adapter(tmp_path, str(folder))
    (path / "adapter_model.safetensors").rename(path / "adapter_model.bin")
    with pytest.raises(InputError, match="no adapter_model"):
        load_pretrained(str(path))


def test_an_adapter_config_that_is_a_list_is_refused(tmp_path, folder):
    path = adapter(tmp_path, str(folder))
    (path / "adapter_config.json").write_text("[]")
    with pytest.raises(InputError, match="no JSON object"):
        load_pretrained(str(path))


def test_damaged_weights_are_a_plain_error(folder):
    (folder / "model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(InputError, match="Only safetensors"):
        load_pretrained(str(folder))


@pytest.mark.parametrize("change", [{"hidden_size": 32}, {"num_hidden_layers": 3}])
def test_weights_that_do_not_fit_are_refused(folder, change):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ForgetwellError):
        load_pretrained(str(folder))


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "a.model", "added_tokens.json"])
def test_tokenizer_files_change_the_digest(tmp_path, name):
    before = folder_digest(tmp_path)
    (tmp_path / name).write_text("x")
    assert folder_digest(tmp_path) != before


def test_a_hub_model_has_the_digest_of_its_snapshot(folder, monkeypatch):
    monkeypatch.setattr(loading, "_snapshot", lambda name: folder)
    assert load_pretrained("owner/name").digest == folder_digest(folder)


def test_a_folder_that_is_not_there_is_not_called_a_broken_hub_model(monkeypatch):
    def unreachable(name):
        raise OSError("name or service not known")

    monkeypatch.setattr(loading, "_snapshot", unreachable)
    with pytest.raises(
        InputError, match="There is no folder runs/known, and as a hub id it can't be loaded: name"
    ):
        load_pretrained("runs/known")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ((), "holds no model: it has no config.json"),
        (("started.json",), "is a run that has not finished; finish it with --resume"),
        (("started.json", "manifest.json"), "is a run without a model; name a run of learn or unlearn"),
    ],
)
def test_a_folder_without_a_model_is_called_what_it_is(tmp_path, files, says):
    for name in files:
        (tmp_path / name).write_text('{"kind": "learn"}')
    with pytest.raises(InputError, match=says):
        load_pretrained(str(tmp_path))


def test_a_model_without_its_tokenizer_is_refused_with_what_is_missing(folder):
    for file in folder.glob("*token*"):
        file.unlink()
    with pytest.raises(InputError, match=r"without its tokenizer; put tokenizer\.json"):
        load_pretrained(str(folder))


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    tiny_model(vocabulary=250).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="a tokenizer of 256 tokens and a model that knows 250"):
        load_pretrained(str(tmp_path))


def test_quantized_weights_are_refused_where_float32_is_meant(folder):
    pytest.importorskip("bitsandbytes")
    file = folder / "config.json"
    settings = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    file.write_text(json.dumps({**json.loads(file.read_text()), "quantization_config": settings}))
    with pytest.raises(InputError, match="are quantized and can't be read as float32"):
        load_pretrained(str(folder))
