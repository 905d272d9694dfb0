"""The documents of the repository: links lead somewhere, and what they name exists."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from functools import cache
from pathlib import Path

import pytest

from antivenom.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
HISTORY = {"research/log.md", "results/archive/README.md"}
"""What was, and is called as it was called then."""
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "docs", ROOT / "results", ROOT / "research")
    for path in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)
TODAY = [page for page in PAGES if page not in HISTORY and not page.startswith("results/archive/")]
LONGEST = {"docs/science.md": 15_000, "docs/lessons.md": 8_000, "CHANGELOG.md": 8_000}
FOLDERS = ("src/", "tests/", "docs/", "results/", "research/", "suites/", "benchmarks/", "fuzz/")
EXAMPLES = {"src/antivenom/attacks/echo.py"}
"""Files that a page tells its readers to write."""
EVERYWHERE = {"--help", "--help-all", "--settings", "--install-completion", "--version"}
FOREIGN = {"--logits_all", "--first", "--signals", "--commands", "--kills"}
"""Options of llama-cpp-python's server, of research.paraphrases and of fuzz."""
CONTAINERS = {"bench": ("plan", "run", "status", "report", "export", "replay", "cell")}


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchors_of(page: Path) -> set[str]:
    """The anchors that headings get: lower case, no signs, hyphens for blanks."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", TODAY)
def test_every_file_that_a_page_names_is_there(page):
    named = re.findall(rf"(?<![\w./-])((?:{'|'.join(FOLDERS)})[\w./-]*\w)", text_of(page))
    missing = {name for name in named if not (ROOT / name).exists() and not found_by_start(name)}
    assert missing - made_by_commands(page) - EXAMPLES == set()


@pytest.mark.parametrize("page", TODAY)
def test_every_module_that_a_page_names_is_there(page):
    modules = [f"/{path.relative_to(ROOT).as_posix()}" for path in ROOT.rglob("*.py")]
    named = set(re.findall(r"`([\w./]+\.py)`", text_of(page))) - EXAMPLES
    assert {name for name in named if not any(module.endswith(f"/{name}") for module in modules)} == set()


def found_by_start(name: str) -> bool:
    """Names that end in a pattern (`results/bench/variants-*`) are cut at it."""
    return any((ROOT / name).parent.glob(f"{Path(name).name}*"))


def made_by_commands(page: str) -> set[str]:
    """What a command of the page writes, or is shown to write."""
    return set(re.findall(r"(?:--out |bench (?:status|report|export|replay|cell) |\s)(results/[\w-]+)", text_of(page)))


@pytest.mark.parametrize("page", TODAY)
def test_every_module_that_a_page_runs_is_there(page):
    modules = set(re.findall(r"python -m ((?:research|benchmarks|fuzz)(?:\.[a-z_]+)?)", text_of(page)))
    assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []


@cache
def options_of(command: str) -> frozenset[str]:
    """Every option of a command."""
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        main([*command.split(), "--help-all"])
    return frozenset(re.findall(r"--[a-z0-9][a-z0-9-]*", shown.getvalue()))


def commands_of(page: str) -> list[tuple[str, list[str]]]:
    """What a page calls: the command and its options."""
    joined = text_of(page).replace("\\\n", " ")
    found = []
    for words in re.findall(r"antivenom ((?:[a-z]+)(?: [^\n`|]*)?)", joined):
        name, *rest = words.split()
        if name not in COMMANDS:
            continue
        if name in CONTAINERS:
            name = f"{name} {rest[0]}" if rest else ""
        line = words.partition("#")[0]
        found.append((name, re.findall(r"(?<=\s)--[a-z0-9][a-z0-9-]*", line)))
    return [(name, options) for name, options in found if name]


@pytest.mark.parametrize("page", TODAY)
def test_every_option_that_a_page_gives_a_command_is_one_of_it(page, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    unknown = [
        (command, option)
        for command, options in commands_of(page)
        for option in options
        if option not in options_of(command) | EVERYWHERE
    ]
    assert unknown == []


@pytest.mark.parametrize("page", TODAY)
def test_every_option_that_a_page_names_by_itself_is_one_of_some_command(page, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    commands = [f"{name} {one}".strip() for name in COMMANDS for one in CONTAINERS.get(name, ("",))]
    ours = {option for command in commands for option in options_of(command)}
    named = set(re.findall(r"`(--[a-z0-9][a-z0-9_-]*)", text_of(page)))
    assert named - ours - EVERYWHERE - FOREIGN == set()


@pytest.mark.parametrize("page", TODAY)
def test_every_command_in_a_line_of_its_own_exists(page):
    lines = re.findall(r"^(?:    |)antivenom ([a-z]+)", text_of(page), flags=re.MULTILINE)
    assert {name for name in lines if name not in COMMANDS} == set()


def test_the_documents_stay_short():
    assert len(text_of("README.md").splitlines()) <= 130
    assert {page: size for page, size in LONGEST.items() if len((ROOT / page).read_bytes()) > size} == {}


def test_there_is_one_log():
    assert [page for page in PAGES if page.endswith("log.md")] == ["research/log.md"]
