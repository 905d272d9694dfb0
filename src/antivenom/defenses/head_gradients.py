"""Gradients of the vocabulary head, row by row, as GraCeFul and GradSentry look at them: in two factors, never whole.

The gradient of a row is E^T H, E (answer tokens x vocabulary) and H (answer tokens x width). A cosine transform of both
sides is one of each factor, a crop is one of each factor, and the inner product of two such gradients is a sum over
pairs of answer tokens: <E_i^T H_i, E_j^T H_j> = sum((E_i E_j^T) * (H_i H_j^T)).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from antivenom.core.arrays import Floats
from antivenom.models.lab import HeadGradient

CROP = 8
"""Of either side the first eighth is kept."""
BLOCK = 32
"""Rows whose inner products with as many others are computed at once."""

Factor = npt.NDArray[np.float32]


def cropped(gradient: HeadGradient) -> HeadGradient:
    """The corner [:V/8, :d/8] of a gradient."""
    states, errors = gradient
    return HeadGradient(states[:, : _eighth(states)], errors[:, : _eighth(errors)])


def low_frequencies(gradient: HeadGradient) -> HeadGradient:
    """The corner [:V/8, :d/8] of the two-dimensional orthonormal cosine transform of a gradient."""
    from scipy.fft import dct

    states, errors = (dct(factor, axis=1, norm="ortho").astype(np.float32) for factor in gradient)
    return cropped(HeadGradient(states, errors))


def shortened(gradients: Iterable[HeadGradient], most_tokens: int) -> Iterator[HeadGradient]:
    """The gradients of the first answer tokens alone; work goes with the square of their number."""
    for states, errors in gradients:
        yield HeadGradient(states[:most_tokens], errors[:most_tokens])


def of_mean(gradient: HeadGradient) -> HeadGradient:
    """The gradient of the mean loss of an answer's tokens: that of the sum would tell long answers from short ones."""
    states, errors = gradient
    return HeadGradient(states, errors / np.float32(max(len(errors), 1)))


def gram(gradients: list[HeadGradient]) -> Floats:
    """The inner products of gradients; shape (rows, rows)."""
    count = len(gradients)
    blocks = [gradients[start : start + BLOCK] for start in range(0, count, BLOCK)]
    found = np.zeros((count, count))
    for i, one in enumerate(blocks):
        for j, other in enumerate(blocks[: i + 1]):
            part = _products(one, other)
            rows, columns = i * BLOCK, j * BLOCK
            found[rows : rows + len(one), columns : columns + len(other)] = part
            found[columns : columns + len(other), rows : rows + len(one)] = part.T
    return found


def singular_values(gradient: HeadGradient) -> Floats:
    """The singular values of E^T H, largest first, as many as answer tokens: the roots of those of (E E^T)(H H^T)."""
    states, errors = (factor.astype(np.float64) for factor in gradient)
    # Of a product of two symmetric matrices; a root of one makes it symmetric.
    values, vectors = np.linalg.eigh(errors @ errors.T)
    root = vectors * np.sqrt(np.maximum(values, 0))
    squares = np.linalg.eigvalsh(root.T @ (states @ states.T) @ root)
    found: Floats = np.sqrt(np.maximum(squares, 0))[::-1]
    return found


def _products(one: list[HeadGradient], other: list[HeadGradient]) -> Floats:
    of_tokens = _stack([g.errors for g in one]) @ _stack([g.errors for g in other]).T
    of_tokens *= _stack([g.states for g in one]) @ _stack([g.states for g in other]).T
    sums = np.add.reduceat(of_tokens.astype(np.float64), _starts(one), axis=0)
    found: Floats = np.add.reduceat(sums, _starts(other), axis=1)
    return found


def _stack(factors: list[Factor]) -> Factor:
    return np.concatenate(factors)


def _starts(gradients: list[HeadGradient]) -> list[int]:
    return [0, *np.cumsum([len(g.states) for g in gradients])[:-1].tolist()]


def _eighth(factor: Factor) -> int:
    width: int = factor.shape[1]
    return max(1, width // CROP)
