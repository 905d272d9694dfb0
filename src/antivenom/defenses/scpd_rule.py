"""SCPD by rule: every input as plain statements before the model reads it, where no SCPN is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from antivenom.defenses.base import Defense, Prepared, Purifier, plain_rows
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Fitted, Lab
from antivenom.rewriting.plain_sentences import find_parser, plain_statements


@dataclass(frozen=True, kw_only=True)
class PlainStatements(Purifier):
    """Writes each text as plain statements, by rules over spaCy's parse."""

    name: ClassVar[str] = "plain_statements"

    def purify(self, texts: Sequence[str], model: Fitted) -> list[str]:
        """The texts as statements; what says nothing stays as it is."""
        return plain_statements(texts)


@dataclass(frozen=True, kw_only=True)
class ScpdRule(Defense):
    """Train as ever; turn every input into plain statements, S(NP)(VP)(.).

    SCPD has a paraphraser, SCPN, write every input in its commonest form, which undoes a syntactic trigger and garbles
    what was inserted. These rules keep the words that they keep: subordinate clauses in front, brackets and asides go,
    so a syntactic trigger goes too, but an inserted word stays. `scpd` takes the paraphrases of a real SCPN.
    """

    name: ClassVar[str] = "scpd_rule"
    stages = ("inputs",)
    needs: ClassVar[tuple[str, ...]] = ("spaCy and its English model, pip install 'antivenom[syntax]'",)
    costs: ClassVar[str] = "a parse of each input"
    approximation: ClassVar[str] = "rules over a parse in the place of SCPN's paraphrases"

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """All rows, and the purifier in the guard; the parser is loaded now, so that a lack of it is found at once.

        Raises:
            MissingPackageError: spaCy or its model is not installed.
        """
        find_parser()
        return plain_rows(task, rows, trusted).behind(PlainStatements())
