"""What a suite may say, which cells it has, and what tells two cells apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import antivenom.attacks
import antivenom.defenses
from antivenom.core.errors import OptionsError
from antivenom.core.registry import split_chain
from antivenom.suites import code
from antivenom.suites.cell import Cell, Place, chosen, grid
from antivenom.suites.identity import code_of, identify
from antivenom.suites.methods import Methods
from antivenom.suites.plan import plan
from antivenom.suites.printed import Printed, read_printed
from antivenom.suites.suite import Recipe, TaskRows, load_suite

ROOT = Path(__file__).parents[3]
SUITES = [p for p in sorted((ROOT / "suites").rglob("*.yaml")) if not p.name.startswith("_")]
METHODS = Methods.load()
CELL = Cell(
    task=TaskRows(train="synthetic:80", test="synthetic:40", target="positive"),
    model="tiny",
    attack="badnets:rate=0.1",
    defense="none",
    recipe=Recipe(),
    seed=0,
)


@pytest.mark.parametrize("path", SUITES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_suite_of_the_repository_is_valid(path: Path):
    suite = load_suite(path)
    assert all(Path(plugin).exists() for plugin in suite.plugins)
    methods = Methods.load(suite.plugins)
    cells = list(grid(suite, methods))
    assert len({str(place) for place, _ in cells}) == len(cells) > 0
    for spec in {cell.attack for _, cell in cells}:
        methods.attack(spec)
    known = {cell.defense for _, cell in cells if cell.defense.partition(":")[0].partition("@")[0] in methods.defenses}
    assert known
    for defense in map(methods.defense, known):
        assert suite.trusted_share or getattr(defense, "reserve", "") != "trusted", f"{defense} needs trusted rows"
    if suite.paper:
        printed, theirs = read_printed(Path(suite.paper)), suite.stands_for
        assert any(p.fits(place, theirs) for p in printed for place, _ in cells), "nothing stands beside another"
        lost = [p for p in printed if p.attack and not any(_is_like(place, p, theirs) for place, _ in cells)]
        assert not lost or path.parent.name == "suites", "a printed value without a cell"


def _is_like(place: Place, printed: Printed, stands_for: dict[str, tuple[str, ...]]) -> bool:
    """Whether the place is about the same but for the model."""
    return replace(printed, model="").fits(place, stands_for)


def test_every_table_of_the_paper_has_a_small_suite_beside_its_values():
    for path in sorted((ROOT / "suites/paper").glob("[tf]*.yaml")):
        large, small = load_suite(path), load_suite(ROOT / "suites/small" / path.name)
        names = [Path(suite.paper).name if suite.paper else "" for suite in (large, small)]
        assert names[0] == names[1], path.name


def write(folder: Path, text: str) -> Path:
    path = folder / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return path


LEAST = "tasks: {t: {train: a.csv, test: b.csv}}\nmodels: {m: tiny}\nattacks: [badnets]\ndefenses: [none]\n"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("atacks: [cba]", "attacks"),
        ("seeds: [one]", "seeds"),
        ("trusted_share: 2", "trusted_share"),
        ("models: {}", "models"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, more: str, named: str):
    text = "\n".join(line for line in LEAST.splitlines() if not line.startswith(more.partition(":")[0]))
    with pytest.raises(OptionsError) as error:
        load_suite(write(tmp_path, f"{text}\n{more}\n"))
    assert named in str(error.value)


def test_an_included_suite_gives_way(tmp_path: Path):
    (tmp_path / "base.yaml").write_text(LEAST + "seeds: [0, 1]\n", encoding="utf-8")
    suite = load_suite(write(tmp_path, "include: [base.yaml]\nseeds: [7]\nmodels: {other: tiny}\n"))
    assert suite.seeds == (7,)
    assert set(suite.models) == {"m", "other"}


def test_a_circle_of_includes_ends(tmp_path: Path):
    with pytest.raises(OptionsError, match="include each other"):
        load_suite(write(tmp_path, f"include: [suite.yaml]\n{LEAST}"))


def test_everything_that_decides_a_number_names_the_cell(tmp_path: Path):
    others = [
        replace(CELL, seed=1),
        replace(CELL, attack="badnets:rate=0.2"),
        replace(CELL, defense="quarantine"),
        replace(CELL, control="perfect filter"),
        replace(CELL, recipe=Recipe(epochs=1)),
        replace(CELL, trusted_share=0.1),
        replace(CELL, task=replace(CELL.task, train_rows=9)),
        replace(CELL, model="smollm2"),
    ]
    names = {identify(cell, METHODS, tmp_path) for cell in (CELL, *others)}
    assert len(names) == 1 + len(others)
    assert identify(CELL, METHODS, tmp_path) in names


def test_rows_count_by_content(tmp_path: Path):
    cell = replace(CELL, task=replace(CELL.task, train="rows.csv"))
    (tmp_path / "rows.csv").write_text("text,label\na,b\n", encoding="utf-8")
    before = identify(cell, METHODS, tmp_path)
    (tmp_path / "rows.csv").write_text("text,label\na,c!\n", encoding="utf-8")
    assert identify(cell, METHODS, tmp_path) != before


@pytest.mark.parametrize(
    ("axis", "spec"),
    [
        ("attack", 'from_file:paired="{data}/pairs.csv"'),
        ("attack", 'from_file:paired="FOLDER/pairs.csv"'),
        ("defense", 'scpd:paired="FOLDER/pairs.csv"'),
        ("defense", 'quarantine+scpd:paired="FOLDER/pairs.csv"'),
    ],
)
def test_files_that_options_name_count_by_content(tmp_path: Path, axis: str, spec: str):
    cell, names = replace(CELL, **{axis: spec.replace("FOLDER", str(tmp_path))}), set()
    for paired in ("a,b", "a,b", "a,c!"):
        (tmp_path / "pairs.csv").write_text(f"text,attacked\n{paired}\n", encoding="utf-8")
        names.add(identify(cell, METHODS, tmp_path))
    assert len(names) == 2


def test_code_of_a_method_counts_what_it_imports_and_no_comment():
    own = code_of("antivenom.defenses.standard.recipe")
    assert own == code_of("antivenom.defenses.standard.recipe") != code_of("antivenom.defenses.none")


METHOD = """
from dataclasses import dataclass
from typing import ClassVar
from antivenom.{kind}s.{base} import {parent}

@dataclass(frozen=True, kw_only=True)
class New({parent}):
    name: ClassVar[str] = "brand_new_{kind}"
"""


def test_a_chain_is_named_by_its_parts():
    cells = [replace(CELL, defense=spec) for spec in ("cube+none", "low_loss+none", "cube:min_samples=7+none")]
    assert len({identify(cell, METHODS, ROOT) for cell in cells}) == 3
    assert METHODS.defense("cube:min_samples=7+p2p@paper").spec().split("+")[0] == "cube:min_samples=7"


PARTS_OF_P2P = {"cue_only", "identity_labels", "reserve_only", "quarantine"}
"""Controls that leave something of P2P or `standard` out; suites/ablation.yaml and others have them."""


NEEDS_A_FILE = {"scpd"}
"""Of paraphrases by an SCPN, which nobody has for the attacked rows of these suites; its approximations are there."""


def test_the_suites_of_baselines_have_every_defense():
    suites = [load_suite(path) for path in (ROOT / "suites").glob("baselines*.yaml")]
    specs = {spec for suite in suites for spec in METHODS.choose("defense", suite.defenses).values()}
    named = {part.partition(":")[0].partition("@")[0] for spec in specs for part in split_chain(spec)}
    assert set(METHODS.defenses) - named == PARTS_OF_P2P | NEEDS_A_FILE


def test_a_file_is_a_column_and_a_file_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    suite = load_suite(write(tmp_path, LEAST.replace("[badnets]", "all").replace("[none]", "all")))
    before = {(place.attack, place.defense) for place, _ in grid(suite, METHODS)}
    for kind, base, parent in (("attack", "badnets", "BadNets"), ("defense", "none", "NoDefense")):
        folder = tmp_path / f"{kind}s"
        folder.mkdir()
        (folder / f"brand_new_{kind}.py").write_text(
            METHOD.format(kind=kind, base=base, parent=parent), encoding="utf-8"
        )
        package = getattr(antivenom, f"{kind}s")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        getattr(package, f"{kind}s").cache_clear()
    try:
        after = {(place.attack, place.defense) for place, _ in grid(suite, Methods.load())}
    finally:
        antivenom.attacks.attacks.cache_clear()
        antivenom.defenses.defenses.cache_clear()
    attacks, defenses = ({pair[i] for pair in after} - {pair[i] for pair in before} for i in (0, 1))
    assert (attacks, defenses) == ({"brand_new_attack"}, {"brand_new_defense"})


def test_a_plug_in_runs_only_if_allowed_and_its_code_names_the_cell(tmp_path: Path):
    from antivenom.suites.executors import Here
    from antivenom.suites.run import run_suite

    plugin = tmp_path / "mine.py"
    plugin.write_text(METHOD.format(kind="attack", base="badnets", parent="BadNets"), encoding="utf-8")
    path = write(tmp_path, LEAST.replace("[badnets]", "[brand_new_attack]") + "plugins: [mine.py]\n")
    with pytest.raises(OptionsError, match=r"mine\.py"):
        run_suite(path, out=tmp_path / "out", data=tmp_path, executor=Here())
    cell = replace(CELL, attack="brand_new_attack")
    first = identify(cell, Methods.load([str(plugin)]), tmp_path)
    other = tmp_path / "later"
    other.mkdir()
    (other / "mine.py").write_text(plugin.read_text("utf-8") + "\nX = 1\n", encoding="utf-8")
    assert identify(cell, Methods.load([str(other / "mine.py")]), tmp_path) != first


def test_what_a_plug_in_builds_on_names_the_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plugin, helper = tmp_path / "mine.py", tmp_path / "helper.py"
    text = METHOD.format(kind="attack", base="badnets", parent="BadNets")
    plugin.write_text(f"from . import helper\n{text}", encoding="utf-8")

    def name() -> str:
        return identify(replace(CELL, attack="brand_new_attack"), Methods.load([str(plugin)]), tmp_path)

    helper.write_text("X = 1\n", encoding="utf-8")
    first = name()
    helper.write_text("X = 20\n", encoding="utf-8")
    second, digest = name(), code._digest_of_source
    assert name() == second != first
    monkeypatch.setattr(code, "_digest_of_source", lambda module: digest(module) + "!" * module.endswith("badnets"))
    assert name() != second, "another version of the attack that it inherits from"


def test_a_method_that_is_not_there_is_missing_and_a_pattern_chooses(tmp_path: Path):
    text = (
        LEAST.replace("a.csv", '"synthetic:9"').replace("b.csv", '"synthetic:9"').replace("[none]", "[none, unwritten]")
    )
    planned, cells = plan(load_suite(write(tmp_path, text)), METHODS, tmp_path)
    assert [bool(each.missing) for each in planned] == [False, True]
    assert len(cells) == 1
    place = planned[0].place
    assert chosen(place, ["attack=bad*,seed=0"], otherwise=False)
    assert not chosen(place, ["attack=bad*,seed=1"], otherwise=True)
    assert chosen(place, ["t/*/none/*"], otherwise=False)
    with pytest.raises(OptionsError, match="no axis"):
        chosen(place, ["atack=x"], otherwise=True)
