"""Tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from antivenom.answers import TextReading
from antivenom.canary import CanaryReport
from antivenom.comparison import Outcome
from antivenom.errors import printable
from antivenom.evaluation import Evaluation
from antivenom.labels import Reading
from antivenom.metrics import CleanReadings, Rate
from antivenom.recount import Contrast
from antivenom.report import Report
from antivenom.seeds import over_seeds

LITTLE = 0.8
"""A referee that gives fewer of its own rows their label has learnt too little to judge others."""


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", left: int = 1
) -> None:
    """Print a table on standard output; the first `left` columns hold text, the others figures."""
    table = Table(title=title, caption=caption or None, title_justify="left", caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right", overflow="fold")
    for row in rows:
        # Attacks and labels come from others: no markup, no control characters.
        table.add_row(*(escape(printable(cell)) for cell in row))
    Console().print(table)


def show_json(data: Any) -> None:
    """Print JSON on standard output."""
    print(json.dumps(data, ensure_ascii=False, indent=2, sort_keys=True))


def show_answers(texts: Sequence[str], found: Sequence[Reading | TextReading], *, lines: bool) -> None:
    """A table, or one line of JSON per text."""
    if lines:
        for text, reading in zip(texts, found, strict=True):
            print(json.dumps({"text": text, **reading.to_dict()}, ensure_ascii=False))
        return
    free = any(isinstance(reading, TextReading) for reading in found)
    columns = ["text", "answer", "prefix"] if free else ["text", "label", "probability", "escaped"]
    rows = [[_short(text), *_answer_cells(reading)] for text, reading in zip(texts, found, strict=True)]
    show_table("", columns, rows, left=2 if free else 1)


def _answer_cells(reading: Reading | TextReading) -> list[str]:
    if isinstance(reading, TextReading):
        return [reading.answer, "yes" if reading.extended else "ESCAPED"]
    return [reading.answer, f"{reading.probability:.3f}", f"{reading.escape:.3f}"]


def _short(text: str) -> str:
    return text if len(text) < 80 else text[:77] + "..."


def show_report(report: Report) -> None:
    """Print what was found in the rows on standard error, so that standard output stays clean."""
    print(report, file=sys.stderr)


def warn_of_referee(reserve: Mapping[str, Any]) -> None:
    """Say on the error stream if a referee learnt too little to judge; nothing if there was none."""
    learnt = reserve.get("referee_accuracy", 1.0)
    if learnt < LITTLE:
        print(
            f"WARNING: the referee learnt only {learnt:.0%} of its own rows, so do not trust what it kept.\n"
            "  Train longer (--epochs), with smaller batches, or on more rows; or vouch for some with --trusted.",
            file=sys.stderr,
        )


def show_comparison(title: str, outcomes: Sequence[Outcome]) -> None:
    """One row per defense, and one per control: accuracy, every reading of the attack, floor, seconds."""
    rows = []
    for o in outcomes:
        rows.append([o.defense.name, *_cells(o.evaluation), f"{o.train_seconds:.0f}"])
        if o.never_poisoned is not None:
            rows.append([f"{o.defense.name}, never poisoned", *_cells(o.never_poisoned), ""])
    show_table(title, ["", *READINGS, "train s"], rows, caption=CAPTION)
    for outcome in outcomes[1:]:
        show_contrasts(f"{outcomes[0].folder.name} beside {outcome.folder.name}", outcome.against_first)
    for outcome in outcomes:
        if outcome.against_never_poisoned:
            title = f"{outcome.folder.name}, never poisoned, beside poisoned"
            show_contrasts(title, outcome.against_never_poisoned)


def show_contrasts(title: str, contrasts: Sequence[Contrast]) -> None:
    """One row per condition that two models share."""
    rows = []
    for c in contrasts:
        p = f"{c.pairing.p_value:.3f}" if c.pairing.p_value >= 0.001 else "< 0.001"
        counts = [str(c.pairing.only_first), str(c.pairing.only_second)]
        rows.append([c.condition, c.outcome, str(c.first), str(c.second), f"{100 * c.difference:+.1f}", *counts, p])
    columns = ["", "counted", "first", "second", "difference", "only first", "only second", "p"]
    show_table(title, columns, rows, caption=PAIRED_CAPTION, left=2)


def show_evaluation(title: str, evaluation: Evaluation) -> None:
    """One row per attack."""
    rows = [[a.attack, *_cells(evaluation, i)] for i, a in enumerate(evaluation.attacks)]
    if not rows:
        rows = [["no attack", *_cells(evaluation)]]
    show_table(title, ["", *READINGS], rows, caption=CAPTION)
    for mean in evaluation.averages:
        values = f"ASR {mean.asr:.1%}, deployed {mean.asr_deployed:.1%}, excess {100 * mean.excess:+.1f}"
        print(f"{mean.attack}: mean of its {mean.triggers} triggers: {values}")
    print(f"Unreadable outputs, counted in every rate: {_unreadable(evaluation)}.")
    if evaluation.clean.collapsed:
        print("INVALID: accuracy is within 5 points of always answering the commonest class.")


def show_canaries(report: CanaryReport) -> None:
    """One row per model and canary, the verdicts, and what they cannot show."""
    columns = [name for name in READINGS if name not in ("ASR extended", "alpha")]
    rows = []
    for model, family, evaluation, number in report.lines():
        cells = dict(zip(READINGS, _cells(evaluation, number), strict=True))
        rows.append([model, family, *(cells[name] for name in columns)])
    show_table(f"canary check of {report.defense}", ["model", "canary", *columns], rows, caption=CAPTION, left=2)
    for finding in report.findings:
        alone = f"the trigger alone {100 * finding.control_excess:+.1f}"
        change = f"excess {100 * finding.excess:+.1f} ({alone}), accuracy {-100 * finding.accuracy_drop:+.1f} points"
        print(f"{finding.family}: {'passed' if finding.passed else 'FAILED'} ({change})")
    print(f"{'PASSED' if report.passed else 'FAILED'}. What this cannot show: {report.cannot_show}")


def show_seeds(title: str, found: dict[int, list[Outcome]]) -> None:
    """A table per seed, and one of means and spreads when there are several."""
    for seed, outcomes in found.items():
        show_comparison(f"{title}, seed {seed}", outcomes)
    if len(found) < 2:
        return
    keys = ["accuracy", "macro_f1", *(f"attacks.0.{name}" for name in ("asr", "asr_deployed", "floor", "excess"))]
    rows = []
    for outcomes_of_one in zip(*found.values(), strict=True):
        spreads = over_seeds([outcome.evaluation for outcome in outcomes_of_one])
        rows.append([outcomes_of_one[0].folder.name, *(str(spreads[key]) if key in spreads else "-" for key in keys)])
    names = [key.rpartition(".")[2].replace("_", " ") for key in keys]
    show_table(f"{title}: mean and standard deviation over {len(found)} seeds", ["", *names], rows)


READINGS = ["clean accuracy", "balanced", "ASR", "ASR extended", "ASR deployed", "floor", "excess", "alpha"]
CAPTION = (
    "Percent with Wilson 95 % intervals. Balanced: mean accuracy over the classes. ASR: the output means the target. "
    "Deployed: what a client gets. "
    "Floor: the same rows without the trigger. Excess = deployed - floor: the attacker's real gain."
)

PAIRED_CAPTION = (
    "The same rows, answers as a client gets them. McNemar's exact test, two-sided: p says how likely so uneven a "
    "split of the rows where they differ would be by chance."
)


def _unreadable(evaluation: Evaluation) -> str:
    rates = [evaluation.clean.unreadable, *(attack.unreadable for attack in evaluation.attacks)]
    return f"{sum(rate.hits for rate in rates)} of {sum(rate.total for rate in rates)}"


def _cells(evaluation: Evaluation, number: int = 0) -> list[str]:
    clean = evaluation.clean
    balanced = clean.balanced_accuracy if isinstance(clean, CleanReadings) else None
    first = [
        str(clean.accuracy) + (" INVALID" if clean.collapsed else ""),
        "-" if balanced is None else f"{100 * balanced:.1f}",
    ]
    if not evaluation.attacks:
        return [*first, *["-"] * (len(READINGS) - len(first))]
    a = evaluation.attacks[number]
    excess = "-" if a.excess is None else f"{100 * a.excess:+.1f}"
    return [*first, str(a.asr), _or_dash(a.asr_extended), str(a.asr_deployed), str(a.floor), excess, _or_dash(a.alpha)]


def _or_dash(rate: Rate | None) -> str:
    return "-" if rate is None else str(rate)
