"""MUSE's shape on two corpora of the user's own."""

from __future__ import annotations

from pathlib import Path

from forgetwell.data.corpus import continuations, read_documents
from forgetwell.data.reading import read_rows
from forgetwell.data.row_files import thinned
from forgetwell.suites.registry import suite
from forgetwell.suites.types import Split, SplitRole, Suite

KNOWLEDGE_LENGTH = 32  # tokens of an answer to a question


@suite(paper="2407.06460")
def muse(
    *,
    forget: str,
    retain: str,
    holdout: str = "",
    forget_qa: str = "",
    retain_qa: str = "",
    prompt_words: int = 150,
    answer_words: int = 80,
    limit: int = 100,
    max_new_tokens: int = 128,
) -> Suite:
    """Verbatim and knowledge memorization of two corpora, as MUSE measures them.

    Splits: ``forget``, ``retain`` and, if given, ``holdout`` hold passages whose first part is the prompt and
    whose next words are the answer; ``forget_qa`` and ``retain_qa`` hold questions about the corpora. With
    holdout text (never trained on) membership metrics can be read.

    Args:
        forget: Text to forget: a .txt file, or rows with a text column.
        retain: Text to keep, alike.
        holdout: Text like the forget text that no model has seen.
        forget_qa: Questions about the forget text: rows.
        retain_qa: Questions about the retain text: rows.
        prompt_words: Words of a passage's first part.
        answer_words: Words to go on with.
        limit: Rows of each set at most, spread evenly.
        max_new_tokens: Length of continuations; answers to questions have at most 32 tokens.

    Source: Shi et al. (MUSE), arXiv 2407.06460, section 3; lengths in words, where MUSE counts tokens.
    """
    corpora: tuple[tuple[SplitRole, str], ...] = (
        ("forget", forget),
        ("retain", retain),
        ("holdout", holdout),
    )
    splits = []
    for role, source in corpora:
        if source:
            documents = read_documents(Path(source))
            rows = continuations(
                documents, role, prompt_words=prompt_words, answer_words=answer_words, limit=limit
            )
            splits.append(Split(role, role, "clean", rows, answered=role != "holdout"))
    questions: tuple[tuple[SplitRole, str], ...] = (("forget", forget_qa), ("retain", retain_qa))
    for role, source in questions:
        if source:
            asked = tuple(thinned(read_rows(source), limit))
            splits.append(Split(f"{role}_qa", role, "clean", asked, max_new_tokens=KNOWLEDGE_LENGTH))
    return Suite("muse", tuple(splits), max_new_tokens)
