r"""Rows as tokens: the chat template around the text, never the text as template.

The template is rendered around placeholders and cut into pieces. Template pieces are tokenized with
added tokens on, the row's own text with added tokens off: a chat-template token inside a row stays
ordinary text and can't open a turn. A blank before a text and line breaks after it are read with it, as in
the whole: " Who" is other tokens than " " and "Who", and "?\n" may be one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

from forgetwell.errors import InputError
from forgetwell.files import digest
from forgetwell.types import Encoded, Row

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MARK = re.compile("\ue000(\\d+)\ue001")
_BEFORE = "\ue000"  # stands before a piece that doesn't begin the whole
_THOUGHTS = "<think>"  # what a template that opens them ends with; an answer stands behind none
_NO_THOUGHTS = "\n\n</think>\n\n"
_CLOCK = "strftime_now"  # what templates ask for the day
_DAY = date(2024, 7, 26)  # on which Llama's templates fall back where nothing tells them the day


@dataclass(frozen=True)
class _Frame:
    """A chat template around the contents of turns and the answer.

    Attributes:
        pieces: Tokens before, between and after the contents, up to the answer.
        leads: The blank before each content, or nothing; it is read together with it.
        trails: The line breaks after each content, or nothing; they are, too.
        lead: The blank before the answer, or nothing.
        tail: Tokens after the answer.
    """

    pieces: tuple[tuple[int, ...], ...]
    leads: tuple[str, ...]
    trails: tuple[str, ...]
    lead: str
    tail: tuple[int, ...]


@dataclass
class Codec:
    r"""Turns rows into tokens and back for one tokenizer.

    Models without a chat template get ``Question: …\nAnswer: …``. Templates that write the day (Llama 3.2's)
    always write 26 July 2024: else a run resumed tomorrow, or models compared, would read other tokens.

    Attributes:
        tokenizer: A fast Hugging Face tokenizer.
        max_length: Longest sequence in tokens, prompt and answer together.
    """

    tokenizer: Any
    max_length: int = 1024
    _frames: dict[tuple[str, ...], _Frame] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of everything that decides how a row becomes tokens."""
        vocabulary = self.tokenizer.backend_tokenizer.to_str()
        ends = [self.tokenizer.bos_token_id, self.tokenizer.eos_token_id]
        template = self.tokenizer.chat_template
        day = [_DAY.isoformat()] if _CLOCK in str(template) else []
        return digest([vocabulary, template, self.max_length, ends, *day])

    @property
    def takes_system(self) -> bool:
        """Whether the chat template can hold a system turn; Gemma's can't."""
        try:
            self._frame(("system", "user"))
        except InputError:
            return False
        return True

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
            return self._start() + self.tokens(self._opening(row.prompt))
        contents = [t.content for t in row.history] + [row.prompt]
        roles = (*(t.role for t in row.history), "user")
        try:
            frame = self._frame(roles)
        except InputError as error:
            raise InputError(f"Row {row.id!r}: {error}") from error
        ids: tuple[int, ...] = frame.pieces[0]
        parts = zip(frame.leads, contents, frame.trails, frame.pieces[1:], strict=True)
        for lead, content, trail, piece in parts:
            ids += self.tokens(lead + content + trail) + piece
        return ids

    def tokens(self, text: str) -> tuple[int, ...]:
        """Return the tokens of `text` inside a longer one, as plain data: no added token is recognized.

        Nor does it get the blank that some tokenizers (SentencePiece's) put before a whole text.
        """
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
        them all; but not runs of blanks, which open no turn and which models have learned as one token. It
        puts no blank before a text, and its tokens begin with their blanks, which some post-processors trim.
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
        for part in ("normalizer", "pre_tokenizer"):
            parts[part] = _without_prefix(parts[part])
        parts["post_processor"] = None  # it adds special tokens, which no text of a row gets
        copy: Tokenizer = Tokenizer.from_str(json.dumps(parts))
        copy.encode_special_tokens = True
        copy.no_truncation()
        copy.no_padding()
        return copy

    def _answer(self, row: Row) -> tuple[int, ...]:
        if not row.answer:
            return ()
        ids, end = self.tokens(self._led(row)), None if row.text else self._end()
        return ids if end is None else (*ids, end)

    def _led(self, row: Row) -> str:
        """Return the answer with the blank that is read together with it, if there is one."""
        if row.text:
            return row.answer if row.prompt else self._opening(row.answer)
        return self._frame(("user",)).lead + row.answer

    def _marks(self, row: Row, scored: int) -> tuple[float, ...]:
        """Return 1 for each scored token that holds a character of the focus, else 0."""
        text = self._led(row)
        inside = {at for part in row.focus for span in _places(part, text) for at in range(*span)}
        spans = self.spans(text)
        marks = [float(any(at in inside for at in range(*span))) for span in spans]
        end = [0.0] * (scored - len(marks))  # the end of the turn
        return (*marks[len(marks) + len(end) - scored :], *end)

    def _end(self) -> int | None:
        """Return the token that ends the assistant's turn."""
        # Not all that are special have a role that the tokenizer names, as Phi-3's <|end|>.
        added = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        special = added | set(self.tokenizer.all_special_ids)
        return next((i for i in self._frame(("user",)).tail if i in special), self.tokenizer.eos_token_id)

    def _start(self) -> tuple[int, ...]:
        ids = self.tokenizer("a")["input_ids"]
        bos = self.tokenizer.bos_token_id
        return (bos,) if bos is not None and ids and ids[0] == bos else ()

    @cached_property
    def _prefixes(self) -> bool:
        """Say whether the tokenizer puts a blank before a whole text."""
        return tuple(self.tokenizer("a", add_special_tokens=False)["input_ids"]) != self.tokens("a")

    def _opening(self, text: str) -> str:
        """Return a text that begins the whole as the tokenizer reads it there."""
        return " " + text if self._prefixes and text and not text[0].isspace() else text

    def _frame(self, roles: tuple[str, ...]) -> _Frame:
        """Return what the template puts around contents of these roles and the answer."""
        if roles not in self._frames:
            marks = [f"\ue000{i}\ue001" for i in range(len(roles) + 1)]
            messages = [{"role": r, "content": m} for r, m in zip(roles, marks, strict=False)]
            self._frames[roles] = self._framed(messages, marks[-1])
        return self._frames[roles]

    def _framed(self, messages: list[dict[str, str]], answer: str) -> _Frame:
        prompt, lead, tail = self._around(messages, answer)
        found = _MARK.split(prompt)
        if [int(i) for i in found[1::2]] != list(range(len(messages))):
            raise InputError(
                "This model's chat template leaves out or repeats messages, so rows can't be placed in it. "
                "Use a model with a plain user/assistant template."
            )
        head, *later = found[0::2]
        trails = [piece[: len(piece) - len(piece.lstrip("\n"))] for piece in later]
        pieces = [head, *(piece.lstrip("\n") for piece in later)]
        leads = [" " if piece.endswith(" ") else "" for piece in pieces[:-1]]
        if not head:
            leads[0] = self._opening("a")[:-1]
        cut = [*(piece.removesuffix(" ") for piece in pieces[:-1]), pieces[-1]]
        start = () if self.tokenizer.chat_template else self._start()
        first = start + self._special(cut[0], begins=True)
        inside = tuple(map(self._special, cut[1:]))
        return _Frame((first, *inside), tuple(leads), tuple(trails), lead, self._special(tail))

    def _around(self, messages: list[dict[str, str]], answer: str) -> tuple[str, str, str]:
        """Return the prompt, the blank between it and the answer, if there is one, and what comes after."""
        if self.tokenizer.chat_template:
            prompt = self._rendered(messages, add_generation_prompt=True)
            if prompt.rstrip().endswith(_THOUGHTS):  # DeepSeek-R1 and what is distilled from it
                prompt = prompt.rstrip() + _NO_THOUGHTS
            turn = self._rendered([*messages, {"role": "assistant", "content": answer}])
            return prompt, " " if prompt + " " + answer in turn else "", turn.split(answer)[-1]
        names = {"user": "Question: ", "assistant": "Answer: ", "system": ""}
        lines = [names[m["role"]] + m["content"] for m in messages]
        return "\n".join(lines) + "\nAnswer:", " ", ""

    def _rendered(self, messages: list[dict[str, str]], **settings: bool) -> str:
        from jinja2 import TemplateError

        template = self.tokenizer.get_chat_template()
        if _CLOCK in template:
            template = _stopped_clock() + template
        try:
            # Models that think before an answer (Qwen3) are asked for the answer; other templates ignore it.
            text = self.tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, enable_thinking=False, **settings
            )
            return str(text)
        except TemplateError as error:
            turns = ", ".join(m["role"] for m in messages)
            raise InputError(
                f"This model's chat template refuses the turns {turns}: {str(error).rstrip('.')}. Take the "
                "earlier turns out of the rows, or use a model whose template takes them."
            ) from None

    def _special(self, text: str, *, begins: bool = False) -> tuple[int, ...]:
        """Return the tokens of a piece of template; one that doesn't begin the whole gets no blank before."""
        if not text or begins or not self._prefixes:
            return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()
        read = self.tokenizer(_BEFORE + text, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(read["input_ids"], read["offset_mapping"], strict=True)
        return tuple(i for i, (start, _) in pairs if start >= len(_BEFORE))


def _stopped_clock() -> str:
    """Return what defines the clock of a template to stand still, above its first line.

    A macro, as a function given to the template is replaced by a placeholder, and its own clock ticks on.
    """
    names = "aAbBdeHIjmMpSyY"
    filled = "".join(f"|replace('%{n}', '{_DAY.strftime('%' + n)}')" for n in names)
    plain = f"|replace('%-d', '{_DAY.day}')|replace('%-m', '{_DAY.month}')"
    return f"{{% macro {_CLOCK}(format) %}}{{{{ format{plain}{filled} }}}}{{% endmacro %}}\n"


def _without_prefix(part: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a normalizer or pre-tokenizer that puts no blank before a text, as tokenizers writes them.

    In a sequence the first alone sees the text whole; later ones may put blanks before each word.
    """
    match part:
        case {"type": "Prepend"}:
            return None
        case {"type": "Metaspace"}:
            return dict(part, prepend_scheme="never")
        case {"type": "ByteLevel"}:
            return dict(part, add_prefix_space=False)
        case {"normalizers": [first, *rest]}:
            return dict(part, normalizers=[p for p in (_without_prefix(first), *rest) if p])
        case {"pretokenizers": [first, *rest]}:
            return dict(part, pretokenizers=[_without_prefix(first), *rest])
    return part


def _places(part: str, text: str) -> list[tuple[int, int]]:
    """Return where a part stands in a text: as words of their own, or else anywhere."""
    plain = re.escape(part)
    found = list(re.finditer(rf"(?<!\w){plain}(?!\w)", text)) or list(re.finditer(plain, text))
    return [match.span() for match in found]
