"""How likely a causal language model finds many variants of one text, such as the text without each of its words.

A variant is read only from where it parts with the first variant of its text: what stands before is the same, and so
are its keys, values and likelihoods. For the n deletions of one word out of n that halves the tokens, which is the
least that is exact: every token behind a deletion stands in a new context. The vocabulary head runs once at every such
token, in pieces that fit the processor's cache, and all that is kept of its logits is one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from antivenom.errors import OptionsError
from antivenom.models.batches import length_batches, pad_left
from antivenom.models.sharing import Family, Read, can_share, common_prefix, read

TOKEN_BUDGET = 2048
"""Columns per pass, those of the past included."""
HEAD_ROWS = 128
"""Positions whose logits exist at one time."""

FloatArray = npt.NDArray[np.float64]


def log_likelihoods(
    model: Any, texts: Sequence[Sequence[list[int]]], *, token_budget: int = TOKEN_BUDGET, progress: str | None = None
) -> list[FloatArray]:
    """The log-likelihood of every variant of every text; what else is in a batch does not change it.

    Args:
        model: A causal language model of transformers; it is put into evaluation mode.
        texts: For each text the token ids of its variants; those that begin like the first one are cheaper.
        token_budget: Columns per pass, those of the past included.
        progress: What a progress bar is to be called; none is shown without it.

    Returns:
        For each text one natural log-likelihood per variant: the sum over all tokens but the first, of which a model
        without a beginning-of-sequence token says nothing. A variant of one token, or none, has 0.

    Raises:
        OptionsError: the model does more between its last layer and its logits than one linear head.
    """
    from tqdm.auto import tqdm

    rows = [ids for variants in texts for ids in variants]
    reader = _Reader(model, rows, token_budget)
    groups = list(_families(texts, sharing=reader.sharing))
    with torch.inference_mode(), tqdm(total=len(rows), desc=progress, unit="text", disable=progress is None) as bar:
        for batch in length_batches([len(rows[group.base]) for group in groups], token_budget):
            bar.update(reader.read_families([groups[i] for i in batch]))
    return np.split(reader.totals, np.cumsum([len(variants) for variants in texts])[:-1]) if texts else []


def _families(texts: Sequence[Sequence[list[int]]], *, sharing: bool) -> Iterator[Family]:
    """Number the variants of all texts in one row and group those that begin like the first variant of their text."""
    start = 0
    for variants in texts:
        members, alone = [], []
        for number, ids in enumerate(variants):
            # The last token of a row is never read, only predicted: nothing may continue behind it.
            same = min(common_prefix(variants[0], ids), len(variants[0]) - 1, len(ids) - 1) if sharing else 0
            if number and same > 0:
                members.append((start + number, same))
            elif len(ids) > 1:
                alone.append(start + number)
        for base in alone:
            yield Family(base, tuple(members) if base == start else ())
        start += len(variants)


class _Reader:
    """The work of one call: the rows of tokens, and their log-likelihoods as they are found."""

    def __init__(self, model: Any, rows: list[list[int]], token_budget: int) -> None:
        model = model.get_base_model() if hasattr(model, "get_base_model") else model
        model.eval()
        self.rows = rows
        self.token_budget = token_budget
        self.totals = np.zeros(len(rows))
        self.body, self.head = model.base_model, model.get_output_embeddings()
        self.device = next(model.parameters()).device
        self.sharing = can_share(model, max(map(len, rows), default=0))
        self._require_plain_head(model)

    def read_families(self, families: list[Family]) -> int:
        """Read the bases whole, then the members from where they part with their base; return how many rows."""
        bases = [family.base for family in families]
        members = [(row, *member) for row, family in enumerate(families) for member in family.members]
        found = read(self.body, [self.rows[i][:-1] for i in bases], None, head=None, keep=bool(members))
        logs, norms = self._token_logs(found, [self.rows[i][1:] for i in bases])
        self.totals[bases] += logs.sum(dim=1).double().cpu().numpy()
        if members:
            self._add_first_tokens(found, logs, norms, bases, members)
        tails = [member for member in members if len(self.rows[member[1]]) - member[2] > 1]
        columns = [len(self.rows[i]) for _, i, _ in tails]
        left = [length - same for length, (_, _, same) in zip(columns, tails, strict=True)]
        for part in length_batches(left, self.token_budget, columns=columns):
            rows, numbers, cuts = (list(column) for column in zip(*(tails[j] for j in part), strict=True))
            inputs = [self.rows[i][cut:-1] for i, cut in zip(numbers, cuts, strict=True)]
            wanted = [self.rows[i][cut + 1 :] for i, cut in zip(numbers, cuts, strict=True)]
            tail = read(self.body, inputs, found.past.take(rows, cuts), head=None, keep=False)
            self.totals[numbers] += self._token_logs(tail, wanted)[0].sum(dim=1).double().cpu().numpy()
        return len(bases) + len(members)

    def _add_first_tokens(
        self,
        found: Read,
        logs: torch.Tensor,
        norms: torch.Tensor,
        bases: list[int],
        members: list[tuple[int, int, int]],
    ) -> None:
        """Add what the members share with their bases, and the first token in which they differ.

        That token follows what the base has read, so its probability comes from the states of the base.
        """
        row, number, same = (torch.tensor(column, device=self.device) for column in zip(*members, strict=True))
        lengths = torch.tensor([len(self.rows[i]) - 1 for i in bases], device=self.device)
        column = logs.shape[1] - lengths[row] + same - 1
        before = (logs.cumsum(dim=1) - logs)[row, column]
        tokens = torch.tensor([self.rows[i][cut] for _, i, cut in members], device=self.device)
        first = self._logits_of(found.out.last_hidden_state[row, column], tokens) - norms[row, column]
        self.totals[number.cpu().numpy()] += (before + first).double().cpu().numpy()

    def _token_logs(self, found: Read, wanted: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """(log-probability of the wanted token behind each column, log of the normalizer there); 0 in the padding."""
        tokens, mask = pad_left(wanted, self.device)
        places = mask.bool()
        states = found.out.last_hidden_state[places]
        norms = torch.cat([self.head(part).float().logsumexp(dim=-1) for part in states.split(HEAD_ROWS)])
        logs, all_norms = (torch.zeros(mask.shape, device=self.device) for _ in range(2))
        all_norms[places] = norms
        logs[places] = self._logits_of(states, tokens[places]) - norms
        return logs, all_norms

    def _logits_of(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The logit of one token per state."""
        logits = (states * self.head.weight[tokens]).sum(dim=-1)
        bias = getattr(self.head, "bias", None)
        return (logits if bias is None else logits + bias[tokens]).float()

    def _require_plain_head(self, model: Any) -> None:
        ids = torch.tensor([[1, 2]], device=self.device)
        with torch.inference_mode():
            ours, theirs = self.head(self.body(input_ids=ids)[0]), model(input_ids=ids).logits
        if ours.shape != theirs.shape or not torch.allclose(ours, theirs, atol=1e-3, rtol=1e-3):
            raise OptionsError(
                f"{type(model).__name__} computes its logits in an unusual way", mend="Use another language model."
            )
