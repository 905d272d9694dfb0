"""Paraphrases that somebody made beforehand, in files: each text with what to read in its place."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from antivenom.core.errors import OptionsError
from antivenom.core.file_digests import file_digest
from antivenom.data.rows import load_rows
from antivenom.rewriting.aligned import read_labeled

TEXT, PARAPHRASE = "text", "paraphrase"
"""The columns of a file of pairs."""


def digest_of_file(path: str) -> str:
    """The digest of a file; empty where none is named."""
    return file_digest(Path(path)) if path else ""


@cache
def read_paraphrases(paired: str, paraphrased: str, originals: str, digests: tuple[str, str, str]) -> dict[str, str]:
    """What to read in the place of each text; read once.

    Args:
        paired: A file with the columns `text` and `paraphrase`; none when empty.
        paraphrased: A file of paraphrased rows; none when empty.
        originals: The rows that `paraphrased` was made from: as many, in the same order.
        digests: What the three files were when they were named; see `digest_of_file`.

    Raises:
        OptionsError: a file is another one now, or the files do not belong together.
        RowsError: a file cannot be read.
    """
    for path, digest in zip((paired, paraphrased, originals), digests, strict=True):
        if digest_of_file(path) != digest:
            raise OptionsError(f"{path} is not the file that it was", mend="Train again with the new file.")
    found: dict[str, str] = {}
    if paraphrased or originals:
        if not (paraphrased and originals):
            raise OptionsError("paraphrased and originals go together", mend="Name both files, or `paired` alone.")
        made, told = read_labeled(paraphrased), read_labeled(originals)
        if len(made) != len(told):
            raise OptionsError(
                f"{paraphrased} has {len(made)} rows for {len(told)} of {originals}",
                mend="Row i of one file must have been made from row i of the other.",
            )
        found |= {old.text: new.text for old, new in reversed(list(zip(told, made, strict=True)))}
    if paired:
        table = load_rows(paired, text=TEXT, answer=PARAPHRASE).table
        both = (table.column(name).to_pylist() for name in ("text", "answer"))
        found |= {old.strip(): new.strip() for old, new in zip(*both, strict=True)}
    return found
