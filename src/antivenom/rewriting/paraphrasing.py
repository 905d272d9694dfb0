"""Attacked texts from a model of the user's (an SCPN with its weights, say), kept in a file that attacks read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from antivenom.core.errors import OptionsError
from antivenom.core.files import atomic_write
from antivenom.data.rows import load_rows

TEXT, ATTACKED = "text", "attacked"
"""The columns of a file of pairs."""
BLOCK = 64
"""Texts per call of the model; what is done is on disk after each."""


class Paraphraser(Protocol):
    """Rewrites texts; a function will do."""

    def __call__(self, texts: Sequence[str], /) -> Sequence[str]:
        """One text for each, in order; an empty one where it could not be rewritten."""
        ...


class WrittenPairs(NamedTuple):
    """What `write_pairs` did."""

    written: int
    """Pairs in the file."""
    failed: tuple[str, ...]
    """Texts that came back empty or unchanged. They are not in the file, so no attack poisons them."""


def write_pairs(paraphraser: Paraphraser, texts: Sequence[str], path: Path) -> WrittenPairs:
    """Rewrite texts and keep the pairs as JSONL; those already in the file are not done again.

    HiddenKiller's script keeps the original sentence where SCPN fails, and relabels it; here such a text gets no pair.

    Args:
        paraphraser: The user's model.
        texts: Training and test texts together; each different one is rewritten once.
        path: Where to write, or go on writing.

    Raises:
        OptionsError: the model did not return one text for each.
    """
    pairs = read_pairs(str(path)) if path.exists() else {}
    wanted = [text for text in dict.fromkeys(text.strip() for text in texts) if text and text not in pairs]
    failed: list[str] = []
    for start in range(0, len(wanted), BLOCK):
        block = wanted[start : start + BLOCK]
        rewritten = paraphraser(block)
        if len(rewritten) != len(block):
            raise OptionsError(f"the paraphraser returned {len(rewritten)} texts for {len(block)}")
        for old, new in zip(block, (text.strip() for text in rewritten), strict=True):
            if new and new != old:
                pairs[old] = new
            else:
                failed.append(old)
        with atomic_write(path) as file:
            for old, new in pairs.items():
                file.write(json.dumps({TEXT: old, ATTACKED: new}, ensure_ascii=False) + "\n")
    return WrittenPairs(len(pairs), tuple(failed))


def read_pairs(path: str) -> dict[str, str]:
    """The attacked text for each clean text in a file with the columns `text` and `attacked`.

    Raises:
        RowsError: the file cannot be read, or has no such columns.
    """
    table = load_rows(path, text=TEXT, answer=ATTACKED).table
    both = (table.column(name).to_pylist() for name in ("text", "answer"))
    return {old.strip(): new.strip() for old, new in zip(*both, strict=True) if old.strip() != new.strip()}
