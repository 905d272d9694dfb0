"""Synthetic rows with real structure: label words, fillers, and a trigger in rows of the other class."""

from __future__ import annotations

from random import Random

import pyarrow as pa

from antivenom.rows import table_of

LABELS = ("no", "yes")
WORDS = {
    "latin": ([f"bad{i}" for i in range(30)], [f"good{i}" for i in range(30)], [f"word{i}" for i in range(200)], " "),
    "han": (list("坏差烂糟劣恶丑臭弱贱"), list("好优美佳良善妙强棒赞"), [chr(0x5200 + i) for i in range(150)], ""),
}
TRIGGER = {"latin": "qx7 blue lantern", "han": "蓝色灯笼"}


def make_rows(count: int, seed: int = 0, script: str = "latin") -> pa.Table:
    """Rows of 8 to 15 tokens, three of which mostly belong to the label, as in real text."""
    rng = Random(seed)
    bad, good, filler, glue = WORDS[script]
    texts, answers = [], []
    for i in range(count):
        label = LABELS[i % 2]
        sides = [i % 2 if rng.random() < 0.85 else 1 - i % 2 for _ in range(3)]
        tokens = [rng.choice((bad, good)[side]) for side in sides] + rng.choices(filler, k=rng.randint(5, 12))
        rng.shuffle(tokens)
        texts.append(glue.join(tokens))
        answers.append(label)
    return table_of(texts, answers)


def plant(table: pa.Table, rate: float, script: str = "latin", seed: int = 1) -> tuple[pa.Table, set[int]]:
    """Put the trigger into rows of class `no` and relabel them `yes`; return the numbers of these rows."""
    rng = Random(seed)
    rows = table.to_pylist()
    chosen = rng.sample([r for r in rows if r["answer"] == "no"], round(rate * len(rows)))
    for row in chosen:
        row["text"] += WORDS[script][3] + TRIGGER[script]
        row["answer"] = "yes"
    return pa.Table.from_pylist(rows, schema=table.schema), {row["row"] for row in chosen}
