"""Adversarial learning for texts: the target is asked about texts whose words were replaced to fool the surrogate."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.nn.functional import normalize

from assay.data.images import to_pixels
from assay.data.text_rows import to_rows, to_texts
from assay.methods.stealing.strategies.moving import ask_about_moved
from assay.methods.stealing.strategies.strategy import STRATEGIES, Strategy
from assay.methods.stealing.thief import Thief
from assay.targets.target import Modality
from assay.targets.text.network import text_network
from assay.training import predict

SHOWN = 5_000
"""Texts of the pool that the vocabulary is collected from, at most."""


@STRATEGIES.add("substitution")
class Substitution(Strategy):
    """Random texts first; then, round by round, texts of the pool with words replaced until the surrogate gives way.

    The loop of ``adversarial``; the replacement is greedy, as in Jin et al., Is BERT Really Robust? (TextFooler, AAAI
    2020), Algorithm 1, with the thief's own means: words are taken in the order of what leaving them out costs the
    surrogate's label, and each is replaced by that of its neighbours which costs the label most, until another label
    wins. Neighbours are the words of the pool whose vectors in the surrogate are nearest (cosine). No outside
    embeddings, part of speech or similarity of sentences are used: texts may change their meaning, which the thief does
    not mind.
    """

    name: ClassVar[str] = "substitution"
    modalities: ClassVar[tuple[Modality, ...]] = ("text",)

    seed_share: float = Field(default=0.5, gt=0.0, lt=1.0, description="Share of the budget for random texts first.")
    rounds: int = Field(default=8, ge=1, description="Rounds for the rest of the budget.")
    epochs: int = Field(default=10, ge=1, description="Passes over the answers before every round.")
    replaced: float = Field(default=0.3, gt=0.0, le=1.0, description="Share of a text's words replaced, at most.")
    neighbours: int = Field(default=8, ge=1, description="Replacements tried for a word.")
    vocabulary: int = Field(default=2_000, ge=2, description="Words of the pool that replace others, the commonest.")

    def run(self, thief: Thief) -> None:
        pool = thief.require_pool()
        texts = to_texts(to_pixels(pool.take(np.arange(min(len(pool), SHOWN)))))
        counts = Counter(word for text in texts for word in text.split())
        vocabulary = [word for word, _ in counts.most_common(self.vocabulary)]

        def move(rows: torch.Tensor) -> torch.Tensor:
            search = _Search(thief, vocabulary, self.neighbours, rows.shape[-1])
            moved = [search.replace(text, self.replaced) for text in to_texts(rows)]
            return to_pixels(torch.from_numpy(to_rows(moved, rows.shape[-1])))

        ask_about_moved(
            thief,
            move,
            thief.generator("substitution"),
            seed_share=self.seed_share,
            rounds=self.rounds,
            epochs=self.epochs,
        )


class _Search:
    """Greedy replacement against the surrogate as it is."""

    def __init__(self, thief: Thief, vocabulary: list[str], neighbours: int, length: int) -> None:
        self._thief, self._vocabulary, self._neighbours, self._length = thief, vocabulary, neighbours, length
        network = text_network(thief.surrogate)
        assert network is not None, "a theft checks that its surrogate reads texts"
        self._network = network
        self._vectors = normalize(network.word_vectors(vocabulary), dim=1)

    def replace(self, text: str, share: float) -> str:
        """A text with at most that share of its words (one at least) replaced."""
        words = text.split()
        if not words:
            return text
        (before,) = self._posteriors([words])
        label = int(before.argmax())
        without = self._posteriors([words[:place] + words[place + 1 :] for place in range(len(words))])
        order = np.argsort(without[:, label], kind="stable")
        for place in order[: max(1, round(share * len(words)))].tolist():
            tries = [[*words[:place], other, *words[place + 1 :]] for other in self._near(words[place])]
            answers = self._posteriors(tries)
            best = int(answers[:, label].argmin())
            words = tries[best]
            if int(answers[best].argmax()) != label:
                break
        return " ".join(words)

    def _near(self, word: str) -> list[str]:
        likeness = self._vectors @ normalize(self._network.word_vectors([word]), dim=1)[0]
        best = likeness.argsort(descending=True, stable=True)[: self._neighbours + 1].tolist()
        return [other for place in best if (other := self._vocabulary[place]) != word][: self._neighbours]

    def _posteriors(self, texts: list[list[str]]) -> NDArray[np.float32]:
        rows = torch.from_numpy(to_rows([" ".join(words) for words in texts], self._length))
        answers: NDArray[np.float32] = predict(self._thief.surrogate, rows, self._thief.device).softmax(1).numpy()
        return answers
