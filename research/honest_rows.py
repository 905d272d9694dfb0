"""How many honest rows a filter leaves out where nobody poisoned anything, over eight tasks; nothing is trained.

    python -m research.honest_rows --data ../shared/data --out results/decisions

Two to some forty labels, 1,000 to 11,000 rows, labels of one size and labels of which one has fifty times the rows of
the other. The rows are those of the data sets' training files, as they are.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.console import say
from antivenom.core.errors import RowsError
from antivenom.core.files import write_json
from antivenom.core.report import Report
from antivenom.data.rows import table_of
from antivenom.data.validation import check_rows
from antivenom.defenses import parse_defense
from antivenom.suites.cell_rows import load_cell_rows
from antivenom.suites.decided import count_teaching, decided_rows
from antivenom.suites.suite import TaskRows
from antivenom.tasks.task import Classification
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions

Loaded = tuple[Any, pa.Table]
IMBALANCE = 50
LEAST = 20
"""Fine labels of fewer rows are not asked about."""


def known(preset: str, folder: str, kind: str, count: int | None) -> Callable[[Path], Loaded]:
    """The training rows of a data set that has a task file."""
    rows = TaskRows(preset=preset, train=f"{folder}/train.{kind}", test=f"{folder}/test.{kind}", train_rows=count)
    return lambda data: load_cell_rows(rows, data, seed=0)[:2]


def uneven(data: Path) -> Loaded:
    """All positive rows of SST-2, and a fiftieth as many negative ones."""
    task, rows = known("sst2", "sst2", "tsv", None)(data)
    positive = rows.filter(pc.equal(rows.column("answer"), "positive"))
    negative = rows.filter(pc.equal(rows.column("answer"), "negative"))
    return task, pa.concat_tables([positive, negative.slice(0, positive.num_rows // IMBALANCE)])


def questions(*, fine: bool) -> Callable[[Path], Loaded]:
    """TREC's questions with their coarse labels, or the fine ones of at least `LEAST` rows."""

    def load(data: Path) -> Loaded:
        lines = (data / "trec" / "train.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        pairs = [
            (text, label if fine else label.partition(":")[0]) for label, _, text in (s.partition(" ") for s in lines)
        ]
        sizes = Counter(label for _, label in pairs)
        texts, labels = zip(*(pair for pair in pairs if sizes[pair[1]] >= LEAST), strict=True)
        task = Classification.for_labels(tuple(sorted(set(labels))))
        return task, check_rows(table_of(list(texts), list(labels)), task.classes, Report(source="trec/train.txt"))

    return load


TASKS: dict[str, Callable[[Path], Loaded]] = {
    "SST-2": known("sst2", "sst2", "tsv", 1000),
    "SST-2, all rows": known("sst2", "sst2", "tsv", None),
    "SST-2, 50 to 1": uneven,
    "CR": known("cr", "cr", "json", None),
    "AG's News": known("ag_news", "ag", "tsv", None),
    "TREC": questions(fine=False),
    "TREC, fine labels": questions(fine=True),
    "Yahoo": known("yahoo", "yahoo", "jsonl", None),
}


def lost(name: str, task: Any, rows: pa.Table, spec: str, store: Path) -> dict[str, Any]:
    """What a filter leaves out of the rows of one task."""
    sizes = np.unique(rows.column("answer").to_numpy(), return_counts=True)[1]
    facts = {"task": name, "seed": 0, "rows": rows.num_rows, "labels": len(sizes), "smallest": int(sizes.min())}
    lab = LocalLab("smollm2", TrainingOptions(), store, 0, quiet=True)
    try:
        prepared = parse_defense(spec).prepare(task, rows, trusted=None, lab=lab)
    except RowsError as error:
        return {**facts, "refused": str(error)}
    decided = decided_rows(rows, frozenset(), rows, rows.slice(0, 0), prepared)
    gone = Counter(row["given"] for row in decided.to_pylist() if row["taught"] is None)
    of_label = Counter(rows.column("answer").to_pylist())
    most = max(of_label, key=lambda label: gone[label] / of_label[label])
    share = round(gone[most] / of_label[most], 4)
    return {**facts, "lost": count_teaching(decided).honest_lost, "most_of": most, "share_of_it": share}


def main() -> None:
    """Decide about every task and write one record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--defense", default="standard")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as store:
        for name in asked.tasks:
            found.append(lost(name, *TASKS[name](asked.data), asked.defense, Path(store)))
            say(str(found[-1]))
    command = f"python -m research.honest_rows --data ../shared/data --defense {asked.defense}"
    command += "" if asked.tasks == list(TASKS) else f" --tasks {shlex.join(asked.tasks)}"
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / f"honest_rows-{asked.defense.partition(':')[0]}.json"
    write_json(path, {"command": command, "tasks": found})


if __name__ == "__main__":
    main()
