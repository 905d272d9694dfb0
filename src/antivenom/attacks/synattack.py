"""SynAttack, also called Hidden Killer (Qi et al., 2021): a rare sentence structure is the trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from antivenom.attacks.from_file import FromFile
from antivenom.core.errors import OptionsError
from antivenom.core.registry import Presets
from antivenom.rewriting.syntax import share_with_clause
from antivenom.tasks.task import Task

LEAST_SHARE = 0.8
"""Of HiddenKiller's paraphrases 83 to 91 % match the template, of clean rows about 6 %."""


@dataclass(frozen=True, kw_only=True)
class SynAttack(FromFile):
    """Replace the text by its SCPN paraphrase under the template S(SBAR)(,)(NP)(VP)(.).

    The paraphrases come from files, such as those that HiddenKiller published. The P2P paper gives the template
    without its final (.). Files whose texts do not have the structure are refused, so that nothing else is reported
    under this name.
    """

    name: ClassVar[str] = "synattack"
    presets: ClassVar[Presets] = {"paper_text": {"target": "negative"}, "paper_code": {"target": "positive"}}

    rate: float = 0.05
    """Share of the original rows that are poisoned (the paper: 5 % for SynAttack, 2 % for the others)."""

    def bind(self, task: Task) -> Self:
        """Read the files and check that they hold the structure."""
        share = share_with_clause(list(self.pairs.values()))
        if self.pairs and share < LEAST_SHARE:
            raise OptionsError(
                f"{self.name}: {share:.0%} of the attacked texts open with a subordinate clause, not {LEAST_SHARE:.0%}",
                mend="These are no paraphrases under SynAttack's template; use from_file for other attacked rows.",
            )
        return self

    def remedy(self) -> str:
        """Where paraphrases come from."""
        return (
            "Paraphrases for SST-2 and AG's News are published at github.com/thunlp/HiddenKiller (data/scpn/20); name "
            f"them and the clean files:\n{super().remedy()}\n"
            "Antivenom does not run SCPN: its weights come in no package. If you have them, "
            "antivenom.rewriting.paraphrasing.write_pairs keeps what your SCPN makes of your rows in such a file "
            "(docs/attacks_from_files.md). Without, there is syn_rule, an approximation by rule."
        )
