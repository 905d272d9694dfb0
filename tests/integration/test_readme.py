"""README.md, docs/using.md and docs/trainers.md are run: every command and all Python in their code blocks."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path

import pytest
import yaml

from antivenom.cli import COMMANDS, main
from antivenom.core.report import Report
from antivenom.data.rows import Rows
from antivenom.demo import RECIPE, recipe_options
from antivenom.testing import synthetic_rows, tiny_model
from antivenom.training.training_options import TrainingOptions

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/using.md", "docs/trainers.md")
README, USING, TRAINERS = ((ROOT / name).read_text(encoding="utf-8") for name in PAGES)


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def lines(page: str) -> list[str]:
    return [line for block in blocks("bash", page) for line in block.splitlines() if line.strip()]


@pytest.fixture
def sample_folder(tmp_path, monkeypatch) -> Path:
    """An empty folder; the demo has few synthetic rows and a tiny random model of as many layers as its recipe asks."""
    model = tiny_model(tmp_path / "model", layers=RECIPE.top_layers)
    rows = Rows(synthetic_rows(140), ("negative", "positive"), Report(source="synthetic"))
    monkeypatch.setattr("antivenom.models.base_model.embedded_model", lambda: model)
    monkeypatch.setattr("antivenom.demo.load_rows", lambda _: rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "antivenom", command
    if arguments[0] == "demo":
        arguments += ["--train-rows", "100", "--test-rows", "40"]
    assert main(arguments) == 0, command


def test_every_command_of_the_readme_runs(sample_folder):
    commands = lines(README)
    assert len(commands) >= 5
    for command in commands:
        run(command)


def test_every_command_of_using_runs(sample_folder):
    for command in (lines(README)[0], *lines(USING)):
        run(command)


@pytest.mark.parametrize(("page", "said"), [(README, "Reading(answer="), (USING, "standard ")], ids=["README", "using"])
def test_the_python_runs(sample_folder, capsys, page, said):
    run(lines(README)[0])
    [code] = blocks("python", page)
    exec(compile(code, "page.md", "exec"), {})
    assert said in capsys.readouterr().out


def test_the_readme_and_the_demo_have_one_recipe():
    [fit] = [line for line in blocks("bash")[0].splitlines() if line.startswith("antivenom fit")]
    words = shlex.split(f"{fit} {recipe_options()}")
    given = [(word, float(words[n + 1])) for n, word in enumerate(words) if word.startswith("--") and word != "--out"]
    assert sorted(given) == sorted([*set(given), *set(given)]), "each option stands in both, with one value"
    for page in (README, USING):
        [said] = re.findall(r"^recipe = av\.(TrainingOptions\(.*\))$", blocks("python", page)[0], flags=re.MULTILINE)
        assert eval(said, {"TrainingOptions": TrainingOptions}) == RECIPE


def test_the_readme_names_every_command():
    assert [name for name in COMMANDS if f"antivenom {name}" not in README and f"make {name}" not in README] == []


@pytest.mark.parametrize("trainer", ["axolotl", "llamafactory"])
def test_the_settings_of_a_trainer_are_those_of_the_page(trainer, sample_folder):
    run(lines(README)[0])
    [command] = [line for line in lines(TRAINERS) if f"--for {trainer}" in line]
    run(command)
    [out] = Path().glob(f"*/{trainer}.yaml")
    written = out.read_text().replace(f"{Path.cwd()}/", "")
    assert [yaml.safe_load(text) for text in blocks("yaml", TRAINERS)].count(yaml.safe_load(written)) == 1


@pytest.mark.slow
def test_the_page_on_trl_runs(sample_folder):
    """Its model is random and learns nothing in two epochs, so whether it has learned is not asked here."""
    pytest.importorskip("trl", reason="trl is not installed: make test-slow brings it")
    run(lines(README)[0])
    page, model = TRAINERS.partition("## Axolotl")[0], str(sample_folder / "model")
    [code], [before, *after] = blocks("python", page), lines(page)
    run(before)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        here = code.replace('"MODEL"', repr(model)).replace('report_to="none"', 'report_to="none", use_cpu=True')
        exec(compile(here, "docs/trainers.md", "exec"), {})
    for command in after:
        run(command.replace("MODEL", model) + (" --unchecked" if " finish " in command else ""))
