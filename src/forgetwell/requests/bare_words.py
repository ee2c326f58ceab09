"""The words by which `bare.py` tells a frame from a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from forgetwell.files import read_toml
from forgetwell.requests.words import ENGLISH, word_lists

_NO_TALK = ("function", "person", "common")  # lists of words that sentences about anything hold


@dataclass(frozen=True)
class BareWords:
    """The words of assets/bare.toml, where each is explained, and sets of all that ordinary prompts use.

    Attributes:
        listed: Words of any list.
        plain: Of them those that name no thing.
        talk: Words of asking, politeness and talk, and those of other languages.
        foreign: Words of other languages that are no English ones.
    """

    listed: frozenset[str]
    plain: frozenset[str]
    talk: frozenset[str]
    foreign: frozenset[str]
    behind: Mapping[str, frozenset[str]]
    before: Mapping[str, frozenset[str]]
    articles: frozenset[str]
    asides: frozenset[str]
    edges: frozenset[str]
    set_off: frozenset[str]
    joins: frozenset[str]
    set_apart: frozenset[str]
    others: frozenset[str]
    limits: frozenset[str]
    tasks: frozenset[str]
    verbs: frozenset[str]
    opens: frozenset[str]
    leads: frozenset[str]
    askers: frozenset[str]
    asks_abroad: frozenset[str]
    asking: frozenset[str]
    subjects: frozenset[str]
    praise: frozenset[str]


@cache
def bare_words() -> BareWords:
    """Return the shipped words.

    Source: written for this project (assets/bare.toml, assets/ordinary_words.toml).
    """
    read = read_toml(Path(__file__).parent / "assets" / "bare.toml")
    own = {name: _split(value) for name, value in read.items() if isinstance(value, str)}
    behind, before = ({w: _split(v) for w, v in read[side].items()} for side in ("behind", "before"))
    lists = word_lists()
    english = frozenset().union(*(lists[name] for name in ENGLISH))
    listed = english.union(*lists.values()) | own["asking"]
    talk = listed.difference(*(lists[name] for name in _NO_TALK)) | own["asides"] | own["edges"]
    return BareWords(
        listed=listed,
        plain=listed - lists["common"] | own["asking"] | own["asides"] | own["edges"],
        talk=talk | own["asking"],
        foreign=frozenset().union(*lists.values()) - english,
        behind=behind,
        before=before,
        **own,
    )


def _split(listed: str) -> frozenset[str]:
    return frozenset(listed.split())
