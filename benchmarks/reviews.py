"""The rows of all benchmarks: film reviews, the demo's task and attack. Loads no torch.

python -m benchmarks.reviews --out DATA/reviews    # the demo's rows, before they are poisoned, for a suite
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow as pa

from antivenom.artifacts.export import write_rows
from antivenom.attacks.addsent import AddSent
from antivenom.data.embedded_data import SENTIMENT
from antivenom.data.rows import load_rows, split_rows
from antivenom.defenses.p2p import P2P
from antivenom.tasks.task import Classification

TASK = Classification.for_labels(SENTIMENT)
ATTACK = AddSent(rate=0.05, target="positive")
DEFENSE = P2P(mode="replace", cue="split", reserve="random")


def reviews() -> pa.Table:
    """8,530 sentences of film reviews, negative or positive."""
    return load_rows("embedded:rotten_tomatoes").table


def main() -> None:
    """Write the demo's 1,000 training and 400 test rows as CSV files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, table in zip(("train", "test"), split_rows(reviews(), [1000, 400], seed=0), strict=True):
        write_rows(asked.out / f"{name}.csv", table)


if __name__ == "__main__":
    main()
