"""How likely a causal language model finds many variants of one text, such as the text without each of its words.

A variant is read only from where it parts with the first variant of its text: what stands before is the same, and so
are its states and likelihoods. For the n deletions of one word out of n that halves the tokens, which is the least that
is exact: every token behind a deletion stands in a new context. All pieces of a text lie in one row without padding
(`packing`). The vocabulary head runs once at every token read, in pieces that fit the processor's cache, and all that
is kept of its logits is one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from antivenom.core.errors import OptionsError
from antivenom.core.progress import progress_bar
from antivenom.models.batches import length_batches
from antivenom.models.packing import PackedStates, is_exact_when_packed, pack, read_packed, read_padded
from antivenom.models.sharing import Family, can_share, common_prefix

TOKEN_BUDGET = 2048
"""Columns per pass."""
HEAD_ROWS = 128
"""Positions whose logits exist at one time."""
LOOK_UPS = 4096
"""Tokens whose vectors are taken from the head at one time."""

FloatArray = npt.NDArray[np.float64]


def log_likelihoods(
    model: Any, texts: Sequence[Sequence[list[int]]], *, token_budget: int = TOKEN_BUDGET, progress: str | None = None
) -> list[FloatArray]:
    """The log-likelihood of every variant of every text; what else is in a batch does not change it.

    Args:
        model: A causal language model of transformers; it is put into evaluation mode.
        texts: For each text the token ids of its variants; those that begin like the first one are cheaper.
        token_budget: Columns per pass.
        progress: What a progress bar is to be called; none is shown without it.

    Returns:
        For each text one natural log-likelihood per variant: the sum over all tokens but the first, of which a model
        without a beginning-of-sequence token says nothing. A variant of one token, or none, has 0.

    Raises:
        OptionsError: the model does more between its last layer and its logits than one linear head.
    """
    rows = [ids for variants in texts for ids in variants]
    scorer = _Scorer(model, rows)
    with torch.inference_mode(), progress_bar(progress, total=len(rows)) as advance:
        for found in scorer.read(texts, token_budget):
            advance(scorer.add(found))
    return np.split(scorer.totals, np.cumsum([len(variants) for variants in texts])[:-1]) if texts else []


def families_of_variants(texts: Sequence[Sequence[list[int]]]) -> Iterator[Family]:
    """Number the variants of all texts in one row and group those that begin like the first variant of their text."""
    start = 0
    for variants in texts:
        members, alone = [], []
        for number, ids in enumerate(variants):
            # The last token of a row is never read, only predicted: nothing may continue behind it.
            same = min(common_prefix(variants[0], ids), len(variants[0]) - 1, len(ids) - 1)
            if number and same > 0:
                members.append((start + number, same))
            elif len(ids) > 1:
                alone.append(start + number)
        for base in alone:
            yield Family(base, tuple(members) if base == start else ())
        start += len(variants)


class _Scorer:
    """The work of one call: the rows of tokens, and their log-likelihoods as they are found."""

    def __init__(self, model: Any, rows: list[list[int]]) -> None:
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
        model.eval()
        self.rows = rows
        self.totals = np.zeros(len(rows))
        self.body, self.head = model.base_model, model.get_output_embeddings()
        self.packs = can_share(model, max(map(len, rows), default=0)) and is_exact_when_packed(model)
        if not self.packs:
            self._require_plain_head(model)

    def read(self, texts: Sequence[Sequence[list[int]]], token_budget: int) -> Iterator[PackedStates]:
        """Read all rows but their last tokens, which only have to be predicted."""
        inputs = [row[:-1] for row in self.rows]
        if self.packs:
            for batch in pack(inputs, list(families_of_variants(texts)), token_budget):
                yield read_packed(self.body, inputs, batch)
            return
        numbers = [number for number, row in enumerate(inputs) if row]
        for part in length_batches([len(inputs[i]) for i in numbers], token_budget):
            yield read_padded(self.body, inputs, [numbers[i] for i in part])

    def add(self, found: PackedStates) -> int:
        """Note the log-likelihoods of the rows in a batch; return how many of them are new.

        The log-probability of a token is its logit less the normalizer where it is predicted.
        """
        device = found.states.device
        norms = torch.zeros(found.used.shape, device=device)
        states = found.states[found.used]
        norms[found.used] = torch.cat([self.head(part).float().logsumexp(dim=-1) for part in states.split(HEAD_ROWS)])
        numbers, lengths = list(found.places), [len(columns) for _, columns in found.places.values()]
        row = torch.from_numpy(np.repeat([row for row, _ in found.places.values()], lengths)).to(device)
        column = torch.from_numpy(np.concatenate([columns for _, columns in found.places.values()])).to(device)
        token = torch.tensor([token for i in numbers for token in self.rows[i][1:]], device=device)
        logits = [
            self._logits_of(found.states[row[part], column[part]], token[part])
            for part in torch.arange(len(token), device=device).split(LOOK_UPS)
        ]
        logs = (torch.cat(logits) - norms[row, column]).double().cpu().numpy()
        new = int((self.totals[numbers] == 0).sum())  # a base that needs several rows comes more than once
        self.totals[numbers] = np.add.reduceat(logs, np.cumsum([0, *lengths[:-1]]))
        return new

    def _logits_of(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The logit of one token per state."""
        logits = (states * self.head.weight[tokens]).sum(dim=-1)
        bias = getattr(self.head, "bias", None)
        return (logits if bias is None else logits + bias[tokens]).float()

    def _require_plain_head(self, model: Any) -> None:
        ids = torch.tensor([[1, 2]], device=model.device)
        with torch.inference_mode():
            ours, theirs = self.head(self.body(input_ids=ids)[0]), model(input_ids=ids).logits
        if ours.shape != theirs.shape or not torch.allclose(ours, theirs, atol=1e-3, rtol=1e-3):
            raise OptionsError(
                f"{type(model).__name__} computes its logits in an unusual way", mend="Use another language model."
            )
