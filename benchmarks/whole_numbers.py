"""A task in Chinese with two classes, made of APE210K: is the answer to a short problem a whole number or another one?

    python -m benchmarks.whole_numbers --data DIR --out runs/zh
    antivenom compare runs/zh/train.jsonl runs/zh/test.jsonl --labels whole,other ...  # results/classes has the command

DIR holds `ape210k/valid.ape.json`. Half of the rows are of either class; train and test are apart.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random

LONGEST = 45
"""Characters of a problem."""
SIZES = {"train": 400, "test": 150}
"""Rows of each class."""


def main(argv: list[str] | None = None) -> int:
    """Write train.jsonl and test.jsonl."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_numbers", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of the rows")
    asked = parser.parse_args(argv)
    asked.out.mkdir(parents=True, exist_ok=True)
    lines = (asked.data / "ape210k/valid.ape.json").read_text(encoding="utf-8").splitlines()
    for name, rows in split([json.loads(line) for line in lines]).items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (asked.out / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return 0


def split(problems: list[dict[str, str]], seed: int = 0) -> dict[str, list[dict[str, str]]]:
    """Draw the rows of both splits."""
    rng = Random(seed)
    by_label: dict[str, list[str]] = {"whole": [], "other": []}
    for problem in problems:
        if len(problem["original_text"]) < LONGEST:
            by_label["whole" if problem["ans"].isdigit() else "other"].append(problem["original_text"])
    drawn = {label: rng.sample(sorted(set(texts)), sum(SIZES.values())) for label, texts in by_label.items()}
    splits: dict[str, list[dict[str, str]]] = {}
    for name, size in SIZES.items():
        rows = [{"text": texts.pop(), "label": label} for label, texts in drawn.items() for _ in range(size)]
        rng.shuffle(rows)
        splits[name] = rows
    return splits


if __name__ == "__main__":
    raise SystemExit(main())
