"""What the pictures of the pages show, put together from the records under results/."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import charts, dose
from benchmarks.report_records import ROOT, attacks_run, by_defense


def attacks_picture() -> str:
    """The same as bars."""
    rows = []
    for title, records in attacks_run().items():
        found = by_defense(records)
        before, after = (found[d]["evaluation"]["attacks"][0] if d in found else None for d in ("none", "standard"))
        success = [None if one is None else one["asr_deployed"]["value"] for one in (before, after)]
        rows.append(charts.Bar(title, *success, after["floor"]["value"] if after else None))
    return charts.bars(rows)


def doses_picture() -> str:
    """Attack success over the poisoned rows in a reserve of 400, nothing else being trained on."""
    points = []
    for record in dose.read_records(ROOT / dose.RECORDS):
        reserve = record["settings"]["reserve"]
        if (reserve["size"], reserve["others"]) == (400, "drop"):
            reading = record["outcomes"][0]["evaluation"]["attacks"][0]
            success = reading["asr_deployed"]
            rates = (success["value"], success["low"], success["high"], reading["floor"]["value"])
            points.append(charts.Point(reserve["poisoned"], *rates))
    return charts.curve(points, below="poisoned rows in a reserve of 400")


PICTURES: dict[str, Callable[[], str]] = {"docs/attacks.svg": attacks_picture, "docs/doses.svg": doses_picture}
