"""docs/adding_an_attack.md, followed to the letter as a package of one's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import antivenom

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/adding_an_attack.md"

USE = """
from antivenom.attacks import attacks, parse_attack
from antivenom.data.rows import table_of
from antivenom.tasks.task import Classification

attack = parse_attack("echo:times=3;rate=0.5")
task = Classification.for_labels(("negative", "positive"))
rows = table_of(["a dull film", "a good film"] * 4, ["negative", "positive"] * 4)
poisoned = attack.poison(task, rows, seed=0)
assert "echo" in attacks() and "badnets" in attacks()
assert len(poisoned.indices) == 4
assert poisoned.rows["text"][poisoned.indices[0]].as_py() == "a good film film film film"
assert attack.probes(task, rows, seed=0)["text"][0].as_py() == "a good film film film film"
assert parse_attack(str(attack)) == attack
"""


def block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"^  ", "", found, flags=re.MULTILINE) if language == "toml" else found


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The page's example, installed as a distribution with the page's entry point."""
    [(group, points)] = tomllib.loads(block("toml"))["project"]["entry-points"].items()
    [(name, value)] = points.items()
    (tmp_path / f"{value.partition(':')[0]}.py").write_text(block("python"), encoding="utf-8")
    info = tmp_path / "antivenom_echo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: antivenom-echo\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n", encoding="utf-8")
    source = Path(antivenom.__file__).parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(source)])}


def run(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_registry_finds_the_example_and_it_works(environment):
    run(environment, "-c", USE)


def test_the_example_passes_the_contract_tests(environment):
    if not (ROOT / "tests/contract").is_dir():
        pytest.skip("there are no contract tests here")
    out = run(environment, "-m", "pytest", "tests/contract", "-q", "-k", "echo", "-p", "no:cacheprovider")
    assert int(re.search(r"(\d+) passed", out)[1]) >= 5


def test_every_hook_of_the_table_exists():
    from antivenom.attacks import Attack

    hooks = re.findall(r"^\| `(\w+)\(", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(hooks) == 9
    assert all(callable(getattr(Attack, hook)) for hook in hooks)
