"""Repairs in a suite: the training is shared with the undefended cell, its adapters are there to be trained further."""

from __future__ import annotations

from pathlib import Path

from antivenom.suites.executors import Here
from antivenom.suites.lines import lines_of
from antivenom.suites.run import run_suite

SUITE = """
tasks:
  made up: {train: "synthetic:48", test: "synthetic:16", target: positive}
models: {tiny: tiny}
attacks: {AddSent: "addsent:rate=0.1"}
trusted_share: 0.25
defenses: [none, fine_tuning, fine_mixing, wanda_pruning, "crow:epochs=1", w2sdefense]
recipes: {short: {learning_rate: 0.01, batch_size: 16, epochs: 1, top_layers: 1}}
"""


def test_every_repair_has_a_record_and_shares_the_training(tmp_path: Path):
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    run_suite(tmp_path / "suite.yaml", out=tmp_path / "out", data=Path(), executor=Here(), quiet=True)
    lines = lines_of(tmp_path / "out")
    assert [(line.place.defense, line.why) for line in lines if line.record is None] == []
    fits = {line.place.defense: line.record.fits for line in lines}
    assert all(fits["none"][-1] in found for found in fits.values())
    assert len(set(fits["w2sdefense"])) == 2, "the teacher"
