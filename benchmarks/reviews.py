"""The rows of all benchmarks: film reviews, the demo's task and attack. Loads no torch."""

from __future__ import annotations

import pyarrow as pa

from antivenom.attacks.addsent import AddSent
from antivenom.data.embedded_data import SENTIMENT
from antivenom.data.rows import load_rows
from antivenom.defenses.p2p import P2P
from antivenom.tasks.task import Classification

TASK = Classification.for_labels(SENTIMENT)
ATTACK = AddSent(rate=0.05, target="positive")
DEFENSE = P2P(mode="replace", cue="split", reserve="random")


def reviews() -> pa.Table:
    """8,530 sentences of film reviews, negative or positive."""
    return load_rows("embedded:rotten_tomatoes").table
