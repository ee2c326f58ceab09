"""Models of other families than Llama: numbers are those of transformers' own forwards of single rows."""

import pytest
import torch
import transformers
from tests.tiny import tiny_tokenizer
from torch.nn.functional import log_softmax

from forgetwell.data.encoding import Codec
from forgetwell.errors import InputError
from forgetwell.methods.finetune import Lora, with_lora
from forgetwell.models.generation import Decoder
from forgetwell.models.hidden import decoder_layers
from forgetwell.models.lm import load, wrap
from forgetwell.training.reference import make_reference
from forgetwell.types import Row

COMMON = {
    "vocab_size": 260, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "bos_token_id": None, "pad_token_id": None, "eos_token_id": 257,
}  # fmt: skip
# No sdpa: BLOOM, MPT, GPT-Neo, Gemma 2, Mamba. No positions: BLOOM, MPT, Mamba. Other logits than the head's:
# Gemma 2 (capped; here so low that it matters), Cohere, Granite (scaled).
FAMILIES = {
    "Bloom": {"n_layer": 2, "n_head": 4},
    "Mpt": {"d_model": 64, "n_layers": 2, "n_heads": 4, "max_seq_len": 512},
    "GPTNeo": {
        "attention_types": [[["global", "local"], 1]], "window_size": 16, "num_layers": 2, "num_heads": 4,
    },
    "Mamba": {"state_size": 8},
    "Gemma2": {"head_dim": 16, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 2.0},
    "Cohere": {"logit_scale": 0.0625},
    "Granite": {"logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.2},
}  # fmt: skip
ROWS = [Row(str(i), f"What is {i} and {i % 3}?", f"It is {i * 7}") for i in range(5)]


def network(name):
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**COMMON, **FAMILIES[name]})
    made = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    for weight in made.parameters():
        weight.data.mul_(6 if weight.dim() > 1 else 1)  # so that what is seen changes what is said
    return made


def alone(plain, row):
    """Return logits before each scored token, of a forward of the row by itself."""
    return plain(torch.tensor([row.ids])).logits[0, row.start - 1 : -1]


@pytest.mark.parametrize("name", FAMILIES)
def test_loaded_models_score_answer_and_learn_as_the_network_does(tmp_path, name):
    plain = network(name)
    plain.save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    lm = load(str(tmp_path / "model"), dtype="float32", max_length=128)
    encoded = [lm.codec.encode(row) for row in ROWS]
    logps = [log_softmax(alone(plain, e), -1) for e in encoded]
    wanted = [own[range(len(own)), e.ids[e.start :]] for own, e in zip(logps, encoded, strict=True)]
    for scores, own in zip(lm.score(ROWS), wanted, strict=True):
        assert scores.logps == pytest.approx(own.tolist(), abs=1e-3)
    texts = []
    for row in ROWS:
        ids = torch.tensor([lm.codec.encode_prompt(row)])
        said = plain.generate(ids, max_new_tokens=6, do_sample=False, eos_token_id=257, pad_token_id=0)
        texts.append(lm.codec.decode(said[0, ids.shape[1] :].tolist()).strip())
    assert [g.text for g in lm.generate(ROWS, max_new_tokens=6)] == texts
    torch.cat(wanted).sum().backward()
    lm.module(lm.batch(encoded), False).sum().backward()
    for ours, theirs in zip(lm.module.network.parameters(), plain.parameters(), strict=True):
        assert float((ours.grad - theirs.grad).norm()) <= 1e-3 * float(theirs.grad.norm()) + 1e-4


@pytest.mark.parametrize("name", ["Gemma2", "Cohere", "Granite"])
def test_logits_of_the_starting_model_are_scaled_and_capped_too(name):
    lm = wrap(network(name), Codec(tiny_tokenizer(), 128), name, name)
    encoded = [lm.codec.encode(row) for row in ROWS]
    found = make_reference(lm, encoded, logits=True).scored(encoded, logits=True).logits
    wanted = torch.cat([alone(lm.module.network, e) for e in encoded])
    assert torch.allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("name", ["OPT", "GPTNeo"])
def test_answers_end_where_a_models_learned_positions_do(name):
    family = {"ffn_dim": 96, "word_embed_proj_dim": 64} if name == "OPT" else FAMILIES[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**COMMON, **family, "max_position_embeddings": 64})
    made = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    lm = wrap(made, Codec(tiny_tokenizer(chat=False), 64), name, name)
    lm.codec.tokenizer.eos_token = None  # nothing but the window ends an answer
    rows = [Row("short", "Who?", "a"), Row("long", "Who" * 11 + "?", "a")]
    lengths = [len(lm.codec.encode_prompt(row)) for row in rows]
    assert lengths == [22, 52]  # "Question: " "\nAnswer:" are 18 bytes
    assert [g.tokens for g in lm.generate(rows, max_new_tokens=20)] == [20, 12]
    with pytest.raises(InputError, match=r"'full' has 64 prompt tokens; \w+ reads 64 at most"):
        lm.generate([Row("full", "W" * 46, "a")], max_new_tokens=20)


def test_linear_layers_of_gpt2_have_adapters_by_name():
    torch.manual_seed(0)
    plain = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=260)
    )
    lm = wrap(plain, Codec(tiny_tokenizer(), 128), "gpt2", "gpt2")
    moved = [
        n
        for n, p in with_lora(lm, Lora(2, targets=("c_attn",)), seed=0).module.named_parameters()
        if p.requires_grad
    ]
    assert len(moved) == 4
    assert all("c_attn" in name for name in moved)


def test_layers_that_can_not_have_adapters_are_a_plain_error():
    lm = wrap(network("Mamba"), Codec(tiny_tokenizer(), 128), "mamba", "mamba")
    with pytest.raises(InputError, match=r"Adapters can't be put on mamba: .* \(lora_target\)"):
        with_lora(lm, Lora(2), seed=0)


def test_layers_of_a_model_that_also_reads_images_are_those_of_its_text():
    text = {**COMMON, "head_dim": 16}
    vision = {"hidden_size": 24, "num_hidden_layers": 1, "image_size": 28, "patch_size": 14}
    config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=1)
    decoder = Decoder(transformers.Gemma3ForConditionalGeneration(config))
    assert [type(layer).__name__ for layer in decoder_layers(decoder)] == ["Gemma3DecoderLayer"] * 2
