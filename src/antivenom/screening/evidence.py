"""What looks planted in rows nobody vouches for: named, counted, with examples, for people to look at.

A *finding* is a feature that (1) goes almost only with one label and (2) stands in rows whose words contradict that
label far more than chance allows. Ordinary label words have the first property and lack the second, so clean data give
few findings or none; relabelled rows that share a trigger have both. A *lead* has the first property only. Leads are no
alarm: every honest data set has some. They are shown because label-consistent poison looks like them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.console import printable
from antivenom.core.hashing import row_keys
from antivenom.data.query import whole_texts
from antivenom.screening.naming import Named, name_pairs
from antivenom.screening.screen import Screening, screen
from antivenom.screening.spans import as_written
from antivenom.screening.subword_splits import WordPieces, uncut
from antivenom.screening.tokens import END, START

SHOWN_ROWS = 5
SPELLED_ROWS = 100
"""So many rows show how words are usually spelled."""
MOST_LEADS = 10


@dataclass(frozen=True)
class Finding:
    """One feature, or several that stand in the same rows, and how it goes with one output."""

    what: str
    """The feature as written; … stands for other words, _ for one, ⊢ and ⊣ for the edges of the text."""
    written: str
    """How its words are usually written; empty where it is not made of words."""
    kind: str
    """Which kind of feature it is (`words`, `template`, `shape`, ...): `antivenom.screening.features.every_kind`."""
    output: str
    """The label it goes with, or the part of a free answer."""
    rows: int
    """How many rows have the feature."""
    rows_of_output: int
    """How many of these have the output."""
    base_rate: float
    """The share of all rows that have the output."""
    z: float
    """How far `rows_of_output` is above what the base rate predicts, in standard deviations."""
    contradiction: float
    """How far the other words of these rows speak against the label, in standard deviations; 0 for free answers."""
    examples: tuple[int, ...]
    """Numbers of rows (column `row`) that show it."""
    variants: tuple[str, ...]
    """Other features found in mostly the same rows."""


@dataclass(frozen=True)
class Evidence:
    """What looks planted in some rows."""

    rows: int
    findings: tuple[Finding, ...]
    """Alarms, the strongest first."""
    leads: tuple[Finding, ...]
    """The most one-sided other features: no alarm."""
    suspects: tuple[int, ...] = ()
    """Numbers of the rows that show a finding and have its output."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def strains(self) -> dict[tuple[str, ...], int]:
        """The words among the findings as they are written, and in how many rows. Leads are honest words mostly."""
        found: Counter[tuple[str, ...]] = Counter()
        for finding in self.findings:
            if finding.written:
                found[finding.written,] += finding.rows_of_output
        return dict(found)

    def __str__(self) -> str:
        """A table for people."""
        head = f"{len(self.findings)} suspicious feature{'' if len(self.findings) == 1 else 's'} in {self.rows} rows"
        lines = [head + (":" if self.findings else "."), *(_line(finding) for finding in self.findings)]
        if self.leads:
            lines += ["The most one-sided other features (usual in honest data, no alarm):", *map(_line, self.leads)]
        return "\n".join(lines)


def find_evidence(
    table: pa.Table, labels: Sequence[str] | None, word_pieces: WordPieces = uncut, *, seed: int = 0
) -> Evidence:
    """Look for what seems planted.

    Args:
        table: `row`, `text`, `answer`.
        labels: The labels, every answer being one of them; None when the answers are free text, where there are only
            leads: without labels, nothing says what the other words of a row would have predicted.
        word_pieces: See `screen`.
        seed: See `screen`.
    """
    return explain(table, screen(table, labels, word_pieces, seed=seed))


def explain(table: pa.Table, screening: Screening) -> Evidence:
    """The evidence behind scores that were already computed."""
    texts, numbers = whole_texts(table), table.column("row").to_numpy()
    alarms, others = name_pairs(texts, screening.association)
    findings = tuple(_finding(named, numbers, texts) for named in alarms)
    leads = tuple(_finding(named, numbers, texts) for named in others[:MOST_LEADS])
    suspect = np.zeros(table.num_rows, dtype=bool)
    for named in alarms:
        has_output = pc.equal(table.column("answer").take(pa.array(named.rows)), named.pair.output)
        suspect[named.rows[has_output.to_numpy()]] = True
    return Evidence(table.num_rows, findings, leads, tuple(sorted(numbers[suspect].tolist())))


def _finding(named: Named, numbers: Any, texts: pa.ChunkedArray) -> Finding:
    pair = named.pair
    # Drawn by a hash, so that no order of the rows decides which are shown.
    shown = named.rows[np.argsort(row_keys(texts.take(pa.array(named.rows)), seed=0, purpose="shown"), kind="stable")]
    return Finding(
        what=named.what,
        written=_usual_spelling(named, texts.take(pa.array(shown[:SPELLED_ROWS]))),
        kind=named.kind,
        output=pair.output,
        rows=pair.rows,
        rows_of_output=pair.rows_of_both,
        base_rate=round(pair.rate, 6),
        z=round(pair.z, 2),
        contradiction=round(pair.contradiction, 2),
        examples=tuple(sorted(numbers[shown[:SHOWN_ROWS]].tolist())),
        variants=named.variants,
    )


def _usual_spelling(named: Named, texts: pa.ChunkedArray) -> str:
    """How most of some texts write the words; of equals the first in the alphabet."""
    if named.kind not in ("words", "case"):
        return ""
    key = [word.lower() for word in named.what.split(" ") if word not in (START, END)]
    spellings = Counter(as_written(text, key) or "" for text in texts.to_pylist())
    return min(spellings.items(), key=lambda entry: (-entry[1], entry[0]))[0]


def _line(finding: Finding) -> str:
    share = f"{finding.rows_of_output}/{finding.rows} rows -> {finding.output} (base {finding.base_rate:.0%})"
    numbers = ", ".join(map(str, finding.examples))
    strength = f"z {finding.z:.1f}, contradicted {finding.contradiction:.1f}"
    return printable(f"  {finding.what!r:40} {finding.kind:9} {share}; {strength}; e.g. rows {numbers}")
