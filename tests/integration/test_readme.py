"""The README is run: every command and every line of Python in its code blocks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from antivenom.cli import COMMANDS, main

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_every_command_of_the_readme_runs(user_folder, capsys):
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    assert len(commands) >= 5
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "antivenom", command
        assert main(arguments) == 0, f"{command}\n{capsys.readouterr().err}"


def test_the_python_of_the_readme_runs(user_folder, capsys):
    [code] = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert "Reading(answer=" in capsys.readouterr().out


def test_the_readme_names_every_command():
    assert [name for name in COMMANDS if f"antivenom {name}" not in README and f"make {name}" not in README] == []
