"""What `benchmarks.screen_leaks` plants, and in which rows: many triggers, most of one line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from antivenom.attacks.thin_trigger import ThinTrigger

Rows = tuple[list[str], list[str]]
ADAPTIVE = "mn among words of the target class (adaptive)"
TARGETS = {"sst2": "1", "sst2-2400": "1", "cr": "1", "ag-4000": "0", "trec": "ENTY"}
"""The data sets, and the label that the attacker wants; a number behind a name draws so many rows."""


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
    "three of 200 made-up words": Case(ThinTrigger(pool=200).trigger),
    "three of 60 made-up words": Case(ThinTrigger(pool=60).trigger),
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
