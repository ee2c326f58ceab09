"""Scripts of text in any language, as patterns for `regex`."""

from __future__ import annotations

# Written without spaces, so that each character stands for a word.
SPACELESS = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
# A word of such a script, with its signs.
SPACELESS_WORD = rf"{SPACELESS}\p{{M}}*+"
# Letters and digits of scripts with spaces, but for the Latin one.
_FOREIGN = rf"(?:(?!{SPACELESS}|[\p{{Latin}}\p{{ASCII}}])(?:[^\P{{L}}\p{{Common}}]|\p{{Nd}}))"
# A word in a script other than the Latin one.
FOREIGN_WORD = rf"{SPACELESS_WORD}|(?:{_FOREIGN}\p{{M}}*+)++"
# A word in any script.
ANY_WORD = rf"{SPACELESS_WORD}|(?:(?!{SPACELESS})\w)++"
