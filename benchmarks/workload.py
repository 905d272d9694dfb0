"""The model and the token ids that the benchmarks share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.data.rows import split_rows
from antivenom.guards.encoding import LabelEncoder, make_encoder
from antivenom.models.base_model import locate_model
from antivenom.models.tokenizer import load_tokenizer
from antivenom.tasks.task import Frame
from antivenom.training.lab import RowsLab
from benchmarks.reviews import ATTACK, DEFENSE, TASK, reviews


@dataclass(frozen=True)
class Workload:
    """A model folder, an encoder and disjoint rows."""

    folder: Path
    tokenizer: Any
    encoder: LabelEncoder
    train: pa.Table
    test: pa.Table

    def examples(self) -> list[tuple[list[int], tuple[int, ...]]]:
        """The training rows, poisoned and rebuilt by P2P, as (prompt, answer) token ids."""
        poisoned = ATTACK.poison(TASK, self.train, seed=0).rows
        return self.encoder.training(DEFENSE.prepare(TASK, poisoned, trusted=None, lab=RowsLab(0)).rows)

    def prompts(self) -> list[list[int]]:
        """The test rows under the guard, without and with the attacker's trigger."""
        attacked = ATTACK.probes(TASK, self.test, seed=0)
        texts = [*self.test.column("text").to_pylist(), *attacked.column("text").to_pylist()]
        return self.encoder.serving(texts)


def make_workload(model: str, *, train: int, test: int, frame: Frame = Frame()) -> Workload:
    """Load what the benchmarks need; the same every time."""
    folder = locate_model(model).folder
    tokenizer = load_tokenizer(folder)
    train_rows, test_rows = split_rows(reviews(), [train, test], seed=0)
    encoder = make_encoder(DEFENSE.guard(replace(TASK, frame=frame), 0), tokenizer)
    assert isinstance(encoder, LabelEncoder), encoder
    return Workload(folder, tokenizer, encoder, train_rows, test_rows)
