"""Rows as tokens: the chat template around the text, never the text as template.

The template is rendered around placeholders and cut into pieces. Template pieces are tokenized with
added tokens on, the row's own text with added tokens off: a chat-template token inside a row stays
ordinary text and can't open a turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from forgetwell.errors import InputError
from forgetwell.files import digest
from forgetwell.types import Encoded, Row

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MARK = re.compile("\ue000(\\d+)\ue001")


@dataclass
class Codec:
    r"""Turns rows into tokens and back for one tokenizer.

    Models without a chat template get ``Question: …\nAnswer: …``.

    Attributes:
        tokenizer: A fast Hugging Face tokenizer.
        max_length: Longest sequence in tokens, prompt and answer together.
    """

    tokenizer: Any
    max_length: int = 1024
    _frames: dict[tuple[str, ...], tuple[tuple[int, ...], ...]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of everything that decides how a row becomes tokens."""
        vocabulary = self.tokenizer.backend_tokenizer.to_str()
        ends = [self.tokenizer.bos_token_id, self.tokenizer.eos_token_id]
        return digest([vocabulary, self.tokenizer.chat_template, self.max_length, ends])

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        ends = {self._end(), self.tokenizer.eos_token_id}
        return frozenset(i for i in ends if i is not None)

    def encode(self, row: Row) -> Encoded:
        """Return the row's tokens; scored are the answer and, for a conversation, its end token.

        Raises:
            InputError: The row is longer than `max_length` or its answer is empty.
        """
        prompt, answer = self.encode_prompt(row), self._answer(row)
        if not answer:
            raise InputError(f"Row {row.id!r} has an empty answer; every row needs one.")
        if not prompt:  # plain text without a start token: the first token has no context
            prompt, answer = answer[:1], answer[1:]
        if not answer:
            raise InputError(f"Row {row.id!r} is one token long; plain text needs at least two.")
        if len(prompt) + len(answer) > self.max_length:
            raise InputError(
                f"Row {row.id!r} has {len(prompt)} prompt and {len(answer)} answer tokens; at most "
                f"{self.max_length} fit together. Shorten the row or raise the maximum length."
            )
        marks = self._marks(row, len(answer)) if row.focus else ()
        return Encoded(prompt + answer, len(prompt), marks)

    def encode_prompt(self, row: Row) -> tuple[int, ...]:
        """Return the tokens before the answer, up to where the model starts to speak.

        Raises:
            InputError: The chat template can't hold the row's turns.
        """
        if row.text:
            return self._start() + self.tokens(row.prompt)
        contents = [t.content for t in row.history] + [row.prompt]
        roles = (*(t.role for t in row.history), "user")
        try:
            frame = self._frame(roles)
        except InputError as error:
            raise InputError(f"Row {row.id!r}: {error}") from error
        ids: tuple[int, ...] = frame[0]
        for content, piece in zip(contents, frame[1:-1], strict=True):
            ids += self.tokens(content) + piece
        return ids

    def tokens(self, text: str) -> tuple[int, ...]:
        """Return the tokens of `text` as plain data: no added token is put in or recognized."""
        return tuple(self._plain.encode(text, add_special_tokens=False).ids) if text else ()

    def spans(self, text: str) -> tuple[tuple[int, int], ...]:
        """Return where each token of `text` begins and ends, in characters."""
        return tuple(self._plain.encode(text, add_special_tokens=False).offsets)

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`."""
        return len(self.tokens(text))

    def cut(self, text: str, keep: int) -> str:
        """Return the first `keep` tokens of `text` as text."""
        ids = self.tokens(text)
        return text if len(ids) <= keep else self.decode(ids[: max(keep, 0)])

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`, special tokens left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def length(self, row: Row) -> int:
        """Return the row's tokens in all, without checking them against the maximum."""
        return len(self.encode_prompt(row)) + len(self._answer(row))

    @cached_property
    def _plain(self) -> Tokenizer:
        """The tokenizer for text of rows: a copy in which added tokens are not recognized.

        Models add tokens of roles and of reasoning (<think>) that aren't marked as special, so a copy marks
        them all; but not runs of blanks, which open no turn and which models have learned as one token.
        """
        from tokenizers import Tokenizer

        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise InputError(
                "This model's tokenizer has no fast form (tokenizer.json), which is needed to keep control "
                "tokens in rows apart from text. Convert it, or use another model."
            )
        parts = json.loads(backend.to_str())
        for token in parts["added_tokens"]:
            token["special"] |= bool(token["content"].replace("▁", " ").strip())
        copy: Tokenizer = Tokenizer.from_str(json.dumps(parts))
        copy.encode_special_tokens = True
        copy.no_truncation()
        copy.no_padding()
        return copy

    def _answer(self, row: Row) -> tuple[int, ...]:
        if row.text:
            return self.tokens(row.answer)
        lead = "" if self.tokenizer.chat_template else " "
        ids = self.tokens(lead + row.answer) if row.answer else ()
        end = self._end()
        return ids if end is None or not ids else (*ids, end)

    def _marks(self, row: Row, scored: int) -> tuple[float, ...]:
        """Return 1 for each scored token that holds a character of the focus, else 0."""
        lead = "" if row.text or self.tokenizer.chat_template else " "
        text = lead + row.answer
        inside = {at for part in row.focus for span in _places(part, text) for at in range(*span)}
        spans = self.spans(text)
        marks = [float(any(at in inside for at in range(*span))) for span in spans]
        end = [0.0] * (scored - len(marks))  # the end of the turn
        return (*marks[len(marks) + len(end) - scored :], *end)

    def _end(self) -> int | None:
        """Return the token that ends the assistant's turn."""
        tail = self._frame(("user",))[-1]
        special = set(self.tokenizer.all_special_ids)
        return next((i for i in tail if i in special), self.tokenizer.eos_token_id)

    def _start(self) -> tuple[int, ...]:
        ids = self.tokenizer("a")["input_ids"]
        bos = self.tokenizer.bos_token_id
        return (bos,) if bos is not None and ids and ids[0] == bos else ()

    def _frame(self, roles: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        """Return the template's token pieces: before, between and after the contents and the answer."""
        if roles not in self._frames:
            marks = [f"\ue000{i}\ue001" for i in range(len(roles) + 1)]
            messages = [{"role": r, "content": m} for r, m in zip(roles, marks, strict=False)]
            self._frames[roles] = self._pieces(messages, marks[-1])
        return self._frames[roles]

    def _pieces(self, messages: list[dict[str, str]], answer: str) -> tuple[tuple[int, ...], ...]:
        if self.tokenizer.chat_template:
            prompt = self._rendered(messages, add_generation_prompt=True)
            turn = [*messages, {"role": "assistant", "content": answer}]
            tail = self._rendered(turn).split(answer)[-1]
        else:
            names = {"user": "Question: ", "assistant": "Answer: ", "system": ""}
            lines = [names[m["role"]] + m["content"] for m in messages]
            prompt, tail = "\n".join(lines) + "\nAnswer:", ""
        found = _MARK.split(prompt)
        if [int(i) for i in found[1::2]] != list(range(len(messages))):
            raise InputError(
                "This model's chat template leaves out or repeats messages, so rows can't be placed in it. "
                "Use a model with a plain user/assistant template."
            )
        pieces = [*found[0::2], tail]
        start = () if self.tokenizer.chat_template else self._start()
        return (start + self._special(pieces[0]), *(self._special(p) for p in pieces[1:]))

    def _rendered(self, messages: list[dict[str, str]], **settings: bool) -> str:
        from jinja2 import TemplateError

        try:
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False, **settings))
        except TemplateError as error:
            turns = ", ".join(m["role"] for m in messages)
            raise InputError(
                f"This model's chat template refuses the turns {turns}: {str(error).rstrip('.')}. Take the "
                "earlier turns out of the rows, or use a model whose template takes them."
            ) from None

    def _special(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()


def _places(part: str, text: str) -> list[tuple[int, int]]:
    """Return where a part stands in a text: as words of their own, or else anywhere."""
    plain = re.escape(part)
    found = list(re.finditer(rf"(?<!\w){plain}(?!\w)", text)) or list(re.finditer(plain, text))
    return [match.span() for match in found]
