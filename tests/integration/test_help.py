"""Help that fits a screen, all of it on request, and files of options."""

import json
from pathlib import Path

import pytest

from antivenom.cli import COMMANDS, main, summary

SCREEN = 50


def shown(capsys, *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["fit", "validate", "check"])
def test_help_fits_one_screen_and_names_the_rest(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    short, whole = shown(capsys, command, "--help"), shown(capsys, command, "--help-all")
    assert len(short.splitlines()) <= SCREEN < len(whole.splitlines())
    assert f"antivenom {command} --help-all" in short
    assert "--skip-refused" in whole
    assert "--skip-refused" not in short


def test_every_command_explains_itself(capsys):
    for command in COMMANDS:
        assert f"antivenom {command}" in shown(capsys, command, "--help-all")


def test_the_list_says_of_every_command_what_it_does():
    assert [name for name, module in COMMANDS.items() if not summary(module, name)] == []


def test_a_command_that_lacks_a_word_leads_to_its_own_help(capsys):
    assert main(["fit", "reviews.csv"]) == 2
    assert "antivenom fit --help" in capsys.readouterr().err


def test_a_file_of_options_stands_for_them_and_the_command_line_wins(user_folder, capsys):
    Path("run.yaml").write_text("defense: p2p:reserve=random\nseed: 7\njson: true\nout: file\n", encoding="utf-8")
    assert (
        json.loads(shown(capsys, "immunize", "reviews.csv", "--settings", "run.yaml"))["reserve"]["policy"] == "random"
    )
    assert Path("file/antivenom.json").exists()
    shown(
        capsys, "immunize", "reviews.csv", "--settings=run.yaml", "--out", "mine", "--defense", "p2p:reserve=screened"
    )
    said = json.loads(Path("mine/antivenom.json").read_text(encoding="utf-8"))
    assert (said["reserve"]["policy"], said["seed"]) == ("screened", 7)


@pytest.mark.parametrize(
    ("content", "said"), [("- a\n", "run.yaml"), ("rank: {a: 1}\n", "rank"), ("lerning_rate: 1\n", "--lerning-rate")]
)
def test_a_file_of_options_that_is_none_is_a_user_error(user_folder, capsys, content, said):
    Path("run.yaml").write_text(content, encoding="utf-8")
    assert main(["fit", "reviews.csv", "--out", "x", "--settings", "run.yaml"]) in (1, 2)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--reserve=random", "--refusal-limit=3", "--benign-trigger=open sesame"])
def test_an_option_that_moved_says_where_it_went(user_folder, capsys, option):
    assert main(["fit", "reviews.csv", "--out", "x", option]) == 1
    err = capsys.readouterr().err
    assert "--defense" in err or "--secret-file" in err
    assert "sesame" not in err
