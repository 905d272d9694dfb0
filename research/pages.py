"""Write the tables and pictures of README.md, docs and results/REPORT.md from the records under results.

    python -m research.pages            # fill every `<!-- table: NAME -->` ... `<!-- end of table -->`
    python -m research.pages --check    # exit with 1 if a table is not what the records say

No number in those tables is typed by hand. Which records belong to a table stands in pages.toml. New numbers come from
suites (docs/suites.md), whose reports `antivenom bench report` writes.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable

from research import charts
from research.archive import ROOT, first, outcome, read, settings
from research.page_tables import TABLES
from research.shipped import shipped_picture

PAGES = (
    "README.md",
    "docs/baselines.md",
    "docs/p2p.md",
    "docs/science.md",
    "results/REPORT.md",
    "results/archive/REPORT.md",
)
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def doses_picture() -> str:
    """Attack success over the poisoned rows in a reserve of 400, nothing else being trained on."""
    points = []
    for path in settings()["doses"].values():
        reserve, reading = read(path)["settings"]["reserve"], first(outcome(path))
        if (reserve["size"], reserve["others"]) == (400, "drop"):
            success = reading["asr_deployed"]
            rates = (success["value"], success["low"], success["high"], reading["floor"]["value"])
            points.append(charts.Point(reserve["poisoned"], *rates))
    return charts.curve(points, below="poisoned rows in a reserve of 400")


PICTURES: dict[str, Callable[[], str]] = {
    "docs/attacks.svg": shipped_picture,
    "results/archive/doses.svg": doses_picture,
}


def main(argv: list[str] | None = None) -> int:
    """Fill the tables, or check them."""
    parser = argparse.ArgumentParser(
        prog="python -m research.pages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a table is out of date")
    check, stale = parser.parse_args(argv).check, []
    for name in (*PAGES, *PICTURES):
        page = ROOT / name
        before = page.read_text(encoding="utf-8")
        after = PICTURES[name]() if name in PICTURES else MARKED.sub(_filled, before)
        if after != before:
            stale.append(name)
            if not check:
                page.write_text(after, encoding="utf-8")
    print(f"{'out of date' if check else 'written'}: {', '.join(stale)}" if stale else "every table is up to date")
    return 1 if stale and check else 0


def _filled(found: re.Match[str]) -> str:
    return f"{found[1]}{TABLES[found[2]]()}\n{found[3]}"


if __name__ == "__main__":
    sys.exit(main())
