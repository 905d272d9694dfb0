"""Answers beside the rows they belong to: every column of the user's stays, and the file is of the kind that was read.

While rows are answered, a journal (`OUT.answers.jsonl`) grows; see `answers_file`. When all are, rows and answers are
joined into `OUT`, which appears whole, and the journal goes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa

from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.core.file_digests import file_digest
from antivenom.core.files import atomic_write, make_folder, remove_file, write_json
from antivenom.core.intake import open_regular
from antivenom.core.locks import locked
from antivenom.data.delimited import find_dialect
from antivenom.data.query import Asked
from antivenom.data.raw_rows import RawRows
from antivenom.inference.answers_file import Answering, answer_to_file, note_of, read_note

Form = Literal["csv", "jsonl", "parquet"]
FORMS: dict[str, Form] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
OWN = "antivenom_"
"""Stands in front of a column of ours whose name the rows have already."""
SAID = {"row", "text", "asked_sha256"}
"""What a line of the journal says about its question."""
JOINING = "being written"
"""In the place of the digest of a file that may be half there."""
IN_CELLS = str.maketrans("\t\r\n", "   ")


def form_of(source: str, out: Path) -> Form:
    """What is written: what was read, or JSON lines where the name ends so, or where the source is no such file.

    Args:
        source: The rows: a file, a folder, or a name.
        out: Where the answers go.

    Raises:
        OptionsError: the name asks for another kind than was read.
    """
    read = FORMS.get(Path(source).suffix.lower(), "jsonl")
    wanted = FORMS.get(out.suffix.lower(), read)
    if wanted not in (read, "jsonl"):
        raise OptionsError(
            f"{out}: rows that are read as {read} are not written as {wanted}",
            mend=f"Name a .{read} or a .jsonl file.",
        )
    return wanted


def answer_rows(
    model: Answering,
    raw: RawRows,
    asked: Iterable[Asked],
    source: str,
    out: Path,
    *,
    settings: dict[str, Any],
    progress: str | None = None,
) -> int:
    """Write every row with its answer; a run that was stopped goes on where it was.

    The columns are `row` (the number, from 1), those of the rows, and those of the reading; one of ours whose name the
    rows have already begins with `antivenom_`. Cells of the rows stay as they are written.

    Args:
        model: A guarded model.
        raw: The rows.
        asked: What they ask, in their order.
        source: Where they come from.
        out: The file; it can be read by its owner alone, since it quotes the rows.
        settings: Everything that decides the answers.
        progress: What a progress bar is to be called; none is shown without it.

    Returns:
        How many rows were answered.

    Raises:
        ArtifactError: the file is there and was made with other settings, changed, or made by somebody else.
        OptionsError: it cannot hold what the rows hold.
    """
    form = form_of(source, out)
    make_folder(out.parent)
    with locked(out, "predict"):
        settings = json.loads(json.dumps({**settings, "form": form}))
        journal, note = out.with_name(f"{out.name}.answers.jsonl"), note_of(out)
        finished = _finished(out, note, settings)
        if finished is not None:
            return finished
        count = answer_to_file(model, asked, journal, settings=settings, progress=progress)
        _finished(out, note, settings)  # nobody wrote there meanwhile
        done = {"antivenom": "answers", **settings, "answers": count}
        write_json(note, {**done, "sha256": JOINING}, private=True)
        _join(raw, journal, source, out, form)
        write_json(note, {**done, "sha256": file_digest(out, error=ArtifactError)}, private=True)
        remove_file(journal)
        remove_file(note_of(journal))
        return count


def _finished(out: Path, note: Path, settings: dict[str, Any]) -> int | None:
    """How many answers a finished file holds, none where it is still to be made; refuses what is not ours."""
    found = read_note(note)
    if note.exists() and found.get("antivenom") != "answers":
        raise ArtifactError(f"{note} exists and is not ours", mend="Choose another --out; nothing is overwritten.")
    if not out.exists():
        return None
    said = {key: value for key, value in found.items() if key not in ("antivenom", "answers", "sha256")}
    if said == settings and found.get("sha256") == JOINING:
        return None  # stopped while the file was written: it is written again
    if said == settings and found.get("sha256") == file_digest(out, error=ArtifactError):
        return int(found["answers"])
    changed = "was changed after it was made" if said == settings else "was not made with these settings"
    raise ArtifactError(f"{out} exists and {changed}", mend="Choose another --out; nothing is overwritten.")


def _join(raw: RawRows, journal: Path, source: str, out: Path, form: Form) -> None:
    """Write rows and answers side by side."""
    with open_regular(journal, error=ArtifactError) as lines, atomic_write(out, "wb", private=True) as file:
        answers = ({key: value for key, value in json.loads(line).items() if key not in SAID} for line in lines)
        if form == "parquet":
            _write_parquet(raw, answers, file)
        else:
            spelled = _csv_lines(raw, answers, source) if form == "csv" else _json_lines(raw, answers)
            file.writelines(line.encode() for line in spelled)


def _names(taken: Iterable[str], ours: Iterable[str]) -> dict[str, str]:
    """What our columns are called beside those of the rows."""
    theirs = set(taken)
    found: dict[str, str] = {}
    for name in ours:
        free = name
        while free in theirs:
            free = f"{OWN}{free}"
        found[name] = free
    return found


def _records(
    raw: RawRows, answers: Iterator[dict[str, Any]]
) -> Iterator[tuple[int, Mapping[str, Any], dict[str, Any]]]:
    for batch in raw.batches(raw.columns):
        for number, record in batch:
            yield number, record, next(answers)


def _json_lines(raw: RawRows, answers: Iterator[dict[str, Any]]) -> Iterator[str]:
    taken = set(raw.columns)
    for batch in raw.batches(raw.columns) if raw.tables is None else ():
        taken.update(key for _, record in batch for key in record)  # a line may have keys that none before it had
    for number, record, answer in _records(raw, answers):
        names = _names(taken, ("row", *answer))
        line = {names["row"]: number, **record, **{names[key]: value for key, value in answer.items()}}
        yield json.dumps(line, ensure_ascii=False, default=_refuse) + "\n"


def _refuse(value: object) -> None:
    raise OptionsError(
        f"a column holds {type(value).__name__}, which JSON lines cannot hold",
        mend="Name an --out that ends like the file of the rows.",
    )


def _csv_lines(raw: RawRows, answers: Iterator[dict[str, Any]], source: str) -> Iterator[str]:
    dialect = find_dialect(Path(source), "auto")
    header: Sequence[str] = ()
    for number, record, answer in _records(raw, answers):
        if not header:
            names = _names(raw.columns, ("row", *answer))
            header = [names["row"], *raw.columns, *(names[key] for key in answer)]
            yield _line(header, dialect.delimiter, dialect.quoted)
        ours = [value if isinstance(value, str) else json.dumps(value) for value in answer.values()]
        if not dialect.quoted:
            ours = [cell.translate(IN_CELLS) for cell in ours]
        theirs = ["" if record[name] is None else str(record[name]) for name in raw.columns]
        yield _line([str(number), *theirs, *ours], dialect.delimiter, dialect.quoted)


def _line(cells: Sequence[str], delimiter: str, quoted: bool) -> str:
    if not quoted:
        return delimiter.join(cells) + "\n"
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _plain(table: pa.Table) -> pa.Table:
    """The same values, not coded by a dictionary, which differs from batch to batch."""
    kinds = [one.type.value_type if pa.types.is_dictionary(one.type) else one.type for one in table.schema]
    return table.cast(pa.schema([one.with_type(kind) for one, kind in zip(table.schema, kinds, strict=True)]))


def _write_parquet(raw: RawRows, answers: Iterator[dict[str, Any]], file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    if raw.tables is None:
        raise OptionsError("these rows have no columns of one type each", mend="Name a .jsonl file.")
    writer = None
    row = 1
    for batch in raw.tables(list(raw.columns)):
        said = [next(answers) for _ in range(batch.num_rows)]
        if not said:
            continue
        names = _names(raw.columns, ("row", *said[0]))
        table = _plain(pa.Table.from_batches([batch]))
        table = table.add_column(0, names["row"], pa.array(range(row, row + batch.num_rows), pa.int64()))
        for key, value in said[0].items():
            kind = pa.bool_() if isinstance(value, bool) else pa.string() if isinstance(value, str) else pa.float64()
            table = table.append_column(names[key], pa.array([one[key] for one in said], kind))
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
        row += batch.num_rows
    if writer is not None:
        writer.close()
