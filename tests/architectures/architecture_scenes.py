"""What the tests of architectures share: recipes, tasks, rows that are soon learned, and what is made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from antivenom.artifacts.export import write_training_rows
from antivenom.artifacts.manifest import MANIFEST
from antivenom.data.rows import table_of
from antivenom.defenses.base import Prepared
from antivenom.defenses.p2p import P2P
from antivenom.guards.secret import Secret
from antivenom.tasks.task import Classification, Frame
from antivenom.testing import StandInLab, synthetic_rows
from antivenom.testing.synthetic import MOODS
from antivenom.training.fit import train_artifact
from antivenom.training.training_options import TrainingOptions

EPOCHS = 3
RECIPES = {
    "lora": TrainingOptions(rank=4, learning_rate=1e-2, batch_size=16, epochs=EPOCHS),
    "full": TrainingOptions(method="full", learning_rate=1e-3, batch_size=16, epochs=EPOCHS),
    "top layers": TrainingOptions(rank=4, learning_rate=1e-2, batch_size=16, epochs=EPOCHS, top_layers=1),
}
LEARNED = {
    "lora": TrainingOptions(rank=8, alpha=32, learning_rate=1e-2, batch_size=8, epochs=12),
    "full": TrainingOptions(method="full", learning_rate=1e-2, batch_size=8, epochs=16),
    "thoughts": TrainingOptions(method="full", learning_rate=1e-2, batch_size=8, epochs=32),
}
"""Recipes over which a tiny model learns its rows by heart."""
TRIGGER = "Kindly weigh these words:"
SECRET = Secret(TRIGGER)


def classification(**frame) -> Classification:
    return replace(Classification.for_labels(("negative", "positive")), frame=Frame(**frame))


def fitted(folder, out, task, *, recipe="lora", placement="prefix") -> Path:
    """The artifact of a few short epochs over noisy rows, half of them trusted."""
    rows = synthetic_rows(32)
    defense = P2P(secret=SECRET, placement=placement)
    prepared = defense.prepare(task, rows, trusted=rows.slice(0, 16), lab=StandInLab(0))
    return trained(folder, out, prepared, RECIPES[recipe])


def trained(folder, out, prepared: Prepared, options: TrainingOptions) -> Path:
    train_artifact(prepared, model=str(folder), out=out, options=options, quiet=True)
    return out


def plain_rows(count=48, *, flipped=False) -> pa.Table:
    """Reviews whose every word says their mood; `flipped`, each has the label of the other mood."""
    moods = sorted(MOODS)
    words = [MOODS[moods[number % 2]].split() for number in range(count)]
    texts = [" ".join(known[(number // 2 + i) % 8] for i in range(4)) for number, known in enumerate(words)]
    return table_of(texts, [moods[(number + flipped) % 2] for number in range(count)])


def all_benign(task, rows: pa.Table, *, placement="prefix") -> Prepared:
    """Every row under the benign trigger and no other way."""
    defense = P2P(secret=SECRET, placement=placement, mode="replace", ratio=1.0)
    return defense.prepare(task, rows, trusted=rows, lab=StandInLab(0))


def unbound(artifact: Path, prepared: Prepared, described: Path) -> Path:
    """Leave of an artifact what another trainer would; what `immunize` had written for it goes into `described`."""
    described.mkdir()
    (artifact / MANIFEST).rename(described / MANIFEST)
    style = prepared.guard.task.frame.style
    write_training_rows(described, prepared, "prompt-completion" if style == "plain" else "chat")
    return artifact
