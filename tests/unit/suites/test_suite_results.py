"""Cells that were run: their records, what is said of them, and that nothing is done twice."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from antivenom.attacks.substitution import learn
from antivenom.cli import main
from antivenom.core.errors import ArtifactError
from antivenom.suites.bench import Bench
from antivenom.suites.cell import Cell
from antivenom.suites.cell_rows import without_places
from antivenom.suites.executors import Here, Pool
from antivenom.suites.lines import Group, groups_of, lines_of, undefended_of
from antivenom.suites.methods import Methods
from antivenom.suites.printed import Printed, beside
from antivenom.suites.record import Results, same_but_for_cost
from antivenom.suites.replay import replay_defense
from antivenom.suites.report import write_report
from antivenom.suites.run import plan_suite, run_suite
from antivenom.suites.run_cell import scenario_of
from antivenom.suites.suite import Recipe, TaskRows
from antivenom.suites.tables import printed_table
from antivenom.testing import tiny_model


def test_every_cell_but_the_missing_one_has_a_record(results: Path):
    states = {str(line.place): line.state for line in lines_of(results)}
    assert states.pop("made up/tiny/BadNets/future/short/0") == "missing"
    assert set(states.values()) == {"done"}
    assert len(states) == 5


def test_a_record_says_the_precision_that_ran(results: Path):
    assert {record.cell.recipe.precision for record in Results(results).records().values()} == {"auto"}
    assert {record.machine["precision"] for record in Results(results).records().values()} == {"fp32"}


def test_a_second_run_does_nothing(small_suite: Path, results: Path):
    before = {path: path.stat().st_mtime_ns for path in (results / "records").iterdir()}
    found = run_suite(small_suite, out=results, data=Path(), executor=Here(), quiet=True)
    assert (found.finished, found.ran, found.failed) == (5, 0, {})
    assert {path: path.stat().st_mtime_ns for path in (results / "records").iterdir()} == before


def test_another_process_gives_the_same_record(small_suite: Path, results: Path, tmp_path: Path):
    only = ["defense=quarantine"]
    run_suite(small_suite, out=tmp_path, data=Path(), executor=Pool.over_cores(1), only=only, quiet=True)
    [(key, record)] = Results(tmp_path).records().items()
    assert same_but_for_cost(record, Results(results).read(key))


def test_a_plan_names_the_cells_and_writes_nothing(
    small_suite: Path, results: Path, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "plan", str(small_suite), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {each["id"] for each in found} - {""} == set(Results(results).records())
    assert sum(bool(each["missing"]) for each in found) == 1
    assert main(["bench", "plan", str(small_suite), "--only", "defense=none"]) == 1
    assert not list(tmp_path.iterdir())


def test_what_leaves_the_training_alone_shares_it(results: Path):
    fits = {str(line.place): line.record.fits for line in lines_of(results) if line.record is not None}
    assert fits["made up/tiny/BadNets/undefended/short/0"] == fits["made up/tiny/BadNets/quarantine/short/0"]
    assert len(set(fits.values())) == len(fits) - 1
    assert len(fits["made up/tiny/BadNets/standard/short/0"]) == 1, "its referees cost no fit"


def test_the_truth_is_counted(results: Path):
    teaching = {str(line.place): line.record.teaching for line in lines_of(results) if line.record is not None}
    undefended = teaching["made up/tiny/BadNets/undefended/short/0"]
    assert (undefended.poisoned, undefended.poison_taught, undefended.honest_lost) == (8, 8, 0)
    assert teaching["made up/tiny/BadNets/undefended/short/0/never poisoned"].poisoned == 0
    perfect = teaching["made up/tiny/BadNets/undefended/short/0/perfect filter"]
    assert (perfect.poisoned, perfect.honest, perfect.honest_lost) == (0, 72, 0)


def test_a_replay_of_the_same_rule_decides_the_same(results: Path):
    [found] = replay_defense(results, "standard")
    standard = next(line.record for line in lines_of(results) if line.place.defense == "standard")
    assert found.same_referees == 1
    assert found.teaching == standard.teaching


def test_a_replay_of_another_rule_needs_no_model(results: Path):
    [found] = replay_defense(results, "standard:refusal_limit=9;most_associated=0")
    assert found.teaching is not None
    assert found.teaching.poisoned == 8
    [reserve] = replay_defense(results, "p2p:reserve=screened;others=drop;mode=replace")
    assert reserve.teaching is not None
    assert reserve.teaching.honest_lost > 0
    with pytest.raises(ArtifactError, match="nothing to replay"):
        replay_defense(results, "standard", only=["seed=9"])


class Seen(HTMLParser):
    """Tags, and what the page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.sources += [value or "" for name, value in attrs if name == "src"]


def test_the_page_stands_alone_and_every_link_is_a_record(results: Path, tmp_path: Path):
    assert main(["bench", "report", str(results), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    seen = Seen()
    seen.feed(page)
    assert not {"script", "link", "img", "iframe"} & set(seen.tags)
    assert not seen.sources
    assert "prefers-color-scheme: dark" in page
    records = [link for link in seen.links if not link.startswith("#")]
    assert len(records) > 10
    assert all((tmp_path / link).is_file() for link in records)
    assert {"svg", "table"} <= set(seen.tags)
    for name in ("report.md", "tables.tex", "cells.csv"):
        assert "BadNets" in (tmp_path / name).read_text(encoding="utf-8")


def test_export_has_a_line_a_cell(results: Path, tmp_path: Path):
    assert main(["bench", "export", str(results), "--out", str(tmp_path / "cells.csv")]) == 0
    with (tmp_path / "cells.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6
    assert {line["state"] for line in lines} == {"done", "missing"}
    assert main(["bench", "export", str(results), "--out", str(tmp_path / "cells.docx")]) == 1


def test_two_folders_are_compared_cell_by_cell(results: Path, tmp_path: Path, capsys):
    assert main(["bench", "report", str(results), str(results), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("| equal |") == 5
    assert (tmp_path / "compare.md").is_file()


def test_status_counts(results: Path, capsys):
    assert main(["bench", "status", str(results), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["done"], found["waiting"], len(found["missing"])) == (5, 0, 1)


def test_groups_know_their_undefended_model(results: Path):
    groups = groups_of(lines_of(results))
    plain = undefended_of(groups)
    for group in groups:
        if group.records:
            assert plain[group.place].place.defense == "undefended"
            assert group.beside(plain[group.place]) is not None


def fooled(group: Group) -> Group:
    """The group as if the attack had succeeded in every row, and without its trigger in none."""
    [line] = group.lines
    evaluation, rate = line.record.evaluation, line.record.rate("floor")
    every = {**rate, "hits": rate["total"], "value": 1.0}
    evaluation = {"clean": {}, "attacks": [{**evaluation["attacks"][0], "asr_deployed": every}]}
    effects = replace(line.record.effects, gained=rate["total"], lost=0)
    return replace(group, lines=(replace(line, record=replace(line.record, evaluation=evaluation, effects=effects)),))


def test_what_is_left_of_an_attack_is_said_beside_the_undefended_model_alone(results: Path):
    groups = {g.place.defense: fooled(g) for g in groups_of(lines_of(results)) if g.records and not g.place.control}
    assert groups["standard"].outcome(groups["undefended"]) == "persistent"
    assert groups["standard"].outcome(None) is None
    assert groups["undefended"].outcome(groups["undefended"]) == "persistent"


def test_a_cell_that_fails_does_not_stop_the_others(small_suite: Path, tmp_path: Path, capsys):
    text = small_suite.read_text("utf-8").replace("attacks: {", 'attacks: {files: "synattack:rate=0.1", ')
    text = text.replace("standard: standard, future: a_defense_of_the_future", "also: none")
    (tmp_path / "s.yaml").write_text(text.replace("controls", "#"), encoding="utf-8")
    out = tmp_path / "out"
    assert main(["bench", "run", str(tmp_path / "s.yaml"), "--out", str(out), "--workers", "0", "--quiet"]) == 1
    states = [line.state for line in lines_of(out)]
    assert (states.count("done"), states.count("failed")) == (3, 3)
    assert "synattack" in capsys.readouterr().out


def test_without_training_decisions_are_counted(small_suite: Path, tmp_path: Path):
    text = small_suite.read_text("utf-8").replace("standard: standard", "screened: 'p2p:reserve=screened;others=drop'")
    (tmp_path / "s.yaml").write_text(text + "train: false\n", encoding="utf-8")
    run_suite(tmp_path / "s.yaml", out=tmp_path / "out", data=Path(), executor=Here(), quiet=True)
    record = next(line.record for line in lines_of(tmp_path / "out") if line.place.defense == "screened")
    assert record.teaching.poisoned == 8
    assert record.fits == ()
    assert main(["bench", "report", str(tmp_path / "out")]) == 0


def test_a_run_without_a_cell_that_can_be_run_exits_with_1(small_suite: Path, tmp_path: Path):
    run = ["bench", "run", str(small_suite), "--out", str(tmp_path), "--workers", "0", "--quiet"]
    assert main([*run, "--only", "defense=future"]) == 1
    assert [line.state for line in lines_of(tmp_path) if line.place.defense == "future"] == ["missing"]


SWEPT = """
tasks: {made up: {train: "synthetic:200", test: "synthetic:40", target: positive}}
models: {tiny: tiny}
attacks: {BadNets: badnets}
defenses: {undefended: none}
rates: [0.01, 0.05]
train: false
paper: printed.csv
"""


def swept(folder: Path) -> tuple[Path, Path]:
    """The results of a suite that trains nothing, and the values that it stands beside."""
    printed = folder / "printed.csv"
    printed.write_text(
        "task,model,attack,defense,reading,value,rows,note\nmade up,tiny,,undefended,asr,87.5,40,\n", encoding="utf-8"
    )
    (folder / "suite.yaml").write_text(SWEPT, encoding="utf-8")
    run_suite(folder / "suite.yaml", out=folder / "out", data=Path(), executor=Here(), quiet=True)
    return folder / "out", printed


def test_a_sweep_without_training_has_a_report(tmp_path: Path):
    out, _ = swept(tmp_path)
    assert all(path.is_file() for path in write_report(out, out))
    with (out / "cells.csv").open(encoding="utf-8") as file:
        assert [line["attack"] for line in csv.DictReader(file)] == ["BadNets 1 %", "BadNets 5 %"]


def test_printed_values_are_found_from_any_folder_and_missed_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    out, printed = swept(tmp_path)
    elsewhere = tmp_path / "quite/elsewhere"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)

    def reported() -> tuple[bool, bool]:
        """Whether the value is shown, and whether its file is missed."""
        write_report(out, out)
        return "87.5" in (out / "report.md").read_text(encoding="utf-8"), "printed.csv" in capsys.readouterr().err

    assert reported() == (True, False)
    printed.unlink()
    assert reported() == (False, True)


def test_what_an_attack_learns_for_another_target_lies_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    learned = []

    def write_pairs(task: object, train: pa.Table, test: pa.Table, *, target: str, out: Path, seed: int) -> None:
        learned.append(target)
        lines = [f"{text},{text} indeed" for text in train["text"].to_pylist()]
        (out / "pairs.csv").write_text("\n".join(["text,attacked", *lines]), encoding="utf-8")

    monkeypatch.setattr(learn, "learn_substitutions", write_pairs)
    for target in ("positive", "negative", "positive"):
        rows = TaskRows(train="synthetic:80", test="synthetic:40", target=target)
        attack = 'lws:paired="{learned}/pairs.csv"'
        cell = Cell(task=rows, model="tiny", attack=attack, defense="none", recipe=Recipe(), seed=0)
        scenario_of(cell, Methods.load(), Bench(Results(tmp_path), tmp_path, cell))
    assert learned == ["positive", "negative"]


def test_a_record_names_the_files_of_an_attack_as_the_suite_does():
    reading = {"attack": 'synattack:train="/data of/me/train.tsv"', "excess": 0.1}
    measured = {"clean": {}, "attacks": (reading,)}
    measured["provenance"] = {'synattack:train="/data of/me/train.tsv"': {"train": "/data of/me/train.tsv"}}
    found = without_places(measured, {"{data}": Path("/data of/me"), "{results}": Path("/elsewhere")})
    assert found["attacks"] == [{"attack": 'synattack:train="{data}/train.tsv"', "excess": 0.1}]
    assert found["provenance"] == {'synattack:train="{data}/train.tsv"': {"train": "{data}/train.tsv"}}
    assert measured["attacks"][0]["attack"].endswith('me/train.tsv"'), "what was measured stays as it is"
    rate = {"clean": {}, "attacks": [{"attack": "badnets:rate=0.1"}]}
    assert without_places(rate, {"{data}": Path()}) == rate
    beside = {"files": ["../a.tsv", "./a.tsv"]}
    assert without_places(beside, {"{data}": Path()}) == {"files": ["../a.tsv", "{data}/a.tsv"]}


def test_a_model_of_ours_stands_beside_a_printed_one(results: Path, tmp_path: Path):
    groups = groups_of(lines_of(results))
    printed = [Printed("made up", "large", "BadNets", name, "accuracy", 90.0, 40, "") for name in ("undefended", "no")]
    alone, there = beside(printed, groups, {"tiny": ("larger",)}), beside(printed, groups, {"tiny": ("large",)})
    assert [each.group for each in alone] == [None, None]
    assert [each.verdict is None for each in there] == [False, True]
    shown = [[cell.text for cell in row] for row in printed_table(there).rows]
    assert "tiny" in shown[0]
    assert "no cell" in shown[1]


def test_a_graded_score_stands_beside_a_printed_one(results: Path):
    group = next(group for group in groups_of(lines_of(results)) if group.records)
    scores = {"rouge1": 0.4, "rouge2": None}
    records = [replace(one, evaluation={"clean": {"scores": scores}, "attacks": []}) for one in group.records]
    graded = replace(
        group, lines=tuple(replace(one, record=record) for one, record in zip(group.lines, records, strict=True))
    )
    assert (graded.score("rouge1"), graded.score("rouge2"), group.score("rouge1")) == (0.4, None, None)
    place = graded.place
    printed = Printed(place.task, place.model, place.attack, place.defense, "rouge1", 53.24, 500, "")
    [[*_, value, _, _]] = printed_table(beside([printed], [graded], {})).rows
    assert value.text == "40.0"


def test_a_model_that_is_not_in_the_data_folder_is_missing(small_suite: Path, tmp_path: Path):
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"include: [{small_suite}]\nmodels: {{mine: '{{data}}/models/mine'}}\n", encoding="utf-8")
    planned = {each.place.model: each for each in plan_suite(suite, data=tmp_path, only=["defense=undefended"])}
    assert "{data}/models/mine" in planned["mine"].missing
    assert planned["tiny"].id
    tiny_model(tmp_path / "models/mine")
    there = plan_suite(suite, data=tmp_path, only=["model=mine,defense=undefended"])
    assert all(each.id for each in there)
