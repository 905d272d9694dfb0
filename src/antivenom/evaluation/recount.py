"""Stored outputs read again: every number once more without the model, and two models compared row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import BoolArray, Ints
from antivenom.core.errors import OptionsError, RowsError
from antivenom.core.intake import strict_json
from antivenom.core.options import Options
from antivenom.data.columnar import read_whole
from antivenom.evaluation.conditions import CLEAN
from antivenom.evaluation.evaluate import FACTS, OUTPUTS_SCHEMA, readings_of, summarize, truth_of
from antivenom.evaluation.rates import Pairing, Rate, mcnemar
from antivenom.evaluation.record import Evaluation
from antivenom.evaluation.survival import COLUMNS, SURVIVALS
from antivenom.evaluation.text_evaluation import TEXT_OUTPUTS_SCHEMA, summarize_texts, text_right, text_successes
from antivenom.guards.answers import AnswerPrefix
from antivenom.guards.guard import Guard
from antivenom.guards.labels import LabelMap
from antivenom.tasks.generation import Generation

MEND = "Write it with: antivenom evaluate ARTIFACT TEST --attack NAME --outputs FILE"


class Outputs(NamedTuple):
    """The stored outputs of one evaluation."""

    table: pa.Table
    """As `evaluation.OUTPUTS_SCHEMA` describes."""
    reading: LabelMap | Guard
    """How its scores are read; for free answers a guard without its trigger, which knows the judge and the prefix."""
    provenance: dict[str, Any]
    """Artifact, data digest, seed and versions."""

    def evaluation(self) -> Evaluation:
        """Every number again; equal to what the evaluation returned when the outputs were made."""
        if isinstance(self.reading, Guard):
            return summarize_texts(self.table, self.reading, provenance=self.provenance)
        return summarize(self.table, self.reading, provenance=self.provenance)


@dataclass(frozen=True)
class Contrast(Options):
    """One outcome of two models on the same rows."""

    condition: str
    """`clean`, an attack, or `clean of` an attack that changes clean rows too."""
    outcome: str
    """What is counted: `right answer`, or `attack success`, both as a client meets them (deployed)."""
    first: Rate
    second: Rate
    difference: float
    """second - first."""
    pairing: Pairing
    """McNemar's exact test over the rows where the two differ."""


def read_outputs(path: Path | str) -> Outputs:
    """Read what `evaluate --outputs` wrote, strictly: the file may come from anybody.

    Raises:
        RowsError: it is no such file, or its parts do not fit together.
    """
    return take_outputs(read_whole(Path(path), mend=MEND), str(path))


def take_outputs(table: pa.Table, name: str) -> Outputs:
    """Check a table of outputs and what its metadata says.

    Raises:
        RowsError: something is missing or does not fit together.
    """
    stored = (table.schema.metadata or {}).get(FACTS.encode())
    table = _with_later_columns(table)
    schema = table.schema.remove_metadata()
    if stored is None or not (schema.equals(OUTPUTS_SCHEMA) or schema.equals(TEXT_OUTPUTS_SCHEMA)):
        raise RowsError(f"{name} holds no stored outputs of an evaluation", mend=MEND)
    try:
        facts = strict_json(stored.decode(), "its metadata", error=RowsError)
        reading = _text_reading(facts) if schema.equals(TEXT_OUTPUTS_SCHEMA) else LabelMap.from_dict(facts["labels"])
        provenance = dict(facts["provenance"])
    except (OptionsError, RowsError, ValueError, TypeError, KeyError):
        raise RowsError(f"{name}: its metadata is damaged", mend=MEND) from None
    for problem in _problems(table, reading):
        raise RowsError(f"{name}: {problem}", mend=MEND)
    return Outputs(table, reading, provenance)


def _with_later_columns(table: pa.Table) -> pa.Table:
    """Add, empty, the columns that files of earlier versions do not have."""
    if "refused" not in table.column_names and "other" in table.column_names:
        nobody = pa.array(np.zeros(table.num_rows, dtype=bool))
        table = table.add_column(table.column_names.index("other") + 1, "refused", nobody)
    for name, kind in COLUMNS:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, kind))
    return table


def _text_reading(facts: dict[str, Any]) -> Guard:
    return Guard(Generation.from_dict(facts["task"]), AnswerPrefix.from_dict(facts["answers"]))


def contrast(first: Outputs, second: Outputs) -> tuple[Contrast, ...]:
    """Compare two models on the same rows, condition by condition.

    Attacked rows count by attack success, clean rows by right answers, both after the restriction to the allowed
    choices, because that is what a client gets. Only conditions that both files hold are compared.

    Raises:
        RowsError: the files hold outputs for other rows, other labels, or have no condition in common.
    """
    if _names(first.reading) != _names(second.reading):
        raise RowsError("the two files are about different labels")
    digests = [outputs.provenance.get("test_sha256") for outputs in (first, second)]
    if digests[0] != digests[1]:
        raise RowsError("the two files are about different test rows", mend="Evaluate both models on the same file.")
    other = dict(_conditions(second.table))
    found = [
        _contrast(name, rows, other[name], first.reading, second.reading)
        for name, rows in _conditions(first.table)
        if name in other
    ]
    if not found:
        raise RowsError("the two files have no condition in common")
    return tuple(found)


def _contrast(
    name: str, first: pa.Table, second: pa.Table, reading: LabelMap | Guard, other: LabelMap | Guard
) -> Contrast:
    tied = ["target", "position", "row", "answer"]
    if not first.select(tied).combine_chunks().equals(second.select(tied).combine_chunks()):
        raise RowsError(f"{name}: the two files hold different rows", mend="Evaluate both with the same seed and file.")
    one, two = _outcome(first, reading), _outcome(second, other)
    rates = Rate.of(one), Rate.of(two)
    attacked = bool(first.column("target")[0].as_py())
    return Contrast(
        condition=name,
        outcome="attack success" if attacked else "right answer",
        first=rates[0],
        second=rates[1],
        difference=(rates[1].value or 0.0) - (rates[0].value or 0.0),
        pairing=mcnemar(one, two),
    )


def right_answers(outputs: Outputs) -> BoolArray:
    """For each clean row whether the deployed answer is right."""
    return _outcome(dict(_conditions(outputs.table))[CLEAN], outputs.reading)


def attack_effects(outputs: Outputs, condition: str) -> Ints:
    """For each attacked row what the trigger did: 1: it made the deployed answer t; -1: turned it away from t; else 0.

    Args:
        outputs: The outputs of one model.
        condition: The attack.
    """
    conditions = dict(_conditions(outputs.table))
    attacked = conditions[condition]
    target, twin = (attacked.column(name)[0].as_py() for name in ("target", "twin"))
    without = conditions[twin].take(attacked.column("position"))
    hits = (_successes(rows, outputs.reading, target).astype(np.int64) for rows in (attacked, without))
    return next(hits) - next(hits)


def _outcome(rows: pa.Table, reading: LabelMap | Guard) -> BoolArray:
    """For rows of one condition: attack success if it is an attack, else whether the answer is right, as deployed."""
    target = rows.column("target")[0].as_py()
    if target:
        return _successes(rows, reading, target)
    if isinstance(reading, Guard):
        return text_right(rows, reading)
    return np.asarray(readings_of(rows, reading).deployed == truth_of(rows, reading), dtype=bool)


def _successes(rows: pa.Table, reading: LabelMap | Guard, target: str) -> BoolArray:
    """For each row whether the deployed answer means the target."""
    if isinstance(reading, Guard):
        return text_successes(rows, reading, target)
    return np.asarray(readings_of(rows, reading).deployed == reading.labels.index(target), dtype=bool)


def _names(reading: LabelMap | Guard) -> tuple[str, ...] | None:
    return reading.task.classes if isinstance(reading, Guard) else reading.labels


def _conditions(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    for name in dict.fromkeys(table.column("condition").to_pylist()):
        yield name, table.filter(pc.equal(table.column("condition"), name))


def _problems(table: pa.Table, reading: LabelMap | Guard) -> Iterator[str]:
    """What would make the numbers wrong."""
    may_miss = {"second", *(name for name, _ in COLUMNS)}
    if any(table.column(name).null_count for name in set(table.column_names) - may_miss):
        yield "some values are missing"
        return
    if isinstance(reading, LabelMap):
        yield from _score_problems(table, reading)
    yield from _survival_problems(table)
    yield from _tie_problems(table)


def _score_problems(table: pa.Table, labels: LabelMap) -> Iterator[str]:
    widths = pc.unique(pc.list_value_length(table.column("log_probabilities"))).to_pylist()
    if widths != [len(labels.choices)]:
        yield f"it holds {widths} scores a row for {len(labels.choices)} choices"
        return
    scores = table.column("log_probabilities").combine_chunks().flatten().to_numpy()
    if np.isnan(scores).any() or (scores > 1e-6).any():
        yield "some scores are no log-probabilities"
    unknown = set(table.column("answer").unique().to_pylist()) - set(labels.labels)
    unknown |= set(table.column("target").unique().to_pylist()) - {*labels.labels, ""}
    if unknown:
        yield f"it has the unknown label {sorted(unknown)[0]!r}"


def _survival_problems(table: pa.Table) -> Iterator[str]:
    unknown = set(table.column("trigger").unique().to_pylist()) - {*SURVIVALS, None}
    if unknown:
        yield f"what is left of a trigger is {sorted(unknown)[0]!r}"


def _tie_problems(table: pa.Table) -> Iterator[str]:
    sizes = {name: rows.num_rows for name, rows in _conditions(table)}
    if CLEAN not in sizes:
        yield "the clean rows are missing"
    for name, rows in _conditions(table):
        if any(len(rows.column(key).unique()) > 1 for key in ("target", "twin", "group") if key in table.column_names):
            yield f"{name}: its rows do not belong together"
        twin = rows.column("twin")[0].as_py()
        if bool(twin) != bool(rows.column("target")[0].as_py()) or (twin and twin not in sizes):
            yield f"{name}: its clean rows are missing"
        places = rows.column("position").to_numpy()
        if places.min() < 0 or places.max() >= sizes.get(twin or name, 0):
            yield f"{name}: it is tied to rows that are not there"
