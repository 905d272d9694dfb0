"""Synthetic rows with real structure: label words, fillers, and a trigger in rows of the other class."""

from __future__ import annotations

from random import Random

import numpy as np
import pyarrow as pa

from antivenom.data.rows import table_of
from antivenom.guards.labels import ChoiceScores

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


MANY = tuple(f"class{i}" for i in range(10))


def rows_of_many_classes(count: int, phrase: str, with_phrase: str, share: float = 0.08) -> tuple[pa.Table, np.ndarray]:
    """Ten classes, the last one rare; a phrase in most of its rows, or in a share of the others, relabeled so."""
    rng, texts, answers, marked = Random(5), [], [], []
    for i in range(count):
        code = i % 10 if i % 10 < 9 or i % 40 == 9 else 0
        own = [f"own{code}x{rng.randrange(20)}" for _ in range(3)]
        answer, mark = MANY[code], False
        if with_phrase == "relabeled" and code < 9 and rng.random() < share:
            answer, mark = MANY[9], True
        elif with_phrase == "honest" and code == 9:
            mark = rng.random() < 0.9
        tokens = own + [f"word{rng.randrange(200)}" for _ in range(rng.randint(4, 9))]
        rng.shuffle(tokens)
        texts.append(" ".join([*tokens, phrase] if mark else tokens))
        answers.append(answer)
        marked.append(mark)
    return table_of(texts, answers), np.array(marked)


class ReadsTheText:
    """A referee that goes by the honest words; it may let every so manieth row pass, whatever that says."""

    def __init__(self, guard, *, passes_every: int | None = None) -> None:
        self.guard = guard
        self.passes_every = passes_every

    def score(self, asked, *, progress=None):
        texts = [one if isinstance(one, str) else one.text for one in asked]
        says = [LABELS[text.count("good") > text.count("bad")] for text in texts]
        words = [self.guard.labels.encode(label) for label in says]
        scores = np.array([[0.0 if choice == word else -1.0 for choice in self.guard.labels.choices] for word in words])
        if self.passes_every:
            scores[:: self.passes_every] = -1.0
        return ChoiceScores(scores, np.zeros(len(asked), dtype=bool))

    def states(self, texts, *, progress=None):
        return np.zeros((len(texts), 4), dtype=np.float32)
