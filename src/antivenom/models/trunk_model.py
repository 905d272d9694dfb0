"""Scoring on a frozen trunk: a defense's first model reads rows whose lower layers the next fit computes anyway."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from antivenom.guards.labels import ChoiceScores
from antivenom.models.batches import length_batches, pad_left, positions
from antivenom.models.local import LocalModel
from antivenom.models.sharing import Read
from antivenom.models.trunk import Trunk


class TrunkModel(LocalModel):
    """Scores like `LocalModel`, but starts from the trunk's kept states, computing and keeping those that are missing.

    For training and test rows, which other fits read too; texts of clients do not belong into a store.
    """

    def __init__(self, trunk: Trunk) -> None:
        """Take a trunk whose model has its adapters merged: they lie above the cut, so the states are the base's."""
        super().__init__(trunk.model, precision=trunk.precision)
        self._trunk = trunk

    def score(
        self, prompts: Sequence[list[int]], choices: Sequence[tuple[int, ...]], *, progress: str | None = None
    ) -> ChoiceScores:
        """Compute the states that are missing, under a bar of their own, then score; see `models.base.Model`."""
        if prompts and all(len(choice) == 1 for choice in choices):
            self._trunk.prepare(prompts, quiet=progress is None)
        return super().score(prompts, choices, progress=progress)

    def _read_prompts(
        self, prompts: Sequence[list[int]], *, deep: bool
    ) -> Iterator[tuple[list[int], torch.Tensor, Read | None]]:
        if deep or not prompts:
            yield from super()._read_prompts(prompts, deep=deep)
            return
        with self._trunk.removed():
            for batch in length_batches([len(prompt) for prompt in prompts], self.token_budget):
                rows = [prompts[i] for i in batch]
                _, mask = pad_left(rows, self.device)
                states = self._trunk.batch(rows).to(self.device)
                out = self.model(
                    inputs_embeds=states,
                    attention_mask=mask,
                    position_ids=positions(mask),
                    use_cache=False,
                    logits_to_keep=1,
                )
                yield list(batch), out.logits[:, -1], None
