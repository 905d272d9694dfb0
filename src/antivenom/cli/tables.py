"""Tables for people."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from antivenom.core.console import printable, say, say_json, say_table, warn
from antivenom.core.report import Report
from antivenom.evaluation.canary_report import CanaryReport
from antivenom.evaluation.comparison import Outcome
from antivenom.evaluation.conditions import ON_TARGET
from antivenom.evaluation.metrics import CleanReadings
from antivenom.evaluation.rates import Rate
from antivenom.evaluation.record import Evaluation
from antivenom.evaluation.recount import Contrast
from antivenom.evaluation.seeds import over_seeds
from antivenom.guards.answers import TextReading
from antivenom.guards.labels import Reading

BESIDE = 3
"""Columns of figures that fit into 80 columns of a terminal."""


def show_answers(texts: Sequence[str], found: Sequence[Reading | TextReading], *, lines: bool) -> None:
    """A table, or one line of JSON per text."""
    if lines:
        for text, reading in zip(texts, found, strict=True):
            say_json({"text": text, **reading.to_dict()}, indent=None)
        return
    free = any(isinstance(reading, TextReading) for reading in found)
    columns = ["text", "answer", "prefix"] if free else ["text", "label", "probability", "escaped"]
    rows = [[shorten(text), *_answer_cells(reading)] for text, reading in zip(texts, found, strict=True)]
    say_table("", columns, rows, left=2 if free else 1)
    if cut := sum(reading.cut for reading in found):
        say(f"WARNING: {cut} of {len(found)} texts are longer than the model's --max-tokens; their ends were not read.")


def _answer_cells(reading: Reading | TextReading) -> list[str]:
    if isinstance(reading, TextReading):
        return [reading.answer, "yes" if reading.extended else "ESCAPED"]
    return [reading.answer, f"{reading.probability:.3f}", f"{reading.escape:.3f}"]


def shorten(text: str) -> str:
    """The beginning of a text that is too long for a table."""
    return text if len(text) < 80 else text[:77] + "..."


def show_report(report: Report) -> None:
    """Print what was found in the rows on standard error, so that standard output stays clean."""
    warn(*str(report).split("\n"))


def show_beside(title: str, lines: Sequence[str], columns: Sequence[tuple[str, Sequence[str]]], caption: str) -> None:
    """Print a table of figures with a column for each model or attack and a line for each reading.

    So it fits into 80 columns of a terminal; more than `BESIDE` columns become several tables.
    """
    # Not as the table's own title, which would be folded to the width of the table.
    say(title)
    for start in range(0, len(columns), BESIDE):
        some = columns[start : start + BESIDE]
        rows = [[line, *(cells[number] for _, cells in some)] for number, line in enumerate(lines)]
        say_table("", ["", *(head for head, _ in some)], rows)
    if caption:
        say(*textwrap.wrap(caption, shutil.get_terminal_size().columns))


def show_comparison(title: str, outcomes: Sequence[Outcome]) -> None:
    """A column per defense, and one per control: accuracy, every reading of the attack, floor, seconds."""
    columns = []
    for o in outcomes:
        columns.append((o.folder.name, [*_cells(o.evaluation), f"{o.train_seconds:.0f}"]))
        if o.never_poisoned is not None:
            columns.append((f"{o.folder.name}, never poisoned", [*_cells(o.never_poisoned), "-"]))
    show_beside(title, [*READINGS, "seconds of training"], columns, CAPTION)
    for outcome in outcomes:
        show_cuts(outcome.evaluation)
        show_left_out(outcome)
    for outcome in outcomes[1:]:
        show_contrasts(f"{outcomes[0].folder.name} (first) beside {outcome.folder.name}", outcome.against_first)
    for outcome in outcomes:
        if outcome.against_never_poisoned:
            title = f"{outcome.folder.name}, never poisoned (first), beside poisoned"
            show_contrasts(title, outcome.against_never_poisoned)


def show_left_out(outcome: Outcome) -> None:
    """Say what was left out beside the truth, and where attack success says nothing."""
    name = outcome.folder.name
    if outcome.left_out.rows:
        say(f"{name}: {outcome.left_out.rows} rows left out; {outcome.left_out}.")
    for attack in outcome.evaluation.attacks:
        if attack.attack.startswith(ON_TARGET):
            say(f"{name}: attack success is 0 by construction. {attack.attack}: accuracy {attack.accuracy}.")


def show_contrasts(title: str, contrasts: Sequence[Contrast]) -> None:
    """A column per condition that two models share."""
    heads = _short_names([c.condition for c in contrasts])
    columns = []
    for head, c in zip(heads, contrasts, strict=True):
        p = f"{c.pairing.p_value:.3f}" if c.pairing.p_value >= 0.001 else "< 0.001"
        counts = [str(c.pairing.only_first), str(c.pairing.only_second)]
        columns.append((head, [c.outcome, str(c.first), str(c.second), f"{100 * c.difference:+.1f}", *counts, p]))
    lines = ["counted", "first", "second", "difference", "only the first", "only the second", "p"]
    show_beside(title, lines, columns, PAIRED_CAPTION)


def show_evaluation(title: str, evaluation: Evaluation) -> None:
    """A column per attack."""
    names = [attack.attack for attack in evaluation.attacks] or ["no attack"]
    heads = _short_names(names)
    columns = [(head, _cells(evaluation, number)) for number, head in enumerate(heads)]
    show_beside(title, READINGS, columns, CAPTION)
    options = evaluation.provenance.get("attacks", {})
    for head, attack in zip(heads, evaluation.attacks, strict=False):
        say(printable(f"{head}: target {attack.target!r}{_options_of(attack.attack, options)}"))
    show_cuts(evaluation)
    for mean in evaluation.averages:
        values = f"ASR {mean.asr:.1%}, deployed {mean.asr_deployed:.1%}, excess {100 * mean.excess:+.1f}"
        say(f"{mean.attack}: mean of its {mean.triggers} triggers: {values}")
    say(f"Unreadable outputs, counted in every rate: {_unreadable(evaluation)}.")
    if evaluation.clean.collapsed:
        say(f"INVALID: {_why_invalid(evaluation)}.")


def _options_of(attack: str, options: Mapping[str, Any]) -> str:
    """Every option of an attack but its target, so that its trigger is among them; else as it was written."""
    if attack not in options:
        return f" ({attack})"
    shown = {key: value for key, value in options[attack].items() if key not in NO_TRIGGER and value is not None}
    return "".join(f", {key} = {json.dumps(value, ensure_ascii=False)}" for key, value in shown.items())


def show_cuts(evaluation: Evaluation) -> None:
    """Say how many texts were too long to be read whole, and what attacks do where their trigger was read."""
    cut, limit = evaluation.clean.cut, evaluation.provenance.get("max_tokens", "")
    if cut is not None and cut.hits:
        say(f"{cut.hits} of {cut.total} clean rows were cut to --max-tokens {limit}: their ends were not read.")
    for attack in evaluation.attacks:
        read = attack.trigger_read
        if read is not None and read.lost:
            where = f"{read.asr_deployed} (floor {read.floor}) over the {read.whole} rows where it was read whole"
            say(
                f"WARNING: {attack.attack}: {read.lost} of {attack.asr.total} attacked rows lost the trigger, or a "
                f"part of it, to --max-tokens {limit}. ASR deployed is {where if read.whole else 'not known'}."
            )


def _why_invalid(evaluation: Evaluation) -> str:
    if isinstance(evaluation.clean, CleanReadings):
        return "balanced accuracy is next to that of always giving the same label"
    return "the model says the same, whatever it is asked"


def show_canaries(report: CanaryReport) -> None:
    """A column per model and canary, the verdicts, and what they cannot show."""
    columns = [(f"{model}: {family}", _cells(evaluation, n)) for model, family, evaluation, n in report.lines()]
    show_beside(f"canary check of {report.defense}", READINGS, columns, CAPTION)
    for _, _, evaluation, _ in report.lines():
        show_cuts(evaluation)
    for result in report.results:
        say(f"{result.family}: {result.verdict} ({result.reason})")
    if report.control.clean.collapsed:
        say("INVALID: the control, which nobody poisoned, learned next to nothing.")
    say(f"{report.verdict.upper()}. What this cannot show: {report.cannot_show}")


def show_seeds(title: str, found: Mapping[int, Sequence[Outcome]]) -> None:
    """A table per seed, and one of means and spreads when there are several."""
    for seed, outcomes in found.items():
        show_comparison(f"{title}, seed {seed}", outcomes)
    if len(found) < 2:
        return
    keys = ["accuracy", "macro_f1", *(f"attacks.0.{name}" for name in ("asr", "asr_deployed", "floor", "excess"))]
    columns = []
    for outcomes_of_one in zip(*found.values(), strict=True):
        spreads = over_seeds([outcome.evaluation for outcome in outcomes_of_one])
        cells = [str(spreads[key]) if key in spreads else "-" for key in keys]
        columns.append((outcomes_of_one[0].folder.name, cells))
    lines = ["clean accuracy", "macro F1", "ASR", "ASR deployed", "floor", "excess"]
    show_beside(f"{title}: mean and standard deviation over {len(found)} seeds", lines, columns, "")


NO_TRIGGER = ("name", "target", "rate", "mode", "pick", "clean_label")
"""Options of attacks that say which rows are poisoned, not how."""
READINGS = [
    "clean accuracy",
    "balanced accuracy",
    "robust accuracy",
    "ASR",
    "ASR extended",
    "ASR deployed",
    "floor",
    "excess",
    "alpha",
]
CAPTION = (
    "Percent with Wilson 95 % intervals. Balanced: mean over the classes. Robust: right answers to "
    "attacked rows. ASR: the output means the target. "
    "Deployed: what a client gets. "
    "Floor: the same rows without the trigger. Excess = deployed - floor: the attacker's real gain. Alpha: outputs in "
    "the extended label space."
)

PAIRED_CAPTION = (
    "The same rows, answers as a client gets them. McNemar's exact test, two-sided: p says how likely so uneven a "
    "split of the rows where they differ would be by chance."
)


def _short_names(names: Sequence[str]) -> list[str]:
    """Each attack by its name alone where that tells it apart."""
    short = [printable(name.partition(":")[0]) for name in names]
    return [one if short.count(one) == 1 else name for one, name in zip(short, names, strict=True)]


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
    success = [str(a.asr), _or_dash(a.asr_extended), str(a.asr_deployed), str(a.floor), excess, _or_dash(a.alpha)]
    return [*first, str(a.accuracy), *success]


def _or_dash(rate: Rate | None) -> str:
    return "-" if rate is None else str(rate)
