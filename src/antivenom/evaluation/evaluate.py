"""Evaluate a guarded model: score clean and attacked rows once, keep every output, compute every number from those."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.attacks import Attack
from antivenom.core.errors import RowsError
from antivenom.core.options import Options
from antivenom.data.digests import digest_of_table
from antivenom.data.query import Asked, queries
from antivenom.evaluation.conditions import CLEAN, CLEAN_OF, Condition, plan
from antivenom.evaluation.metrics import AttackReadings, average, read_attack, read_clean
from antivenom.evaluation.record import Evaluation
from antivenom.evaluation.survival import COLUMNS, survival_columns
from antivenom.evaluation.text_evaluation import summarize_texts, write_all
from antivenom.guards.guard import Guard
from antivenom.guards.labels import ChoiceScores, IntArray, LabelMap, Readings, read_scores
from antivenom.inference.writing import Writer
from antivenom.tasks.generation import Generation
from antivenom.tasks.judging import judge_of

FACTS = "antivenom"
"""Where the label map and the provenance stand in the metadata of stored outputs."""
OUTPUTS_SCHEMA = pa.schema(
    [
        ("condition", pa.string()),
        ("target", pa.string()),
        ("twin", pa.string()),
        ("group", pa.string()),
        ("position", pa.int64()),
        ("row", pa.int64()),
        ("answer", pa.string()),
        ("log_probabilities", pa.list_(pa.float64())),
        ("other", pa.bool_()),
        ("refused", pa.bool_()),
        *COLUMNS,
    ]
)
"""One line per scored prompt. `condition` is `clean`, an attack, or `clean of` an attack that changes clean rows too;
`target` is the attack's label t and `twin` the clean condition that it is compared with (both empty for clean rows);
`group` names the attack over whose triggers, each measured alone, a mean is taken (MTBA; empty for the others);
`position` is the place of the clean row among the test rows, which ties an attacked row to its clean twin; `cut` and
`trigger` are described by `survival.COLUMNS`."""


@runtime_checkable
class Guarded(Protocol):
    """What can be evaluated on labels: anything that has a guard and scores texts through it."""

    guard: Guard

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """Score texts or queries."""
        ...


def evaluate(
    model: Guarded | Writer,
    test: pa.Table,
    attacks: Sequence[Attack] = (),
    *,
    seed: int = 0,
    target_rows: bool = False,
    provenance: dict[str, Any] | None = None,
    quiet: bool = False,
) -> tuple[Evaluation, pa.Table]:
    """Measure clean accuracy and every reading of every attack.

    Args:
        model: A `GuardedModel` or a `GuardedWriter`, or anything like them.
        test: Clean test rows (`row`, `text`, `answer`).
        attacks: The attacks to try; their `rate` does not matter here.
        seed: Keys where triggers are put.
        target_rows: Put the triggers into rows of the target label too, as attacks of their own: a negative excess
            there says that a trigger turns answers away from t, which no other reading shows. For labels alone.
        provenance: What to record beside the numbers.
        quiet: Show no progress bar.

    Returns:
        The evaluation, and the outputs it was computed from; `summarize` computes it again from those.

    Raises:
        RowsError: there are no rows, a label is unknown, or an attack has no row of another class than its target.
    """
    task = model.guard.task
    _require_answers(test, task.classes)
    if isinstance(task, Generation):
        _ = judge_of(task)  # a judge that does not exist is said before an hour of generating
    conditions = plan(task, test, attacks, seed, target_rows=target_rows and task.classes is not None)
    facts = {
        "test_sha256": digest_of_table(test),
        "rows": test.num_rows,
        "seed": seed,
        "max_tokens": task.frame.max_tokens,
        "attacks": json.loads(json.dumps({str(attack): attack.public_dict() for attack in attacks})),
        **(provenance or {}),
    }
    if isinstance(model, Guarded):
        labels = model.guard.labels
        table = _score(model, conditions, quiet)
        return summarize(table, labels, provenance=facts), with_facts(table, facts, labels=labels)
    table = write_all(model, conditions, quiet)
    task, answers = model.guard.task, model.guard.answers
    return summarize_texts(table, model.guard, provenance=facts), with_facts(table, facts, task=task, answers=answers)


def summarize(outputs: pa.Table, labels: LabelMap, *, provenance: dict[str, Any] | None = None) -> Evaluation:
    """Compute every number from stored outputs, which `recount.read_outputs` reads from a file."""
    conditions = {c: outputs.filter(pc.equal(outputs.column("condition"), c)) for c in _conditions(outputs)}
    extends = len(labels.allowed) < len(labels.choices)
    attacks, groups = [], dict[str, list[AttackReadings]]()
    for condition, attacked in conditions.items():
        if condition == CLEAN or condition.startswith(CLEAN_OF):
            continue
        target, twin, group = (attacked.column(name)[0].as_py() for name in ("target", "twin", "group"))
        clean = conditions[twin]
        reading = read_attack(
            readings_of(attacked, labels),
            readings_of(clean.take(attacked.column("position")), labels),
            truth_of(attacked, labels),
            labels.labels.index(target),
            attack=condition,
            name=target,
            extends=extends,
            survivals=attacked.column("trigger").to_pylist(),
            own_clean=None if twin == CLEAN else readings_of(clean, labels).deployed == truth_of(clean, labels),
        )
        attacks.append(reading)
        if group:
            groups.setdefault(group, []).append(reading)
    clean = conditions[CLEAN]
    cut = clean.column("cut").to_pylist()
    return Evaluation(
        read_clean(readings_of(clean, labels), truth_of(clean, labels), labels.labels, extends=extends, cut=cut),
        tuple(attacks),
        provenance or {},
        tuple(average(name, readings) for name, readings in groups.items()),
    )


def write_outputs(path: Path, outputs: pa.Table) -> None:
    """Keep the outputs as Parquet."""
    import pyarrow.parquet as pq

    from antivenom.core.files import STAMP, atomic_write

    stamped = outputs.replace_schema_metadata({**(outputs.schema.metadata or {}), "generator": STAMP})
    with atomic_write(path, "wb") as file:
        pq.write_table(stamped, file)


def readings_of(outputs: pa.Table, labels: LabelMap) -> Readings:
    """What the stored scores say through the label map."""
    logs = np.array(outputs.column("log_probabilities").to_pylist(), dtype=np.float64)
    other, refused = (outputs.column(name).to_numpy().astype(bool) for name in ("other", "refused"))
    return read_scores(ChoiceScores(logs, other, refused), labels)


def truth_of(outputs: pa.Table, labels: LabelMap) -> IntArray:
    """The numbers of the true labels."""
    return np.array([labels.labels.index(answer) for answer in outputs.column("answer").to_pylist()], dtype=np.int64)


def with_facts(outputs: pa.Table, provenance: dict[str, Any], **reading: Options) -> pa.Table:
    """Put beside outputs what they are read with, so that a file of them can be read alone; no secret is in it."""
    facts = {"provenance": provenance, **{name: options.to_dict() for name, options in reading.items()}}
    return outputs.replace_schema_metadata({FACTS: json.dumps(facts, sort_keys=True)})


def _conditions(outputs: pa.Table) -> list[str]:
    return list(dict.fromkeys(outputs.column("condition").to_pylist()))


def _score(model: Guarded, conditions: Sequence[Condition], quiet: bool) -> pa.Table:
    """Score all conditions in one call: a text with and without a trigger is read once as far as both are the same."""
    asked = [query for condition in conditions for query in queries(condition.rows)]
    scores = model.score(asked, progress=None if quiet else "score")
    rows = pa.concat_tables([condition.rows.select(["row", "answer"]) for condition in conditions])
    columns = {
        "condition": [condition.name for condition in conditions for _ in range(condition.rows.num_rows)],
        "target": [condition.target for condition in conditions for _ in range(condition.rows.num_rows)],
        "twin": [condition.twin for condition in conditions for _ in range(condition.rows.num_rows)],
        "group": [condition.group for condition in conditions for _ in range(condition.rows.num_rows)],
        "position": np.concatenate([condition.positions for condition in conditions]),
        "row": rows.column("row"),
        "answer": rows.column("answer"),
        "log_probabilities": scores.log_probabilities.tolist(),
        "other": scores.other,
        "refused": np.zeros(len(scores), dtype=bool) if scores.refused is None else scores.refused,
        **survival_columns(model, conditions),
    }
    return pa.table(columns, schema=OUTPUTS_SCHEMA)


def _require_answers(test: pa.Table, labels: tuple[str, ...] | None) -> None:
    if not test.num_rows:
        raise RowsError("there are no test rows")
    if labels is None:
        return
    unknown = sorted(set(test.column("answer").unique().to_pylist()) - set(labels))
    if unknown:
        raise RowsError(
            f"the test rows have a label the model does not know: {unknown[0]!r}",
            mend=f"The labels are: {', '.join(labels)}. Numbers need --labels.",
        )
