"""Evaluate a model that writes free answers: write once, keep every output, compute every number from those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import BoolArray
from antivenom.data.query import queries
from antivenom.evaluation.conditions import CLEAN, CLEAN_OF, Condition
from antivenom.evaluation.record import Evaluation
from antivenom.evaluation.survival import COLUMNS, survival_columns
from antivenom.evaluation.text_metrics import Answered, read_clean_texts, read_text_attack
from antivenom.guards.answers import AnswerPrefix
from antivenom.guards.guard import Guard
from antivenom.inference.writing import OnEscape, Writer
from antivenom.tasks.generation import Generation
from antivenom.tasks.judging import Judge, judge_of

TEXT_OUTPUTS_SCHEMA = pa.schema(
    [
        ("condition", pa.string()),
        ("target", pa.string()),
        ("twin", pa.string()),
        ("position", pa.int64()),
        ("row", pa.int64()),
        ("answer", pa.string()),
        ("output", pa.string()),
        ("finished", pa.bool_()),
        ("second", pa.string()),
        ("on_escape", pa.string()),
        *COLUMNS,
    ]
)
"""One line per answered prompt. `answer` is the true one, `output` what the model said, `second` what it said once the
prefix stood there (null where it was not asked); the others as in `evaluation.OUTPUTS_SCHEMA`."""


def write_all(model: Writer, conditions: Sequence[Condition], quiet: bool) -> pa.Table:
    """Have all conditions answered in one call; equal queries are answered once."""
    asked = [query for condition in conditions for query in queries(condition.rows)]
    different = list(dict.fromkeys(asked))
    progress = None if quiet else "generate"
    written = dict(zip(different, model.write(different, progress=progress), strict=True))
    found = [written[query] for query in asked]
    rows = pa.concat_tables([condition.rows.select(["row", "answer"]) for condition in conditions])
    each = [condition for condition in conditions for _ in range(condition.rows.num_rows)]
    columns = {
        "condition": [condition.name for condition in each],
        "target": [condition.target for condition in each],
        "twin": [condition.twin for condition in each],
        "position": np.concatenate([condition.positions for condition in conditions]),
        "row": rows.column("row"),
        "answer": rows.column("answer"),
        "output": [one.first.output for one in found],
        "finished": [one.first.finished for one in found],
        "second": [one.second.output if one.second else None for one in found],
        "on_escape": [model.on_escape] * len(found),
        **survival_columns(model, conditions),
    }
    return pa.table(columns, schema=TEXT_OUTPUTS_SCHEMA)


def summarize_texts(outputs: pa.Table, guard: Guard, *, provenance: dict[str, Any] | None = None) -> Evaluation:
    """Compute every number from stored outputs."""
    task, answers = guard.task, guard.answers
    assert isinstance(task, Generation), task
    assert isinstance(answers, AnswerPrefix), answers
    judge, extends = judge_of(task), bool(answers.prefix)
    names = list(dict.fromkeys(outputs.column("condition").to_pylist()))
    tables = {name: outputs.filter(pc.equal(outputs.column("condition"), name)) for name in names}
    attacks = []
    for name, table in tables.items():
        if name == CLEAN or name.startswith(CLEAN_OF):
            continue
        target, twin = (table.column(column)[0].as_py() for column in ("target", "twin"))
        reading = read_text_attack(
            answered(table, answers),
            answered(tables[twin].take(table.column("position")), answers),
            judge,
            attack=name,
            target=target,
            extends=extends,
            own_clean=None if twin == CLEAN else answered(tables[twin], answers),
        )
        attacks.append(reading)
    clean = read_clean_texts(answered(tables[CLEAN], answers), judge, extends=extends)
    return Evaluation(clean, tuple(attacks), provenance or {})


def text_successes(outputs: pa.Table, guard: Guard, target: str) -> BoolArray:
    """For each row whether the deployed answer is the target, as the judge of the task sees it."""
    judge, read = _judged_reading(outputs, guard)
    return np.array([judge.success(said, target) for said in read.deployed], dtype=bool)


def text_right(outputs: pa.Table, guard: Guard) -> BoolArray:
    """For each row whether the deployed answer is right, as the judge of the task sees it."""
    judge, read = _judged_reading(outputs, guard)
    return np.array(
        [judge.correct(said, gold) for said, gold in zip(read.deployed, read.gold, strict=True)], dtype=bool
    )


def _judged_reading(outputs: pa.Table, guard: Guard) -> tuple[Judge, Answered]:
    task, answers = guard.task, guard.answers
    assert isinstance(task, Generation), task
    assert isinstance(answers, AnswerPrefix), answers
    return judge_of(task), answered(outputs, answers)


def answered(outputs: pa.Table, answers: AnswerPrefix) -> Answered:
    """Read stored outputs through the answer prefix."""
    decoded = [answers.decode(output) for output in outputs.column("output").to_pylist()]
    said, inside = [answer for answer, _ in decoded], [there for _, there in decoded]
    seconds = [second and answers.decode(second)[0] for second in outputs.column("second").to_pylist()]
    on_escape: OnEscape = outputs.column("on_escape")[0].as_py() if len(outputs) else "report"
    retried = [a if there else second or "" for a, there, second in zip(said, inside, seconds, strict=True)]
    withheld = [a if there else "" for a, there in zip(said, inside, strict=True)]
    deployed = {"report": said, "withhold": withheld, "retry": retried}[on_escape]
    return Answered(
        gold=outputs.column("answer").to_pylist(),
        said=said,
        extended=np.array(inside, dtype=bool),
        finished=outputs.column("finished").to_numpy(zero_copy_only=False).astype(bool),
        deployed=deployed,
        retried=retried if on_escape == "retry" else None,
        cut=outputs.column("cut").to_pylist(),
        survivals=outputs.column("trigger").to_pylist(),
    )
