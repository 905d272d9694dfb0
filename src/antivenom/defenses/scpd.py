"""SCPD: every input is paraphrased by an SCPN of the user's before the model reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.core.options import check_choices
from antivenom.defenses.base import Defense, Prepared, Purifier, plain_rows
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Fitted, Lab
from antivenom.rewriting.made_paraphrases import digest_of_file, read_paraphrases

Missing = Literal["refuse", "keep"]


@dataclass(frozen=True, kw_only=True)
class MadeParaphrases(Purifier):
    """Takes the paraphrase of each text out of files; they must be what they were when the model was trained."""

    name: ClassVar[str] = "made_paraphrases"

    paired: str = ""
    """See `Scpd.paired`."""
    paraphrased: str = ""
    """See `Scpd.paraphrased`."""
    originals: str = ""
    """See `Scpd.originals`."""
    digests: tuple[str, str, str] = ("", "", "")
    """SHA-256 of the three files, empty for those that are not named."""
    missing: Missing = "refuse"
    """See `Scpd.missing`."""

    def __post_init__(self) -> None:
        check_choices(self)

    def purify(self, texts: Sequence[str], model: Fitted) -> list[str]:
        """The paraphrases.

        Raises:
            OptionsError: texts have none and are not to be kept, or a file has changed.
        """
        made = self.pairs()
        lacking = list(dict.fromkeys(text for text in texts if text.strip() and text.strip() not in made))
        if lacking and self.missing == "refuse":
            raise OptionsError(
                f"{len(lacking)} of {len(texts)} texts have no paraphrase in the files; one: {lacking[0][:80]!r}",
                mend="Paraphrase them too, or keep them as they are with scpd:missing=keep.",
            )
        return [made.get(text.strip()) or text for text in texts]

    def pairs(self) -> dict[str, str]:
        """What to read in the place of each text."""
        return read_paraphrases(self.paired, self.paraphrased, self.originals, self.digests)


@dataclass(frozen=True, kw_only=True)
class Scpd(Defense):
    """Train as ever; have every input paraphrased into the commonest form, S(NP)(VP)(.), by SCPN.

    SCPN's weights are in no package, so its output is taken from files: for every text that the model will be asked,
    attacked ones included. Without an SCPN there are two approximations with names of their own, `scpd_rule` and
    `scpd_lm`.
    """

    name: ClassVar[str] = "scpd"
    stages = ("inputs",)
    needs: ClassVar[tuple[str, ...]] = ("paraphrases that an SCPN made, in a file",)
    costs: ClassVar[str] = "a paraphrase of each input, made beforehand"

    paired: str = ""
    """A file with the columns `text` and `paraphrase`."""
    paraphrased: str = ""
    """Or a file of paraphrased rows,"""
    originals: str = ""
    """and the rows that they were made from, in the same order."""
    missing: Missing = "refuse"
    """What becomes of a text without a paraphrase: an error, or it is read as it is (where SCPN failed, say)."""

    def __post_init__(self) -> None:
        check_choices(self)

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """All rows, and the purifier in the guard.

        Raises:
            OptionsError: no file is named, or they do not belong together.
        """
        named = (self.paired, self.paraphrased, self.originals)
        if not any(named):
            raise OptionsError(
                f"{self.name} needs {self.needs[0]}",
                mend='Write scpd:paired="FILE" (columns text and paraphrase), or take scpd_rule or scpd_lm.',
            )
        first, second, third = (digest_of_file(path) for path in named)
        texts = MadeParaphrases(
            paired=self.paired,
            paraphrased=self.paraphrased,
            originals=self.originals,
            digests=(first, second, third),
            missing=self.missing,
        )
        return plain_rows(task, rows, trusted).behind(texts).noting(paraphrases=len(texts.pairs()))
