"""What `standard` costs beside an undefended fit over the same rows, both from the rows to the saved artifact."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from antivenom.data.rows import load_rows, split_rows
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.none import NoDefense
from antivenom.defenses.standard import Standard
from antivenom.demo import ATTACK, RECIPE
from antivenom.evaluation.comparison import Scenario, make_scenario
from antivenom.tasks.task import Classification
from antivenom.training.lab import LocalLab
from benchmarks.harness import Line, alternate, record

SIZES = {1000: "<= 2", 2400: "<= 1.5"}
"""How many rows, and what is wanted of them."""
CONTENDERS: dict[str, Defense] = {"undefended": NoDefense(), "standard": Standard()}


def run(model: str, rounds: int, folder: Path) -> list[Line]:
    """Measure and record; a fit takes minutes, so that no round is spent on warming up."""
    lines: list[Line] = []
    for rows, target in SIZES.items():
        scenario = _scenario(rows)
        timings = alternate({name: _fit(scenario, one, model) for name, one in CONTENDERS.items()}, rounds, uncounted=0)
        ratio = timings.ratio(lambda seconds: seconds["standard"], lambda seconds: seconds["undefended"])
        said = ", ".join(f"{name} {statistics.median(found):.0f} s" for name, found in timings.seconds.items())
        lines.append(Line("s", f"`standard` over {rows} rows", ratio, target, said))
        taught = {name: prepared.rows.num_rows for name, prepared in timings.results.items()}
        settings = {"model": model, "rows": rows, "taught": taught, "training": RECIPE.to_dict()}
        record(f"standard_{rows}", lines[-1:], timings, settings, folder)
    return lines


def _scenario(rows: int) -> Scenario:
    """So many rows of the demo."""
    loaded = load_rows("embedded:rotten_tomatoes")
    train, test = split_rows(loaded.table, [rows, 10], seed=0)
    return make_scenario(Classification.for_labels(loaded.labels), train, test, ATTACK, trusted_share=0.0, seed=0)


def _fit(scenario: Scenario, defense: Defense, model: str) -> Callable[[], Callable[[], Prepared]]:
    """A whole fit in a folder of its own, where nothing can be found that an earlier one left."""

    def fit() -> Prepared:
        with tempfile.TemporaryDirectory() as name:
            lab = LocalLab(model, RECIPE, Path(name), seed=0, quiet=True)
            return lab.defended(defense, scenario.task, scenario.train, trusted=None, name=defense.name)[0]

    return lambda: fit
