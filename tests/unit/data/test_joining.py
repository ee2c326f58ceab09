"""Texts and templates join as the tokenizer reads the whole, not piece by piece."""

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from forgetwell.data.encoding import Codec
from forgetwell.types import Row, Turn

# As in Llama 2's and Mistral's, Vicuna's, Alpaca's and Zephyr's chat templates.
LLAMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
VICUNA = (
    "{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} "
    "{% else %}ASSISTANT: {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
ALPACA = (
    "{% for m in messages %}{% if m.role == 'user' %}### Instruction:\n{{ m.content }}\n\n### Response:\n"
    "{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
THINKING = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% if enable_thinking is false %}<think></think>{% endif %}"
    "{% endif %}"
)
# "▁Who", "▁An" and "?\n" are tokens; so are all letters and signs of the texts here.
MERGES = [("▁", "W"), ("▁W", "h"), ("▁Wh", "o"), ("▁", "A"), ("▁A", "n"), ("?", "\n")]
SIGNS = sorted(set("▁\ue000\n?![]#:|<>/.' abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
ROW = Row("a", "Who?", "An end.", history=(Turn("user", "Hi!"), Turn("assistant", "Who?")))
MESSAGES = [{"role": t.role, "content": t.content} for t in (*ROW.history, Turn("user", "Who?"))]


def sentencepiece(template=None, *, legacy=False, special=()):
    """Return a tokenizer that puts a blank before a whole text, as Llama's and Mistral's do."""
    tokens = dict.fromkeys((*SIGNS, *("".join(pair) for pair in MERGES)))
    core = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, MERGES))
    if legacy:
        blanks = normalizers.Replace(" ", "▁")
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), blanks])
    else:
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    core.decoder = decoders.Metaspace(prepend_scheme="first")
    core.add_special_tokens([AddedToken(t, special=True) for t in ("<s>", "</s>", *special)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("template", [LLAMA, VICUNA, ALPACA, ZEPHYR])
def test_prompts_and_answers_are_the_tokens_of_the_rendered_whole(template, legacy):
    tokenizer = sentencepiece(template, legacy=legacy)
    encoded = Codec(tokenizer).encode(ROW)
    prompt = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True)["input_ids"]
    turn = {"role": "assistant", "content": ROW.answer}
    whole = tokenizer.apply_chat_template([*MESSAGES, turn])["input_ids"]
    assert encoded.ids[: encoded.start] == tuple(prompt)
    assert encoded.ids == tuple(whole[: len(encoded.ids)])
    assert tokenizer.convert_ids_to_tokens(encoded.ids[-1]) == "</s>"


@pytest.mark.parametrize("legacy", [False, True])
def test_without_a_template_the_question_joins_to_the_words_around_it(legacy):
    tokenizer = sentencepiece(legacy=legacy)
    encoded = Codec(tokenizer).encode(Row("a", "Who?", "An end."))
    found = tokenizer.convert_ids_to_tokens(encoded.ids)
    assert found == [*"▁Question:", "▁Who", "?\n", *"Answer:", "▁An", *"▁end.", "</s>"]


@pytest.mark.parametrize(("prompt", "answer"), [("Who", " An end"), ("", "Who An end")])
def test_a_plain_text_is_read_as_the_whole(prompt, answer):
    tokenizer = sentencepiece()
    encoded = Codec(tokenizer).encode(Row("a", prompt, answer, text=True))
    assert tokenizer.convert_ids_to_tokens(encoded.ids) == ["▁Who", "▁An", *"▁end"]


def test_marks_are_those_of_the_words_also_where_a_blank_joins_the_answer():
    encoded = Codec(sentencepiece()).encode(Row("a", "Who?", "An end.", focus=("end",)))
    assert encoded.marks == (0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0)  # ▁An ▁ e n d . </s>


def test_an_answer_ends_with_the_special_token_of_the_template_though_it_has_no_role():
    # Phi-3's turns end with <|end|>, its texts with <|endoftext|>, the one end that its tokenizer names.
    template = "{% for m in messages %}{{ m.content }}<|end|>\n{% endfor %}{{ eos_token }}"
    codec = Codec(sentencepiece(template, special=("<|end|>",)))
    ends = codec.tokenizer.convert_tokens_to_ids(["<|end|>", "</s>"])
    assert codec.encode(Row("a", "Who?", "An end.")).ids[-1] == ends[0]
    assert codec.stop_ids == frozenset(ends)


def test_a_model_that_thinks_is_asked_for_the_answer():
    codec = Codec(sentencepiece(THINKING))
    asked = codec.tokenizer.decode(codec.encode_prompt(Row("a", "Who?", "An")))
    assert asked.endswith("<think></think>")
