"""A transformers model on this machine."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from antivenom.core.progress import progress_bar
from antivenom.guards.labels import ChoiceScores
from antivenom.models.batches import length_batches
from antivenom.models.packing import is_exact_when_packed, pack, read_packed
from antivenom.models.placement import Chosen, Placement
from antivenom.models.precision import computing, is_cast, lay_out
from antivenom.models.sharing import WORTH_SHARING, Family, Past, Read, can_share, families, read, shared_prefix
from antivenom.models.whole import load_whole

TOKEN_BUDGET = 4096
"""Padded tokens per scoring batch: enough to fill the matrix units, small enough for a laptop."""


class LocalModel:
    """Scores with a causal language model of transformers, batched by length."""

    def __init__(self, model: Any, *, token_budget: int = TOKEN_BUDGET, precision: Chosen = "fp32") -> None:
        """Take a loaded causal language model; it is put into evaluation mode (no dropout) to score.

        Its weights must not change from here on: under bf16 they are copied.
        """
        self.model = model
        self.token_budget = token_budget
        self.precision = precision
        if is_cast(model, precision):
            lay_out(model, frozen_only=False)
        self._causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._exact_when_packed: bool | None = None
        self._expected: tuple[list[int], Past] | None = None

    def expect(self, beginning: list[int]) -> None:
        """Get ready for many small calls: read once, and keep, what all their prompts begin with."""
        self.model.eval()
        with torch.inference_mode(), self._computing():
            if can_share(self.model, len(beginning)) and len(beginning) >= WORTH_SHARING:
                self._expected = beginning, self._read([beginning], None, keep=True).past

    def score(
        self, prompts: Sequence[list[int]], choices: Sequence[tuple[int, ...]], *, progress: str | None = None
    ) -> ChoiceScores:
        """Score every choice behind every prompt; see `models.base.Model`.

        What all prompts have in common at their beginning is read once; prompts that begin alike (a text with and
        without a trigger, repeated texts) are read once as far as they do.
        """
        scores = np.zeros((len(prompts), len(choices)))
        other = np.zeros(len(prompts), dtype=bool)
        self.model.eval()
        with (
            torch.inference_mode(),
            self._computing(),
            progress_bar(progress, total=len(prompts), unit="row") as advance,
        ):
            for rows, logits, found in self._read_prompts(prompts, deep=any(len(choice) > 1 for choice in choices)):
                scores[rows], other[rows] = self._choose(logits, found, choices)
                advance(len(rows))
        return ChoiceScores(scores, other)

    def _computing(self) -> Any:
        return computing(self.model, self.precision)

    def _read_prompts(
        self, prompts: Sequence[list[int]], *, deep: bool
    ) -> Iterator[tuple[list[int], torch.Tensor, Read | None]]:
        """Yield (numbers of prompts, logits behind them, what choices of several tokens continue from)."""
        if deep or not prompts or not self._packs(max(map(len, prompts))):
            yield from ((rows, found.out.logits[:, -1], found) for rows, found in self._read_all(prompts, keep=deep))
            return
        model = self._causal_lm
        prefix, start = self._read_prefix(prompts)
        few = self._expected is not None
        for batch in pack(prompts, list(families(prompts, prefix)), self.token_budget, prefix=prefix, few=few):
            rows, states = read_packed(model.base_model, prompts, batch, start).last()
            yield rows, model.get_output_embeddings()(states), None

    def _packs(self, longest: int) -> bool:
        if self._exact_when_packed is None:
            self._exact_when_packed = is_exact_when_packed(self._causal_lm)
        return self._exact_when_packed and can_share(self._causal_lm, longest)

    def _read_prefix(self, prompts: Sequence[list[int]]) -> tuple[int, Past | None]:
        """Read what all prompts begin with; return how many tokens that are, and their past."""
        if self._expected is not None:
            beginning, past = self._expected
            size = len(beginning)
            if all(len(prompt) > size and prompt[:size] == beginning for prompt in prompts):
                return size, past
        prefix = shared_prefix(prompts) if len(prompts) > 1 else 0
        if prefix < WORTH_SHARING:
            return 0, None
        return prefix, self._read([prompts[0][:prefix]], None, keep=True).past

    def _read_all(self, prompts: Sequence[list[int]], *, keep: bool) -> Iterator[tuple[list[int], Read]]:
        """Read every prompt, sharing what can be shared; yield (numbers of prompts, what was read of them)."""
        sharing = can_share(self.model, max(map(len, prompts), default=0))
        prefix, start = self._read_prefix(prompts) if sharing else (0, None)
        groups = list(families(prompts, prefix)) if sharing else [Family(i, ()) for i in range(len(prompts))]
        for batch in length_batches([len(prompts[group.base]) for group in groups], self.token_budget):
            bases = [groups[i].base for i in batch]
            # Members continue from the row of their base, from where they part with it.
            members = [(row, *member) for row, i in enumerate(batch) for member in groups[i].members]
            before = start.repeat(len(bases)) if start else None
            found = self._read([prompts[i][prefix:] for i in bases], before, keep=keep or bool(members))
            yield bases, found
            columns = [len(prompts[i]) for _, i, _ in members]
            left = [length - same for length, (_, _, same) in zip(columns, members, strict=True)]
            for part in length_batches(left, self.token_budget, columns=columns):
                rows, numbers, same = zip(*(members[i] for i in part), strict=True)
                tails = [prompts[i][cut:] for i, cut in zip(numbers, same, strict=True)]
                yield list(numbers), self._read(tails, found.past.take(rows, same), keep=keep)

    def _read(self, rows: Sequence[Sequence[int]], past: Past | None, *, keep: bool) -> Read:
        return read(self.model, rows, past, head=1, keep=keep)

    def _choose(
        self, logits: torch.Tensor, found: Read | None, choices: Sequence[tuple[int, ...]]
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Walk the prefix tree of the choices: the prompts were read, one short pass follows per inner node."""
        inner = sorted({choice[:depth] for choice in choices for depth in range(len(choice))}, key=len)
        root = torch.log_softmax(logits.float(), dim=-1)
        first = torch.tensor(sorted({choice[0] for choice in choices}), device=self.device)
        other = root.max(dim=-1).values > root[:, first].max(dim=-1).values
        totals = torch.zeros(len(root), len(choices), device=self.device)
        for prefix in inner:
            logs = root if found is None or not prefix else self._after(prefix, found)
            add_node(totals, prefix, logs, choices)
        return totals.double().cpu().numpy(), other.cpu().numpy()

    def _after(self, prefix: tuple[int, ...], found: Read) -> torch.Tensor:
        """Log-probabilities of the next token when `prefix` follows what was read."""
        rows = len(found.joined)
        out = self._read([prefix] * rows, found.past, keep=False).out
        return torch.log_softmax(out.logits[:, -1].float(), dim=-1)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(self.model.parameters()).device
        return device


def add_node(
    totals: torch.Tensor, prefix: tuple[int, ...], logs: torch.Tensor, choices: Sequence[tuple[int, ...]]
) -> None:
    """Add what one node of the choices' prefix tree says to the scores of the choices that pass through it.

    Args:
        totals: Log-probabilities so far, shape (rows, choices).
        prefix: The tokens that lead to the node.
        logs: Log-probabilities of the token behind them, shape (rows, vocabulary).
        choices: The tokens of each choice.
    """
    for column, choice in enumerate(choices):
        if len(choice) > len(prefix) and choice[: len(prefix)] == prefix:
            totals[:, column] += logs[:, choice[len(prefix)]]


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep transformers and PEFT from drawing bars of their own, and from warning of each other's renamed methods."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


def load_causal_lm(folder: Path, placement: Placement = Placement()) -> Any:
    """Load a causal language model from safetensors, never running code from the folder.

    Raises:
        ArtifactError: it cannot be loaded, or is not whole; see `models.whole`.
    """
    from transformers import AutoModelForCausalLM

    return load_with_head(AutoModelForCausalLM, folder, placement)


def load_with_head(kind: Any, folder: Path, placement: Placement) -> Any:
    """Load a model that predicts tokens.

    Args:
        kind: A class of transformers that loads it.
        folder: Its safetensors.
        placement: How its weights are held.

    Raises:
        ArtifactError: it cannot be loaded, or is not whole; see `models.whole`.
    """
    with quiet_libraries():
        model = load_whole(kind, folder, options=placement.arguments())
    make_head_input_contiguous(model)
    return placement.place(model)


def make_head_input_contiguous(model: Any) -> None:
    """Give the vocabulary head its few columns in one piece.

    They are a slice of all columns, and for a slice torch multiplies row by row: ten times as slow on a CPU.
    """
    model.get_output_embeddings().register_forward_pre_hook(lambda _, args: (args[0].contiguous(), *args[1:]))
