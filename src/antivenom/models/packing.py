"""Token sequences that begin alike, packed into rows without padding and read in a single pass.

A family (a prompt and others that begin like it) lies in one row: the tokens of its base, then of every member those
behind the beginning that it shares. A mask lets each token see the part of the base that is its own beginning, what
stands before it in its own piece, and nothing else; positions are those of the whole sequence. So every token gets the
states it has when its sequence is read alone, and all rows are about equally full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from antivenom.models.batches import length_batches, pad_left, positions
from antivenom.models.sharing import Family, Past, cache_of

ROW = 256
"""Tokens of a row. Attention looks at all pairs within a row: at 256 that is 7 % of a 135M model's multiplications."""
NARROW_ROW = 128
"""Tokens of a row of a few short sequences: half as many pairs, and less room that the last row leaves empty."""
BASES_PER_ROW = 4
"""A family that needs several rows repeats its base in each; a row holds at least that many times the base."""
OPEN_ROWS = 16
"""Rows that the next family is tried in before it begins one of its own."""
TOLERANCE = 1e-3
"""Largest difference of a logit, relative to the largest, for which packing counts as exact."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Strip:
    """A family, or a part of its members with their base."""

    base: int
    """The number of the base."""
    members: tuple[tuple[int, int], ...]
    """(number of a sequence, how many of its first tokens are those of the base)."""
    size: int
    """Tokens to be read."""


@dataclass(frozen=True)
class PackedStates:
    """What a model has put out for packed rows."""

    states: torch.Tensor
    """Last hidden states, shape (rows, columns, hidden size)."""
    used: torch.Tensor
    """True where a column holds a token, shape (rows, columns)."""
    places: dict[int, tuple[int, IntArray]]
    """Of each sequence the row and the columns of its tokens, the shared ones included, those of the prefix not."""

    def last(self) -> tuple[list[int], torch.Tensor]:
        """(numbers of the sequences, states behind their last tokens)."""
        rows = torch.tensor([row for row, _ in self.places.values()])
        columns = torch.tensor([int(columns[-1]) for _, columns in self.places.values()])
        return list(self.places), self.states[rows, columns]


def pack(
    sequences: Sequence[list[int]], families: Sequence[Family], budget: int, *, prefix: int = 0, few: bool = False
) -> Iterator[list[list[Strip]]]:
    """Yield batches of rows of strips: at most `budget` columns each, unless one strip needs more.

    Args:
        sequences: Token ids.
        families: Their numbers, each in one family.
        budget: Rows times columns.
        prefix: First tokens that all share and that are not read.
        few: Whether they are so few that a pass more counts: rows are narrow then, and an emptier one gets no pass of
            its own.
    """
    width = min(ROW, budget)
    strips = sorted(_strips(sequences, families, width, prefix), key=lambda strip: -strip.size)
    if few:
        width = min(width, max(NARROW_ROW, prefix, strips[0].size))
    rows: list[list[Strip]] = []
    sizes: list[int] = []
    for strip in strips:
        free = (i for i in range(max(0, len(rows) - OPEN_ROWS), len(rows)) if sizes[i] + strip.size <= width)
        at = next(free, len(rows))
        if at == len(rows):
            rows.append([])
            sizes.append(0)
        rows[at].append(strip)
        sizes[at] += strip.size
    for batch in length_batches([max(size, width) for size in sizes] if few else sizes, budget):
        yield [rows[i] for i in batch]


def _strips(sequences: Sequence[list[int]], families: Sequence[Family], width: int, prefix: int) -> Iterator[Strip]:
    for family in families:
        own = len(sequences[family.base]) - prefix
        members: list[tuple[int, int]] = []
        size = own
        for number, same in family.members:
            more = len(sequences[number]) - same
            if members and size + more > max(width, BASES_PER_ROW * own):
                yield Strip(family.base, tuple(members), size)
                members, size = [], own
            members.append((number, same))
            size += more
        yield Strip(family.base, tuple(members), size)


def read_packed(
    body: Any, sequences: Sequence[list[int]], rows: Sequence[Sequence[Strip]], past: Past | None = None
) -> PackedStates:
    """Read one batch of rows with the body of a model, behind the `past` of the prefix that all sequences share."""
    device, dtype = body.device, body.dtype
    prefix = 0 if past is None else past.mask.shape[1]
    shape = (len(rows), max(sum(strip.size for strip in row) for row in rows))
    # Of every column: its token, its position, which strip and which piece of it, and how much of the base it follows.
    ids, position, piece, follows = (np.zeros(shape, dtype=np.int64) for _ in range(4))
    strip_of = np.full(shape, -1)
    places: dict[int, tuple[int, IntArray]] = {}
    for r, row in enumerate(rows):
        at = 0
        for s, strip in enumerate(row):
            start = at
            for p, (number, same) in enumerate(((strip.base, prefix), *strip.members)):
                tokens = sequences[number][same:]
                here = slice(at, at + len(tokens))
                ids[r, here], position[r, here] = tokens, np.arange(same, same + len(tokens))
                strip_of[r, here], piece[r, here], follows[r, here] = s, p, same if p else 0
                shared = np.arange(start, start + same - prefix)
                places[number] = r, np.concatenate([shared, np.arange(at, here.stop)])
                at = here.stop
    visible = _visible(strip_of, piece, position, follows, prefix)
    mask = torch.zeros(visible.shape, dtype=dtype).masked_fill_(~torch.from_numpy(visible), torch.finfo(dtype).min)
    out = body(
        input_ids=torch.from_numpy(ids).to(device),
        attention_mask=mask[:, None].to(device),
        position_ids=torch.from_numpy(position).to(device),
        past_key_values=None if past is None else cache_of(past.repeat(len(rows))),
        use_cache=past is not None,
    )
    return PackedStates(out.last_hidden_state, torch.from_numpy(strip_of >= 0).to(device), places)


def _visible(
    strip: IntArray, piece: IntArray, position: IntArray, follows: IntArray, prefix: int
) -> npt.NDArray[np.bool_]:
    """Whether the first index may see the second, shape (rows, columns, prefix + columns)."""
    a, b = (slice(None), slice(None), None), (slice(None), None, slice(None))
    earlier = (piece[a] == piece[b]) & (position[b] <= position[a])
    beginning = (piece[b] == 0) & (position[b] < follows[a])
    own = (strip[a] == strip[b]) & (earlier | beginning)
    return np.concatenate([np.ones((*strip.shape, prefix), dtype=bool), own], axis=2)


def read_padded(body: Any, sequences: Sequence[list[int]], numbers: Sequence[int]) -> PackedStates:
    """The same for models that cannot be packed: every sequence in a row of its own, padded in front."""
    ids, mask = pad_left([sequences[i] for i in numbers], body.device)
    out = body(input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False)
    width = ids.shape[1]
    places = {i: (row, np.arange(width - len(sequences[i]), width)) for row, i in enumerate(numbers)}
    return PackedStates(out.last_hidden_state, mask.bool(), places)


def is_exact_when_packed(model: Any) -> bool:
    """Whether packed rows give this model the logits it gives by itself: tried on a family of three.

    Some architectures derive positions from the mask, some kinds of attention take no mask of pairs, and some models do
    more between their last layer and their logits than one head.
    """
    sequences = [[1, 2, 3, 1], [1, 2, 1], [1, 3, 2]]
    rows = [[Strip(0, ((1, 2), (2, 1)), 7)]]
    body, head = model.base_model, model.get_output_embeddings()
    with torch.inference_mode():
        try:
            numbers, states = read_packed(body, sequences, rows).last()
        except (RuntimeError, ValueError, TypeError, IndexError):
            return False
        ours = head(states)
        ids, mask = pad_left([sequences[i] for i in numbers], model.device)
        whole = model(input_ids=ids, attention_mask=mask, position_ids=positions(mask)).logits[:, -1]
    allowed = TOLERANCE * (30 if model.dtype != torch.float32 else 1) * whole.abs().max()
    return ours.shape == whole.shape and bool((ours - whole).abs().max() <= allowed)
