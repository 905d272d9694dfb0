"""One command for all benchmarks: `python -m benchmarks`, or `python -m benchmarks scoring variants --rounds 7`."""

from __future__ import annotations

import argparse
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmarks.harness import table

ALL = ("training", "precision", "scoring", "rebuilding", "variants", "onion", "standard")


def main() -> int:
    """Run the chosen benchmarks and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", choices=[*ALL, []], help="which ones (all)")
    parser.add_argument("--model", default="smollm2", help="smollm2 or a folder")
    parser.add_argument("--rounds", type=int, default=5, help="alternations that are counted")
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder of the records")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    lines = []
    for name in asked.names or ALL:
        if name == "training" and find_spec("trl") is None:
            print("training: skipped, it needs `pip install trl==1.16.0`")
            continue
        print(f"{name}:", flush=True)
        lines += import_module(f"benchmarks.{name}").run(asked.model, asked.rounds, asked.out)
    print("\n" + table(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
