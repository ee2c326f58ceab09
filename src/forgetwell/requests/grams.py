"""How probable a token is after the two before: counts of n-grams with Witten-Bell probabilities."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

Gram = tuple[str, str, str]

START, END = "<", ">"
_VOCABULARY = 1000  # an unseen token has 1 / this
_KEPT = 1 << 20  # costs remembered


class Grams:
    """Counts of 1- to 3-grams.

    p_k(w | h) = (c(h, w) + u(h) p_{k−1}(w | h′)) / (c(h) + u(h)), u(h) the number of distinct tokens seen
    after h, h′ = h without its first token, p_{−1} = 1 / 1000.

    Source: Witten and Bell, IEEE Transactions on Information Theory 37 (1991), 1085-1094, method C.
    """

    def __init__(self) -> None:
        self._after: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        self._total: Counter[tuple[str, ...]] = Counter()
        self._costs: dict[Gram, float] = {}

    def count(self, tokens: Sequence[str], sign: int) -> None:
        """Add (1) or take away (-1) a text's n-grams."""
        self._costs.clear()
        for first, second, token in _trigrams(tokens):
            for part in ((first, second), (second,), ()):
                self._total[part] += sign
                after = self._after[part]
                after[token] += sign
                if not after[token]:
                    del after[token]

    def costs(self, tokens: Sequence[str]) -> list[float]:
        """Return −log p(token | the two before) of every token and of the end."""
        known = self._costs.get  # a call of `cost` for each takes twice the time
        return [known(gram) or self.cost(gram) for gram in _trigrams(tokens)]

    def cost(self, gram: Gram) -> float:
        """Return −log p(third | first second) of three tokens."""
        known = self._costs.get(gram)
        if known is None:
            if len(self._costs) >= _KEPT:
                self._costs.clear()
            known = self._costs[gram] = -math.log(self._probability(gram))
        return known

    def _probability(self, gram: Gram) -> float:
        first, second, token = gram
        p = 1 / _VOCABULARY
        for part in ((), (second,), (first, second)):
            total = self._total.get(part, 0)
            if not total:
                break
            after = self._after[part]
            p = (after.get(token, 0) + len(after) * p) / (total + len(after))
        return p


def _trigrams(tokens: Sequence[str]) -> Iterator[Gram]:
    """Give (the two tokens before, token) for each token and the end."""
    first = second = START
    for token in (*tokens, END):
        yield first, second, token
        first, second = second, token
