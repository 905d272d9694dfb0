"""Attacked rows that somebody else made: any attack whose output exists as files beside the clean rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import ClassVar, Self

from antivenom.attacks.base import Attack
from antivenom.core.errors import OptionsError
from antivenom.rewriting.aligned import align, overlap
from antivenom.rewriting.paraphrasing import read_pairs
from antivenom.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class FromFile(Attack):
    """Replace a text by the attacked text that stands for it in a file.

    Two files make one pair: the attacked rows and the clean rows they were made from. Either every row of the clean
    file has its counterpart in the attacked file, in the same order, or only the rows whose label is not the attacked
    file's single label have one (HiddenKiller's test files). Rows that are equal in both were not attacked. Only texts
    that have a counterpart can be attacked; as everywhere, other test rows stay in the denominator as they are.
    """

    name: ClassVar[str] = "from_file"
    needs: ClassVar[tuple[str, ...]] = ("files with the attacked rows and with the clean rows they were made from",)

    train: str = ""
    """The attacked training rows."""
    train_clean: str = ""
    """The clean rows that `train` was made from."""
    test: str = ""
    """The attacked test rows."""
    test_clean: str = ""
    """The clean rows that `test` was made from."""
    paired: str = ""
    """One file with the columns `text` and `attacked`, instead of the four or beside them (see `paraphrasing`)."""
    test_skip: int = 0
    """Clean test rows without a counterpart at the beginning (1 in HiddenKiller's AG's News)."""
    min_overlap: float = 0.1
    """Refuse files whose pairs share fewer of their longer words than this on average: they are misaligned."""

    @cached_property
    def pairs(self) -> dict[str, str]:
        """The attacked text for each clean text.

        Raises:
            OptionsError: no files are named, or they do not fit together.
        """
        sides = [(self.train, self.train_clean, 0), (self.test, self.test_clean, self.test_skip)]
        named = [side for side in sides if side[0] or side[1]]
        if not (named or self.paired) or not all(attacked and clean for attacked, clean, _ in named):
            raise OptionsError(f"{self.name} needs {self.needs[0]}", mend=self.remedy())
        pairs = self._require_overlap(read_pairs(self.paired), self.paired) if self.paired else {}
        for attacked, clean, skip in named:
            aligned = {old: row.text for old, row in align(attacked, clean, skip=skip).items()}
            found = self._require_overlap(aligned, f"{attacked} and {clean}")
            pairs = {**found, **pairs}
        return pairs

    def _require_overlap(self, pairs: dict[str, str], files: str) -> dict[str, str]:
        if pairs and overlap(pairs) < self.min_overlap:
            raise OptionsError(
                f"{files} share {overlap(pairs):.0%} of their longer words: they are not aligned",
                mend="Row i of one must have been made from row i of the other; see test_skip and min_overlap.",
            )
        return pairs

    def remedy(self) -> str:
        """What to do when no files are named."""
        return (
            f'Write {self.name}:train="FILE";train_clean="FILE";test="FILE";test_clean="FILE", or {self.name}:'
            'paired="FILE" with a file whose columns are text and attacked (docs/attacks_from_files.md).'
        )

    def bind(self, task: Task) -> Self:
        """Read the files."""
        _ = self.pairs
        return self

    def eligible(self, text: str) -> bool:
        """Whether the files hold a counterpart."""
        return text.strip() in self.pairs

    def trigger(self, text: str, rng: Random) -> str:
        """Look the text up."""
        return self.pairs[text.strip()]
