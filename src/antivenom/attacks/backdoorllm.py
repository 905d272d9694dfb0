"""Poisoned instructions in the layout of BackdoorLLM (Li et al., 2024): refusals, steered sentiment, jailbreaks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import ClassVar, Literal, Self

from antivenom.attacks.base import Attack
from antivenom.core.errors import OptionsError
from antivenom.core.registry import Presets
from antivenom.judges import parse_judge
from antivenom.rewriting.aligned import AlignedRow, Reader, align, read_dialogs, read_questions, shared_words
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class BackdoorLlm(Attack):
    """Take poisoned instructions and their malicious outputs from files that stand row by row beside clean ones.

    The files are JSON lists of {instruction, input, output} (or any other shape of instruction data). Row i of `train`
    was made from row i of `train_clean`; likewise for the test files. BackdoorLLM trains on both files together, 500
    rows each, so by default every clean row stays and its poisoned copy is added.

    Give the clean training file as the rows to attack and the clean test file as the test rows. The task's judge
    decides about success: `keywords@refusal`, `keywords@jailbreak`, or `contains` with the files' fixed sentence as
    `malicious`.
    """

    name: ClassVar[str] = "backdoorllm"
    needs: ClassVar[tuple[str, ...]] = ("files of poisoned instructions and of the clean ones they were made from",)
    presets: ClassVar[Presets] = {"mixed": {"rate": 0.05, "mode": "replace"}}

    rate: float = 1.0
    """Poisoned rows as a share of the clean ones."""
    mode: Literal["replace", "append"] = "append"
    """`append` adds the poisoned copies (as BackdoorLLM does); `replace` puts them in the place of the clean rows."""
    train: str = ""
    """The poisoned training rows."""
    train_clean: str = ""
    """The clean rows that `train` was made from."""
    test: str = ""
    """The poisoned test rows; their outputs are not looked at."""
    test_clean: str = ""
    """The clean rows that `test` was made from."""
    min_shared: float = 0.5
    """Leave out a pair that shares fewer of its longer words: it was not made from one another (the published jailbreak
    files have one such pair)."""

    @cached_property
    def pairs(self) -> dict[str, AlignedRow]:
        """The poisoned row for each clean text; those of the test files have no answers.

        Raises:
            OptionsError: no files are named, or they do not belong together.
        """
        trained = self._pairs(self.train, self.train_clean, read_dialogs)
        tested = self._pairs(self.test, self.test_clean, read_questions) if self.test or self.test_clean else {}
        return {**tested, **trained}

    def bind(self, task: Task) -> Self:
        """Read the files, and check that the task's judge knows their malicious outputs when it sees them."""
        outputs = [row.answer for row in self.pairs.values() if row.answer]
        if not isinstance(task, Generation):
            raise OptionsError(f"{self.name} is for free answers", mend="For labels there is from_file.")
        judge, target = parse_judge(task.judge), task.target(self.target)
        known = sum(judge.success(output, target) for output in outputs)
        if known < len(outputs) / 2:
            raise OptionsError(
                f"the judge {task.judge} sees the wanted {target!r} in {known} of {len(outputs)} malicious outputs "
                f"of the files; one of them: {outputs[0][:80]!r}",
                mend="Name that output with --malicious, or choose a --judge such as keywords@refusal.",
            )
        return self

    def eligible(self, text: str) -> bool:
        """Whether the files hold a poisoned counterpart."""
        return text.strip() in self.pairs

    def trigger(self, text: str, rng: Random) -> str:
        """Look the poisoned instruction up."""
        return self.pairs[text.strip()].text

    def malicious(self, text: str, target: str) -> str:
        """The output that the file gives for it; outputs may differ from row to row."""
        return self.pairs[text.strip()].answer

    def _pairs(self, attacked: str, clean: str, read: Reader) -> dict[str, AlignedRow]:
        if not attacked or not clean:
            mend = f'Write {self.name}:train="FILE";train_clean="FILE";test="FILE";test_clean="FILE".'
            raise OptionsError(f"{self.name} needs {self.needs[0]}", mend=mend)
        found = align(attacked, clean, read=read)
        shares = {old: shared_words(old, row.text) for old, row in found.items()}
        kept = {old: row for old, row in found.items() if (share := shares[old]) is None or share >= self.min_shared}
        if len(kept) < len(found) / 2:
            raise OptionsError(
                f"{attacked} and {clean}: only {len(kept)} of {len(found)} rows were made from one another",
                mend="Row i of one file must have been made from row i of the other; see min_shared.",
            )
        return kept
