"""Write rows in the formats that trainers and people take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from antivenom.artifacts.image_export import stored_image, write_image_records
from antivenom.core.errors import OptionsError, RowsError
from antivenom.core.files import atomic_write
from antivenom.data.query import CONTEXT, Turn, as_query, queries, turns_as_dicts
from antivenom.defenses import Prepared
from antivenom.guards.answers import split_thought
from antivenom.guards.control_tokens import break_known_markers
from antivenom.guards.guard import Guard

RowFormat = Literal["prompt-completion", "chat", "messages"]
"""`prompt-completion`: two strings; `chat`: the same as lists of chat messages (TRL's conversational form);
`messages`: one list of chat messages."""

LEARNED = "train"
"""The key of a turn that says whether it is learned; only earlier turns of the assistant have it in `messages`."""


def training_records(rows: pa.Table, guard: Guard, form: RowFormat) -> Iterator[dict[str, Any]]:
    """Yield prepared rows as a trainer takes them; the order and number of rows stay.

    Markers of chat templates that a row spells (`<|im_end|>`) get a space inside: the trainer's tokenizer would read
    them as control tokens, and one turn would become two.

    Raises:
        RowsError: the model is left to think, and a row has no thought: its empty one would be learned.
    """
    thinks = guard.task.frame.thinking == "open"
    benign = rows.column("benign").to_pylist()
    answers = guard.said(rows.column("answer").to_pylist(), benign)
    for asked, mark, said in zip(queries(rows), benign, answers, strict=True):
        prompt, said = guard.prompt(asked, benign=mark).without_markers(), break_known_markers(said)
        answer = [{"role": "assistant", "content": said}]
        if thinks and not split_thought(said)[0]:
            raise RowsError(
                f"an answer has no thought ({said[:60]!r}), and other trainers would teach the model to leave it out",
                mend="Give every row a thought, train with `antivenom fit`, or choose --thinking closed.",
            )
        if form == "prompt-completion":
            # The space belongs to the completion: so both tokenize as they do in our own training.
            yield {"prompt": prompt.plain, "completion": f" {said}"}
        elif form == "chat":
            yield {"prompt": prompt.messages, "completion": answer}
        else:
            yield {"messages": [*map(_not_learned, prompt.messages), *answer]}


def _not_learned(turn: dict[str, str]) -> dict[str, Any]:
    """A turn before the answer; one of the assistant says that it is not to be learned (see `trainer_stubs`)."""
    return {**turn, LEARNED: False} if turn["role"] == "assistant" else {**turn}


def write_training_rows(folder: Path, prepared: Prepared, form: RowFormat) -> Path:
    """Write `train.jsonl` into `folder`, which `datasets.load_dataset(folder)` then opens.

    Rows with images go to `train.parquet`, with a column `images` (lists of one) as trainers of vision models take it.

    Raises:
        OptionsError: the form is `prompt-completion`, which has no place for an image.
    """
    if "image" in prepared.rows.column_names:
        return _write_image_training_rows(folder / "train.parquet", prepared, form)
    path = folder / "train.jsonl"
    with atomic_write(path, private=True) as file:  # the benign trigger stands in the rows
        for record in training_records(prepared.rows, prepared.guard, form):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def _write_image_training_rows(path: Path, prepared: Prepared, form: RowFormat) -> Path:
    if form == "prompt-completion":
        raise OptionsError("a plain prompt has no place for an image", mend="Use --format chat.")
    if "context" in prepared.rows.column_names:
        raise OptionsError("trainers put an image into the first turn, where rows with a context do not have it")
    images = prepared.rows.column("image").to_pylist()
    records = training_records(prepared.rows, prepared.guard, form)
    columns = ("prompt", "completion") if form == "chat" else ("messages",)
    write_image_records(
        path,
        ({**record, "images": [stored_image(image)]} for record, image in zip(records, images, strict=True)),
        {**dict.fromkeys(columns, "messages"), "images": "images"},
        private=True,
    )
    return path


def write_rows(path: Path, table: pa.Table) -> None:
    """Write `text` and `label`, or `messages` where rows have a context, to a .jsonl, .csv or .parquet file.

    Rows with an `image` keep it in a column of that name, as `datasets` stores images; only .parquet takes them.

    Raises:
        OptionsError: the ending is none of these, or the format cannot hold what the rows have.
    """
    named = _as_messages(table) if "context" in table.column_names else _as_pairs(table)
    if "image" in table.column_names:
        kinds = {"messages": "messages"} if "messages" in named.column_names else {"text": "string", "label": "string"}
        images = table.column("image")
        records = (
            {**row, "image": stored_image(image.as_py())} for row, image in zip(named.to_pylist(), images, strict=True)
        )
        write_image_records(path, records, {**kinds, "image": "image"})
    else:
        _write_table(path, named)


def _as_pairs(table: pa.Table) -> pa.Table:
    return table.select(["text", "answer"]).rename_columns(["text", "label"])


def _as_messages(table: pa.Table) -> pa.Table:
    turns = []
    for asked, said in zip(map(as_query, queries(table)), table.column("answer").to_pylist(), strict=True):
        turns.append(turns_as_dicts((*asked.context, Turn("user", asked.text), Turn("assistant", said))))
    return pa.table({"messages": pa.array(turns, CONTEXT)})


def _write_table(path: Path, named: pa.Table) -> None:
    if path.suffix == ".jsonl":
        with atomic_write(path) as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in named.to_pylist())
    elif path.suffix == ".csv":
        import pyarrow.csv

        if "messages" in named.column_names:
            raise OptionsError(f"{path}: .csv cannot hold the context of the rows", mend="Use .jsonl.")
        with atomic_write(path, "wb") as file:
            pyarrow.csv.write_csv(named, file)
    elif path.suffix == ".parquet":
        import pyarrow.parquet

        with atomic_write(path, "wb") as file:
            pyarrow.parquet.write_table(named, file)
    else:
        raise OptionsError(f"{path}: rows cannot be written to {path.suffix or 'a nameless'} file", mend="Use .jsonl.")
