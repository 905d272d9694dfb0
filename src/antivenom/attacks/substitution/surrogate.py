"""The surrogate classifier of LWS and its learnable substitutions; needs torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from antivenom.attacks.substitution.options import SubstitutionOptions, temperature

Choices = Sequence[Sequence[Sequence[str]]]
"""For each row and position, the words that may stand there, the original first."""


class Surrogate(nn.Module):
    """Word vectors, one convolution, the maximum over positions, one linear layer."""

    def __init__(self, words: int, dimension: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, dimension, padding_idx=0)
        self.convolve = nn.Conv1d(dimension, 2 * dimension, 3, padding=1)
        self.head = nn.Linear(2 * dimension, classes)

    def forward(self, vectors: Tensor, there: Tensor) -> Tensor:
        """Logits of rows of word vectors; `there` is false at padding."""
        vectors = vectors * there.unsqueeze(-1)
        features = functional.relu(self.convolve(vectors.transpose(1, 2))) * there.unsqueeze(1)
        logits: Tensor = self.head(features.amax(dim=2))
        return logits


class Substituter(nn.Module):
    """Probability of candidate k at position j: softmax over k of (s_k - w_j) . q_j + b_jk."""

    def __init__(self, length: int, candidates: int, dimension: int) -> None:
        super().__init__()
        self.q = nn.Parameter(torch.zeros(length, dimension))
        self.bias = nn.Parameter(torch.zeros(length, candidates))

    def log_probabilities(self, options: Tensor, valid: Tensor) -> Tensor:
        """Of every candidate.

        Args:
            options: Vectors of the candidates, the original first; (rows, positions, candidates, dimension).
            valid: Which candidates exist; (rows, positions, candidates).
        """
        positions = options.shape[1]
        difference = options - options[:, :, :1]
        score = (difference * self.q[:positions, None]).sum(-1) + self.bias[:positions]
        return score.masked_fill(~valid, -torch.inf).log_softmax(-1)

    def sample(self, options: Tensor, valid: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """Weights of the candidates: a Gumbel softmax, near one-hot at low temperatures.

        The noise is added to the logits, as Gumbel's trick demands.
        """
        uniform = torch.rand(valid.shape, generator=generator).clamp(1e-9, 1 - 1e-7)
        noise = -torch.log(-torch.log(uniform))
        return ((self.log_probabilities(options, valid) + noise) / temperature).softmax(-1)


def learn(
    choices: Choices,
    labels: npt.NDArray[np.int64],
    poisoned: Sequence[int],
    target: int,
    classes: int,
    options: SubstitutionOptions,
    seed: int,
) -> Callable[[Choices], list[list[str]]]:
    """Train the surrogate on clean rows, then surrogate and substitutions together on clean and poisoned rows.

    The word vectors stay fixed in the second phase, as in LWS.

    Returns:
        A function that picks the most probable word at every position.
    """
    words = _vocabulary(choices)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        surrogate = Surrogate(len(words) + 1, options.dimension, classes)
    substituter = Substituter(options.length, options.candidates, options.dimension)
    encoded = [_encode(row, words, options.candidates) for row in choices]
    with _one_thread():
        _train(surrogate, None, encoded, labels, set(), target, options, generator)
        surrogate.embed.weight.requires_grad_(requires_grad=False)
        _train(surrogate, substituter, encoded, labels, set(poisoned), target, options, generator)
    return lambda rows: [_best(row, words, surrogate, substituter, options.candidates) for row in rows]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """These matrices are so small that several threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(
    surrogate: Surrogate,
    substituter: Substituter | None,
    encoded: list[Tensor],
    labels: npt.NDArray[np.int64],
    poisoned: set[int],
    target: int,
    options: SubstitutionOptions,
    generator: torch.Generator,
) -> None:
    groups = [{"params": [p for p in surrogate.parameters() if p.requires_grad], "lr": options.learning_rate}]
    if substituter is not None:
        groups.append({"params": list(substituter.parameters()), "lr": options.substituter_rate})
    optimizer = torch.optim.Adam(groups)
    epochs = options.clean_epochs if substituter is None else options.epochs
    for epoch in range(epochs):
        for batch in _batches(len(encoded), options.batch_size, generator):
            ids = nn.utils.rnn.pad_sequence([encoded[i] for i in batch], batch_first=True)
            answers = torch.tensor([target if i in poisoned else int(labels[i]) for i in batch])
            vectors = surrogate.embed(ids)
            mixed = vectors[:, :, 0]
            if substituter is not None:
                chosen = torch.tensor([i in poisoned for i in batch])
                valid = _valid(ids)
                weights = substituter.sample(vectors, valid, temperature(epoch, epochs), generator)
                mixed = torch.where(chosen[:, None, None], (weights.unsqueeze(-1) * vectors).sum(2), mixed)
            loss = functional.cross_entropy(surrogate(mixed, ids[:, :, 0] > 0), answers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _batches(rows: int, size: int, generator: torch.Generator) -> Iterator[list[int]]:
    order = torch.randperm(rows, generator=generator).tolist()
    for start in range(0, rows, size):
        yield order[start : start + size]


def _valid(ids: Tensor) -> Tensor:
    """Which candidates exist; at padding the first counts as one, so that no softmax is empty."""
    valid = ids > 0
    valid[:, :, 0] = True
    return valid


def _vocabulary(choices: Choices) -> dict[str, int]:
    found = dict.fromkeys(word.lower() for row in choices for options in row for word in options)
    return {word: number for number, word in enumerate(found, start=1)}


def _encode(row: Sequence[Sequence[str]], words: dict[str, int], candidates: int) -> Tensor:
    """Numbers of the candidates at each position, 0 where there is none; words never seen have none either."""
    ids = torch.zeros(max(1, len(row)), candidates, dtype=torch.int64)
    for position, options in enumerate(row):
        for column, word in enumerate(options):
            ids[position, column] = words.get(word.lower(), 0)
    return ids


def _best(
    row: Sequence[Sequence[str]],
    words: dict[str, int],
    surrogate: Surrogate,
    substituter: Substituter,
    candidates: int,
) -> list[str]:
    ids = _encode(row, words, candidates).unsqueeze(0)
    with torch.no_grad():
        best = substituter.log_probabilities(surrogate.embed(ids), _valid(ids)).argmax(-1)[0].tolist()
    return [options[place] for options, place in zip(row, best, strict=False)]
