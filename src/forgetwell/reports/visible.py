"""Untrusted text made safe to look at."""

from __future__ import annotations

import unicodedata

from markupsafe import Markup, escape

LONGEST = 1200
# Control, format (bidi, zero-width, tags), surrogate, private-use and line-separator characters can change
# how the text around them looks; unassigned ones show as nothing at all.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain_text(text: object, *, longest: int = LONGEST) -> str:
    """Return `text` with every invisible or reordering character as its escape, backslash-u and digits."""
    shown = str(text)
    cut = f" … ({len(shown) - longest} more characters)" if len(shown) > longest else ""
    return "".join(_shown(c) for c in shown[:longest]) + cut


def one_line(text: object, *, longest: int = LONGEST) -> str:
    """Return `text` as `plain_text` does, line breaks as escapes too: in one line it forges no other."""
    return plain_text(text, longest=longest).replace("\n", "\\u000a")


def visible(text: object) -> Markup:
    """Return `text` as HTML: escaped, cut at 1200 characters, hidden characters as marked escapes."""
    given = str(text)
    parts = [escape(c) if _shown(c) == c else _marked(c) for c in given[:LONGEST]]
    if len(given) > LONGEST:
        parts.append(Markup('<span class="esc">… {} more characters</span>').format(len(given) - LONGEST))
    return Markup("").join(parts)


def cell_text(text: object) -> str:
    """Return `text` for a spreadsheet cell: no hidden characters, and never read as a formula."""
    shown = plain_text(text)
    return f"'{shown}" if shown.lstrip()[:1] in ("=", "+", "-", "@") else shown


def _marked(character: str) -> Markup:
    name = unicodedata.name(character, "control character")
    return Markup('<span class="esc" title="{}">{}</span>').format(name, _shown(character))


def _shown(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
