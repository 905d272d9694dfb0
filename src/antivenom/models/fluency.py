"""How likely a language model of the user's choice finds texts: for defenses that judge how a text reads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from antivenom.core.arrays import Floats
from antivenom.models.base_model import locate_model


class FluentModel:
    """A causal language model and its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Join what was loaded."""
        self._model = model
        self._tokenizer = tokenizer

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Natural log-likelihood per token of each text; shape (texts,)."""
        return mean_likelihoods(self._model, self._ids(texts))

    def complete(self, texts: Sequence[str], *, longest: int) -> list[str]:
        """What the model most likely writes behind each text."""
        from antivenom.models.decoding import LocalGenerator

        said = LocalGenerator(self._model).generate(
            self._ids(texts), stops=[self._tokenizer.eos_token_id], longest=longest
        )
        return [self._tokenizer.decode(one.tokens, skip_special_tokens=True) for one in said]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(self._tokenizer(text)["input_ids"]) for text in texts]


@cache
def fluency_of(name: str) -> FluentModel:
    """Load a language model, once.

    Args:
        name: `smollm2`, a folder, or a hub name.

    Raises:
        AntivenomError: it cannot be found.
    """
    from antivenom.models.local import load_causal_lm, load_tokenizer

    folder = locate_model(name).folder
    return FluentModel(load_causal_lm(folder), load_tokenizer(folder))


def mean_likelihoods(model: Any, rows: Sequence[list[int]], *, progress: str | None = None) -> Floats:
    """Natural log-likelihood per predicted token of each text; texts that follow one they are cut out of are cheaper.

    Args:
        model: A causal language model of transformers.
        rows: Token ids of each text.
        progress: What a progress bar is to be called; none is shown without it.
    """
    from antivenom.models.likelihood import log_likelihoods

    found = log_likelihoods(model, deletions_together(rows), progress=progress)
    sums = np.concatenate([np.zeros(0), *found])
    means: Floats = sums / np.maximum(1, [len(ids) - 1 for ids in rows])
    return means


def deletions_together(rows: Sequence[list[int]]) -> list[list[list[int]]]:
    """Group texts: one, and those right behind it that are it without one stretch of tokens."""
    groups: list[list[list[int]]] = []
    for ids in rows:
        if groups and _is_cut_out_of(groups[-1][0], ids):
            groups[-1].append(ids)
        else:
            groups.append([ids])
    return groups


def _is_cut_out_of(whole: list[int], ids: list[int]) -> bool:
    if not 0 < len(ids) < len(whole):
        return False
    front = next((i for i, (a, b) in enumerate(zip(whole, ids, strict=False)) if a != b), len(ids))
    return whole[len(whole) - (len(ids) - front) :] == ids[front:]
