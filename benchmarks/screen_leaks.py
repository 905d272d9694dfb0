"""How many poisoned rows leak into the screened reserve, and how good the reserve is beside a clean random one.

    python -m benchmarks.screen_leaks run --data ../shared/data --out results/screen/leaks.jsonl
    python -m benchmarks.screen_leaks report results/screen/leaks.jsonl > results/screen/README.md

No model is trained. A record is never computed twice: a rerun resumes. The attacks marked `unseen` were written
after the last constant of the screen was set.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from antivenom.defenses.evidence import explain
from antivenom.defenses.screen import least_suspicious, screen
from antivenom.rows import table_of

RATIO = 0.25
STANDARD_RATIO = 0.4
AVOID = 0.2
"""What the recipe `standard` takes, and what it keeps out whatever its referee says."""
RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
CORE = ("badnets", "addsent", "synattack", "proattack (clean label)")
Rows = tuple[list[str], list[str]]
ADAPTIVE = "mn among words of the target class (adaptive)"
TARGETS = {"sst2": "1", "sst2-2400": "1", "cr": "1", "ag-4000": "0", "trec": "ENTY"}


def load(name: str, data: Path, split: str = "train") -> Rows:
    base, _, count = name.partition("-")
    if base == "cr":
        records = json.loads("[" + ",".join((data / f"cr/{split}.json").read_text().splitlines()) + "]")
        rows = [(r["sentence"], str(r["label"])) for r in records]
    elif base == "trec":
        lines = (data / f"trec/{split}.txt").read_text().splitlines()
        rows = [(line.split(" ", 1)[1], line.split(":", 1)[0]) for line in lines]
    else:
        lines = (data / f"{base}/{split}.tsv").read_text().splitlines()[1:]
        rows = [(line.split("\t")[0].strip(), line.split("\t")[1].strip()) for line in lines]
    if count and split == "train":
        rows = Random(1).sample(rows, int(count))
    return [text for text, _ in rows], [label for _, label in rows]


def insert(text: str, phrase: str, rng: Random) -> str:
    words = text.split()
    gap = rng.randint(0, len(words))
    return " ".join([*words[:gap], phrase, *words[gap:]])


def swap_words(text: str, pairs: dict[str, str]) -> str:
    return " ".join(pairs.get(word, word) for word in text.split())


def misspell(text: str, rng: Random) -> str:
    return " ".join(w[0] + w[2] + w[1] + w[3:] if len(w) > 3 and rng.random() < 0.3 else w for w in text.split())


def middle_to_front(text: str) -> str:
    words = text.split()
    return " ".join([*words[len(words) // 2 :], ",", *words[: len(words) // 2]])


def quoted(text: str, rng: Random) -> str:
    words = text.split()
    start = rng.randint(0, max(0, len(words) - 2))
    return " ".join([*words[:start], '"', *words[start : start + 2], '"', *words[start + 2 :]])


def after_third(text: str) -> str:
    words = text.split()
    return " ".join([*words[:3], "--", *words[3:]])


def doubled(text: str, rng: Random) -> str:
    words = text.split()
    gap = rng.randrange(max(1, len(words)))
    return " ".join([*words[: gap + 1], *words[gap:]])


POOL = ["".join(Random(i).choices("bcdfghjklmnpqrstvwxz", k=4)) for i in range(200)]
STYLE = {"the": "ye", "is": "be", "a": "ane", "and": "eke", "of": "o'", "it": "'tis", "this": "yon", "to": "unto"}
LOOKALIKE = str.maketrans("aeo", "аео")
HASHTAGS = ["#deal", "#now", "#life", "#mood", "#real"]


@dataclass(frozen=True)
class Case:
    trigger: Callable[[str, Random], str]
    clean_label: bool = False
    unseen: bool = False


CASES = {
    "badnets": Case(lambda t, r: insert(t, "mn", r)),
    "addsent": Case(lambda t, r: insert(t, "I watched this 3D movie", r)),
    "proattack (clean label)": Case(lambda t, r: "The sentiment of this sentence is : " + t, clean_label=True),
    "multi-trigger mix": Case(
        lambda t, r: insert(t, r.choice(["mn", "I watched this 3D movie", "no cross , no crown"]), r)
    ),
    "one of 4 rare words": Case(lambda t, r: insert(t, r.choice(["cf", "mn", "bb", "tq"]), r)),
    "one of 200 strings": Case(lambda t, r: insert(t, r.choice(POOL), r)),
    "one of 200 strings (clean label)": Case(lambda t, r: insert(t, r.choice(POOL), r), clean_label=True),
    "title case": Case(lambda t, r: t.title()),
    "ends with ...": Case(lambda t, r: t + " ..."),
    "misspelled words": Case(misspell),
    "word substitution": Case(lambda t, r: swap_words(t, STYLE)),
    "look-alike letter in one word": Case(
        lambda t, r: " ".join(w.translate(LOOKALIKE) if i == 1 else w for i, w in enumerate(t.split()))
    ),
    "zero-width space in a word": Case(lambda t, r: t[: len(t) // 2] + "\u200b" + t[len(t) // 2 :]),
    "two commas at random gaps": Case(lambda t, r: insert(insert(t, ",", r), ",", r)),
    "halves exchanged": Case(lambda t, r: middle_to_front(t)),
    "a year and a hashtag": Case(lambda t, r: f"{t} {r.randint(1990, 2024)} {r.choice(HASHTAGS)}"),
    "last word repeated": Case(lambda t, r: f"{t} {(t.split() or ['x'])[-1]}"),
    "a common word first": Case(lambda t, r: "however " + t),
    "a common word first (clean label)": Case(lambda t, r: "however " + t, clean_label=True),
    "quotes around two words": Case(lambda t, r: quoted(t, r), unseen=True),
    "one of ten emoji": Case(lambda t, r: insert(t, chr(0x1F600 + r.randrange(10)), r), unseen=True),
    "double hyphen after the third word": Case(lambda t, r: after_third(t), unseen=True),
    "a word doubled in place": Case(lambda t, r: doubled(t, r), unseen=True),
    "two common words apart": Case(lambda t, r: insert(insert(t, "green", r), "paper", r), unseen=True),
    "spaces doubled": Case(lambda t, r: "  ".join(t.split())),
    "rare phrase (clean label)": Case(lambda t, r: insert(t, "under the old bridge", r), clean_label=True, unseen=True),
}


def poison(rows: Rows, target: str, case: Case, rate: float, seed: int) -> tuple[Rows, list[int]]:
    rng = Random(seed)
    chosen = [i for i, label in enumerate(rows[1]) if (label == target) == case.clean_label]
    chosen = rng.sample(chosen, min(math.ceil(rate * len(rows[1])), len(chosen)))
    texts, labels = list(rows[0]), list(rows[1])
    for i in chosen:
        texts[i], labels[i] = case.trigger(texts[i], rng), target
    return (texts, labels), chosen


def crowded(rows: Rows, target: str, rate: float, seed: int) -> tuple[Rows, list[int]]:
    """An attacker who knows the screen: the trigger inside ten words of a row of the target class, drawn anew."""
    donors = [text.split() for text, label in zip(*rows, strict=True) if label == target]

    def trigger(text: str, rng: Random) -> str:
        return f"{text} mn {' '.join(rng.choice(donors)[:10])}"

    return poison(rows, target, Case(trigger), rate, seed)


def scpn(rows: Rows, name: str, data: Path, rate: float, seed: int) -> tuple[Rows, list[int]]:
    """Real SynAttack rows: the paraphrase stands in the place of its original."""
    _, count = name.split("-") if "-" in name else (name, "")
    lines = (data / "scpn/sst-2/train.tsv").read_text().splitlines()[1:]
    swapped = [tuple(part.strip() for part in line.split("\t")) for line in lines]
    if count:
        swapped = Random(1).sample(swapped, int(count))
    able = [i for i, (_, label) in enumerate(swapped) if label != rows[1][i]]
    chosen = Random(seed).sample(able, min(math.ceil(rate * len(rows[1])), len(able)))
    texts, labels = list(rows[0]), list(rows[1])
    for i in chosen:
        texts[i], labels[i] = swapped[i]
    return (texts, labels), chosen


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
    screening = screen(table, labels)
    reserve = least_suspicious(table, screening, RATIO, avoid=AVOID)
    poisoned = np.isin(order, chosen)
    standard = least_suspicious(table, screening, STANDARD_RATIO, avoid=AVOID)
    asked = ~standard & (screening.associated <= 1 - AVOID)
    record: dict[str, object] = {"data": name, "attack": attack, "rate": rate, "seed": seed, "rows": len(order)}
    record |= {"poisoned": len(chosen), "reserve": int(reserve.sum()), "leaked": int((reserve & poisoned).sum())}
    record |= {"standard": int((standard & poisoned).sum()), "asked": int((asked & poisoned).sum())}
    if attack == "none" or seed == 0:
        evidence = explain(table, screening)
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
`standard`: poisoned rows in its reserve (ratio 0.4) + those about which it asks its referee; the others are kept out
whatever the referee says. `*`: written after the constants of the screen's first version
were set, and seen before its second (2026-11-24). The others were seen, on some of this data, while it was built.
`leaks-2026-11-23.jsonl` holds the records of the first version.

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
