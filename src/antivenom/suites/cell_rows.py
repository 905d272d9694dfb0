"""The rows of a cell: loaded, drawn, and poisoned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.attacks import Attack
from antivenom.core.errors import OptionsError
from antivenom.data.dialogs import load_dialogs
from antivenom.data.query import queries
from antivenom.data.rows import Rows, keep_answers_after, load_rows, split_rows
from antivenom.data.validation import check_rows
from antivenom.defenses import Prepared
from antivenom.guards.guard import AnyTask
from antivenom.suites.identity import MADE_UP
from antivenom.suites.suite import TaskRows
from antivenom.tasks.task_files import TaskFile, load_task


def load_cell_rows(rows: TaskRows, data: Path, *, seed: int) -> tuple[AnyTask, pa.Table, pa.Table]:
    """Load the training and the test rows of a task, and draw as many as are wanted.

    Rows that cannot be used are left out, as `--skip-refused` does.

    Args:
        rows: What the suite says.
        data: The folder that its paths are relative to.
        seed: Keys the draw.

    Returns:
        The task, the training rows, the test rows.

    Raises:
        RowsError: a source cannot be read.
        OptionsError: the task file does not fit.
    """
    file = load_task(rows.preset) if rows.preset else TaskFile()
    train = _load(rows.train, file, data, rows.split, made_up=0, labels=None)
    task = file.task(train.labels)
    test = _load(rows.test, file, data, "test", made_up=1, labels=task.classes)
    tables = []
    for loaded, count in ((train, rows.train_rows), (test, rows.test_rows)):
        table = check_rows(loaded.table, task.classes, loaded.report)
        if count is not None and count < table.num_rows:
            [table] = split_rows(table, [count], seed=seed)
            table = table.sort_by("row")
        tables.append(table)
    return task, tables[0], tables[1]


def expand(attack: Attack, data: Path, learned: Path) -> Attack:
    """The attack with its files where they are on this machine.

    Args:
        attack: May name files as `{data}/...` or `{learned}/...`.
        data: The folder of the data sets.
        learned: Where files are that are made of the rows themselves (the substitutions of LWS).
    """
    options = {
        key: value.replace("{data}", str(data)).replace("{learned}", str(learned)) if isinstance(value, str) else value
        for key, value in attack.to_dict().items()
        if key != "name"
    }
    return type(attack).from_dict(options)


def without_places(evaluation: dict[str, Any], places: Mapping[str, Path]) -> dict[str, Any]:
    """What was measured, with files named as the suite names them: a record names no place of a machine.

    Args:
        evaluation: JSON values; attacks are spelled and their files named in it.
        places: What stands for each folder, such as `{data}`.
    """

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {named(key): named(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [named(one) for one in value]
        if isinstance(value, str):
            for name, folder in places.items():
                # "./a" lies in the folder ".", and "../a" does not.
                value = re.sub(rf"(?<![\w./]){re.escape(str(folder))}/", f"{name}/", value)
        return value

    found: dict[str, Any] = named(evaluation)
    return found


def _load(source: str, file: TaskFile, data: Path, split: str, *, made_up: int, labels: tuple[str, ...] | None) -> Rows:
    """Load one source of rows."""
    if source.startswith(MADE_UP):
        from antivenom.core.report import Report
        from antivenom.testing import synthetic_rows

        count = source.removeprefix(MADE_UP)
        if not count.isdigit():
            raise OptionsError(f"{source!r} says no number of rows", mend="Write synthetic:800.")
        return Rows(synthetic_rows(int(count), seed=made_up), ("negative", "positive"), Report(source=source))
    path = data / source
    place = str(path) if path.exists() else source
    if file.kind == "generation":
        rows = load_dialogs(place, text=file.text_column, answer=file.label_column, split=split)
        return keep_answers_after(rows, file.answer_after) if file.answer_after else rows
    return load_rows(
        place,
        text=file.text_column,
        answer=file.label_column,
        labels=file.labels or labels,
        split=split,
        context=file.context_column,
        image=file.image_column,
    )


def tokens_of(prepared: Prepared, model: Path) -> int:
    """Tokens that an epoch of a training reads with the tokenizer of a model; images are not counted."""
    from antivenom.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(model)
    prompts = prepared.guard.training_prompts(queries(prepared.rows), prepared.rows.column("benign").to_pylist())
    ids = tokenizer([prompt.plain for prompt in prompts], add_special_tokens=False)["input_ids"]
    return sum(map(len, ids))
