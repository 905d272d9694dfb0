"""Several comparisons in one table: a line for each attack and defense, means and spreads over seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from antivenom.core.console import latex_text, markdown_text, spreadsheet_cell
from antivenom.core.options import Options
from antivenom.evaluation.record import Evaluation
from antivenom.evaluation.seeds import Spread, over_seeds

MEASURES = {
    "accuracy": "clean accuracy",
    "balanced_accuracy": "balanced accuracy",
    "attacks.0.asr": "ASR",
    "attacks.0.asr_deployed": "ASR deployed",
    "attacks.0.floor": "floor",
    "attacks.0.excess": "excess",
}
"""What the tables show, by the names of `seeds.over_seeds`."""


class Run(NamedTuple):
    """One defense under one attack with one seed."""

    attack: str
    """The attack and its options."""
    defense: str
    """The folder's name, which tells two of the same defense apart."""
    seed: int
    """Drew the poisoned rows, and keyed the training."""
    evaluation: Evaluation
    """What was measured."""


@dataclass(frozen=True)
class SummaryLine(Options):
    """One attack and one defense, over all seeds."""

    attack: str
    defense: str
    seeds: tuple[int, ...]
    numbers: dict[str, Spread]
    """Mean and standard deviation of every number, by the names of `seeds.over_seeds`."""

    def cells(self) -> list[str]:
        """The shown numbers as percent."""
        return [str(self.numbers[name]) if name in self.numbers else "-" for name in MEASURES]


def summarize_runs(runs: Sequence[Run]) -> list[SummaryLine]:
    """Join the runs of equal attack and defense, in the order of the first of each."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.attack, run.defense), []).append(run)
    return [
        SummaryLine(attack, defense, tuple(run.seed for run in some), over_seeds([run.evaluation for run in some]))
        for (attack, defense), some in groups.items()
    ]


def as_csv(lines: Sequence[SummaryLine]) -> str:
    """A table for programs: shares from 0 to 1, a column for each mean and each standard deviation."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [name.rpartition(".")[2] for name in MEASURES]
    writer.writerow(["attack", "defense", "seeds", *(head for name in names for head in (name, f"{name}_sd"))])
    for line in lines:
        numbers: list[float | None] = []
        for spread in (line.numbers.get(name) for name in MEASURES):
            numbers += [spread.mean, spread.sd] if spread else [None, None]
        writer.writerow([spreadsheet_cell(line.attack), spreadsheet_cell(line.defense), len(line.seeds), *numbers])
    return out.getvalue()


def as_markdown(lines: Sequence[SummaryLine]) -> str:
    """A table for a README: percent, mean ± standard deviation."""
    heads = ["attack", "defense", *MEASURES.values()]
    rows = [heads, ["---"] * len(heads), *([line.attack, line.defense, *line.cells()] for line in lines)]
    return "".join(f"| {' | '.join(map(markdown_text, row))} |\n" for row in rows)


def as_latex(lines: Sequence[SummaryLine]) -> str:
    """A table for a paper (booktabs): percent, mean ± standard deviation."""
    heads = ["attack", "defense", *MEASURES.values()]
    body = [" & ".join(map(latex_text, [line.attack, line.defense, *line.cells()])) + r" \\" for line in lines]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{ll{'r' * len(MEASURES)}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


FORMATS = {"summary.csv": as_csv, "summary.md": as_markdown, "summary.tex": as_latex}
"""What `compare` writes into its folder."""
