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

    def __call__(self, texts: Sequence[str], *, window: int = 0) -> Floats:
        """Natural log-likelihood per token of each text; shape (texts,). See `mean_likelihoods` for the window."""
        return mean_likelihoods(self._model, self._ids(texts), window=window)

    def complete(self, texts: Sequence[str], *, longest: int) -> list[str]:
        """What the model most likely writes behind each text."""
        from antivenom.models.decoding import LocalGenerator

        said = LocalGenerator(self._model).generate(
            self._ids(texts), stops=[self._tokenizer.eos_token_id], longest=longest
        )
        return [self._tokenizer.decode(one.tokens, skip_special_tokens=True) for one in said]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Each text behind one token that begins a sequence, where the tokenizer puts none there itself."""
        first = self._tokenizer.bos_token_id
        start = self._tokenizer.eos_token_id if first is None else first
        ids = [list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
        return ids if start is None else [[start, *one] for one in ids]


@cache
def fluency_of(name: str) -> FluentModel:
    """Load a language model, once.

    Args:
        name: `smollm2`, a folder, or a hub name.

    Raises:
        AntivenomError: it cannot be found.
    """
    from antivenom.models.local import load_causal_lm
    from antivenom.models.tokenizer import load_tokenizer

    folder = locate_model(name).folder
    return FluentModel(load_causal_lm(folder), load_tokenizer(folder))


def mean_likelihoods(model: Any, rows: Sequence[list[int]], *, window: int = 0, progress: str | None = None) -> Floats:
    """Natural log-likelihood per predicted token of each text; texts that follow one they are cut out of are cheaper.

    Args:
        model: A causal language model of transformers.
        rows: Token ids of each text.
        window: Approximation, where it is not 0: of a text that is cut out of another, only so many tokens behind the
            gap are read anew, and the others count as likely as they are in the whole text.
        progress: What a progress bar is to be called; none is shown without it.
    """
    from antivenom.models.likelihood import log_likelihoods
    from antivenom.models.precision import in_fast_precision

    groups = deletions_together(rows)
    read = [_windowed(group, window) for group in groups] if window else groups
    with in_fast_precision(model):
        found = log_likelihoods(model, read, progress=progress)
    if window:
        found = [_unwindowed(values, group, window) for values, group in zip(found, groups, strict=True)]
    sums = np.concatenate([np.zeros(0), *found])
    means: Floats = sums / np.maximum(1, [len(ids) - 1 for ids in rows])
    return means


def _windowed(group: list[list[int]], window: int) -> list[list[int]]:
    """A text; of each that is cut out of it what stands up to the window's end, and the text up to the same place."""
    whole = group[0]
    read = [whole]
    for ids in group[1:]:
        front, stretch = _front(whole, ids), len(whole) - len(ids)
        read += [ids[: front + window], whole[: front + stretch + window]]
    return read


def _unwindowed(values: Floats, group: list[list[int]], window: int) -> Floats:
    """The sums of a group: those up to the window's end, and what the whole text has behind it."""
    cut, same = values[1::2], values[2::2]
    found: Floats = np.concatenate([values[:1], cut + values[0] - same])
    assert len(found) == len(group)
    return found


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
    front = _front(whole, ids)
    return whole[len(whole) - (len(ids) - front) :] == ids[front:]


def _front(whole: list[int], ids: list[int]) -> int:
    """How many tokens two texts have in common at their beginning."""
    return next((i for i, (a, b) in enumerate(zip(whole, ids, strict=False)) if a != b), len(ids))
