"""How many poisoned rows leak into the screened reserve, and how good the reserve is beside a clean random one.

    python -m benchmarks.screen_leaks run --data ../shared/data --out results/screen/leaks.jsonl
    python -m benchmarks.screen_leaks report results/screen/leaks.jsonl > results/screen/README.md

No model is trained. A record is never computed twice: a rerun resumes. The attacks marked `unseen` were written
after the last constant of the screen was set.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import numpy as np

from antivenom.data.rows import table_of
from antivenom.screening.evidence import explain
from antivenom.screening.screen import least_suspicious, screen
from benchmarks.leak_cases import ADAPTIVE, CASES, TARGETS, Rows, crowded, load, poison, scpn

RATIO = 0.25
STANDARD_RATIO = 0.3
AVOID = 0.2
"""What the recipe `standard` takes, and what it keeps out whatever its referee says."""
RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
CORE = ("badnets", "addsent", "synattack", "proattack (clean label)")


def bag_of_words(train: Rows, test: Rows, labels: list[str]) -> tuple[float, float]:
    """Accuracy of naive Bayes on the test set, and the share of the test set's words that it has seen."""
    cut: Callable[[str], set[str]] = lambda text: set(re.findall(r"\w+|[^\w\s]", text.lower()))  # noqa: E731
    vocabulary: dict[str, int] = {}
    rows = [[vocabulary.setdefault(w, len(vocabulary)) for w in cut(text)] for text in train[0]]
    codes = np.array([labels.index(label) for label in train[1]])
    counts = np.full((len(labels), len(vocabulary)), 0.5)
    for row, code in zip(rows, codes, strict=True):
        counts[code, row] += 1
    sizes = np.bincount(codes, minlength=len(labels))[:, None]
    rate = counts / (sizes + 1)
    weights, bias = np.log(rate / (1 - rate)), np.log1p(-rate).sum(1) + np.log(sizes[:, 0] / sizes.sum())
    hits = seen = total = 0
    for text, label in zip(*test, strict=True):
        found = cut(text)
        known = [vocabulary[w] for w in found if w in vocabulary]
        hits += int((bias + weights[:, known].sum(1)).argmax()) == labels.index(label)
        seen, total = seen + len(known), total + len(found)
    return hits / len(test[0]), seen / total


def plan(wanted: list[str]) -> Iterator[tuple[str, str, float, int]]:
    for name in wanted:
        for seed in range(3):
            yield name, "none", 0.0, seed
            for attack in [*CASES, ADAPTIVE, *(["synattack"] if name.startswith("sst2") else [])]:
                core = attack in CORE
                rates = RATES if core and name == "sst2" and seed == 0 else (0.01, 0.05)
                yield from ((name, attack, rate, seed) for rate in rates if core or seed == 0 or name == "cr")


def measure(name: str, attack: str, rate: float, seed: int, data: Path) -> dict[str, object]:
    rows = load(name, data)
    labels = sorted(set(rows[1]))
    chosen: list[int] = []
    if attack == "synattack":
        rows, chosen = scpn(rows, name, data, rate, seed)
    elif attack == ADAPTIVE:
        rows, chosen = crowded(rows, TARGETS[name], rate, seed)
    elif attack != "none":
        rows, chosen = poison(rows, TARGETS[name], CASES[attack], rate, seed)
    order = Random(seed).sample(range(len(rows[0])), len(rows[0]))
    table = table_of([rows[0][i] for i in order], [rows[1][i] for i in order])
    screening = screen(table, labels, seed=seed)
    reserve = least_suspicious(table, screening, RATIO, avoid=AVOID, seed=seed)
    poisoned = np.isin(order, chosen)
    standard = least_suspicious(table, screening, STANDARD_RATIO, avoid=AVOID, seed=seed)
    asked = ~standard & (screening.associated <= 1 - AVOID)
    record: dict[str, object] = {"data": name, "attack": attack, "rate": rate, "seed": seed, "rows": len(order)}
    record |= {"poisoned": len(chosen), "reserve": int(reserve.sum()), "leaked": int((reserve & poisoned).sum())}
    record |= {"standard": int((standard & poisoned).sum()), "asked": int((asked & poisoned).sum())}
    if attack == "none" or seed == 0:
        evidence = explain(table, screening, seed=seed)
        record |= {"findings": [f.what for f in evidence.findings], "leads": [f.what for f in evidence.leads]}
    if attack == "none":
        record |= quality(table.to_pylist(), reserve, load(name, data, "test"), labels, seed)
    return record


def quality(
    rows: list[dict[str, str]], reserve: np.ndarray, test: Rows, labels: list[str], seed: int
) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    picks = {"screened": np.flatnonzero(reserve), "random": rng.permutation(len(rows))[: int(reserve.sum())]}
    result = {}
    for what, pick in picks.items():
        chosen = [rows[i] for i in pick]
        accuracy, coverage = bag_of_words(([r["text"] for r in chosen], [r["answer"] for r in chosen]), test, labels)
        words = sum(len(r["text"].split()) for r in chosen) / len(chosen)
        result |= {f"{what}_accuracy": accuracy, f"{what}_coverage": coverage, f"{what}_words": words}
    return result


def run(args: argparse.Namespace) -> None:
    args.out.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if args.out.exists():
        done = {tuple(json.loads(line)[k] for k in ("data", "attack", "rate", "seed")) for line in args.out.open()}
    for cell in plan(args.only):
        if cell not in done:
            record = measure(*cell, args.data)
            print(record, flush=True)
            with args.out.open("a") as file:
                file.write(json.dumps(record) + "\n")


def report(path: Path) -> str:
    records = [json.loads(line) for line in path.open()]
    return "\n\n".join([HEAD, leak_table(records), quality_table(records), alarm_table(records)])


HEAD = """# What leaks into the screened reserve

No model is trained here. `leaked/expected of poisoned`: poisoned rows in the screened reserve (ratio 0.25), what a
random reserve takes on average, and how many rows were poisoned; mean over seeds. Behind the semicolon, for the recipe
`standard` (13): poisoned rows in its reserve (ratio 0.3) + those about which it asks its referee; the others are kept
out whatever the referee says (version 15 asks about some of them too, where the words mean the label or stand in few
rows). No tokenizer was asked, as where `immunize` has no referee; version 14 asks one, and sees more of made-up and
misspelled words (docs/log.md). `*`: written after the constants of the screen's first version
were set, and seen before its second (2026-11-24). The others were seen, on some of this data, while it was built.
`leaks-2026-11-23.jsonl` and `leaks-2026-11-24.jsonl` hold the records of earlier versions.

Command: `python -m benchmarks.screen_leaks run`, then `report`."""


def leak_table(records: list[dict]) -> str:
    cells = defaultdict(list)
    for r in records:
        if r["attack"] != "none":
            cells[r["data"], r["attack"], r["rate"]].append(r)
    lines = ["| data | attack | " + " | ".join(f"{rate:.1%}" for rate in RATES) + " |", "|---" * (2 + len(RATES)) + "|"]
    for data, attack in dict.fromkeys(key[:2] for key in cells):
        star = "*" if attack == ADAPTIVE or (attack in CASES and CASES[attack].unseen) else ""
        shown = [_leak(cells.get((data, attack, rate), [])) for rate in RATES]
        lines.append(f"| {data} | {attack}{star} | " + " | ".join(shown) + " |")
    return "## Leaks\n\n" + "\n".join(lines)


def _leak(records: list[dict]) -> str:
    if not records:
        return ""
    names = ("leaked", "poisoned", "standard", "asked")
    leaked, poisoned, standard, asked = (np.mean([r[name] for r in records]) for name in names)
    return f"{leaked:.3g}/{poisoned * RATIO:.3g} of {poisoned:.4g}; {standard:.3g} + {asked:.3g}"


def quality_table(records: list[dict]) -> str:
    lines = ["| data | reserve | naive Bayes accuracy | test words seen | words a row |", "|---|---|---|---|---|"]
    for data in dict.fromkeys(r["data"] for r in records):
        clean = [r for r in records if r["data"] == data and r["attack"] == "none"]
        for what in ("screened", "random"):
            values = [np.mean([r[f"{what}_{k}"] for r in clean]) for k in ("accuracy", "coverage", "words")]
            lines.append(f"| {data} | {what} | {values[0]:.3f} | {values[1]:.3f} | {values[2]:.1f} |")
    return "## The reserve of clean rows, screened and random\n\n" + "\n".join(lines)


def alarm_table(records: list[dict]) -> str:
    lines = ["| data | attack | rate | findings | the first |", "|---|---|---|---|---|"]
    for r in records:
        if "findings" in r and r["seed"] == 0:
            first = str((r["findings"] or [""])[0]).replace("|", "\\|")
            lines.append(f"| {r['data']} | {r['attack']} | {r['rate']:.1%} | {len(r['findings'])} | {first} |")
    return "## Findings (seed 0); with no attack every finding is a false alarm\n\n" + "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    runner = commands.add_parser("run")
    runner.add_argument("--data", type=Path, default=Path("../shared/data"))
    runner.add_argument("--out", type=Path, default=Path("results/screen/leaks.jsonl"))
    runner.add_argument("--only", nargs="*", default=list(TARGETS))
    runner.set_defaults(call=run)
    reporter = commands.add_parser("report")
    reporter.add_argument("records", type=Path)
    reporter.set_defaults(call=lambda args: print(report(args.records)))
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
