"""Write the tables and pictures of README.md and docs/science.md from the records under results/.

    python -m benchmarks.report            # fill every `<!-- table: NAME -->` ... `<!-- end of table -->`
    python -m benchmarks.report --check    # exit with 1 if a table is not what the records say

No number in those tables is typed by hand. Which records belong to a table stands in report.toml.
"""

from __future__ import annotations

import argparse
import re
import sys

from benchmarks.report_pictures import PICTURES
from benchmarks.report_records import ROOT
from benchmarks.report_tables import TABLES

PAGES = ("README.md", "docs/science.md")
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def main(argv: list[str] | None = None) -> int:
    """Fill the tables, or check them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a table is out of date")
    asked = parser.parse_args(argv)
    stale = []
    for name in PAGES:
        page = ROOT / name
        before = page.read_text(encoding="utf-8")
        after = MARKED.sub(lambda found: found[1] + TABLES[found[2]]() + "\n" + found[3], before)
        if after != before:
            stale.append(name)
            if not asked.check:
                page.write_text(after, encoding="utf-8")
    for name, draw in PICTURES.items():
        path = ROOT / name
        drawn = draw()
        if not path.exists() or path.read_text(encoding="utf-8") != drawn:
            stale.append(name)
            if not asked.check:
                path.write_text(drawn, encoding="utf-8")
    print(
        f"{'out of date' if asked.check else 'written'}: {', '.join(stale)}" if stale else "every table is up to date"
    )
    return 1 if stale and asked.check else 0


if __name__ == "__main__":
    sys.exit(main())
