"""The tables of README.md and docs/science.md are what the records say."""

import json
import re
from pathlib import Path

import pytest
from research import archive, pages
from research.page_tables import TABLES

ATTACKS = archive.ARCHIVE / "attacks"
README, SCIENCE = "README.md", "docs/science.md"

STRINGS, HARDER = ("addsent", "badnets", "ctba", "mtba_all"), ("synattack", "proattack_code", "cba")


def test_no_table_is_out_of_date(capsys):
    assert pages.main(["--check"]) == 0, "run `python -m research.pages`"
    assert "up to date" in capsys.readouterr().out


def test_no_record_names_a_folder_of_the_machine_that_made_it():
    records = [*(archive.ROOT / "results").rglob("*.json")]
    assert len(records) > 100
    named = [path.name for path in records if re.search(r"/(home|root|tmp|work|Users)/", path.read_text("utf-8"))]
    assert named == [], "run benchmarks from the folder of the project, with relative paths"


def test_a_typed_number_is_found_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: demo -->\n| 99.9 |\n<!-- end of table -->\nbehind\n", encoding="utf-8")
    monkeypatch.setattr(pages, "PAGES", (str(page),))
    assert pages.main(["--check"]) == 1
    assert "| 99.9 |" in page.read_text(encoding="utf-8"), "--check changes nothing"
    assert pages.main([]) == 0
    written = page.read_text(encoding="utf-8")
    assert "| 99.9 |" not in written
    assert written.startswith("before\n<!-- table: demo -->\n|  | clean accuracy |")
    assert written.endswith("\n<!-- end of table -->\nbehind\n")
    assert pages.main(["--check"]) == 0


def newest(name: str, defense: str) -> dict:
    """The outcome of the newest version on 2,400 rows."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in ATTACKS.glob(f"{name}.{defense}-*.json")]
    large = [record["outcomes"][0] for record in read if record["settings"]["train_rows"] == 2400]
    return max(large, key=lambda outcome: int(outcome["reserve"]["recipe"].split("-")[1]) if outcome["reserve"] else 0)


def percent(rate: dict) -> str:
    return f"{100 * rate['value']:.1f}"


def require_figures(page: str, *figures: object) -> None:
    """Some paragraph of the page must hold all these figures, however it is worded."""
    wanted = {str(figure) for figure in figures}
    paragraphs = (archive.ROOT / page).read_text(encoding="utf-8").split("\n\n")
    held = [
        {number.replace(",", "") for number in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", one)} for one in paragraphs
    ]
    nearest = min((wanted - numbers for numbers in held), key=len)
    assert not nearest, f"no paragraph of {page} holds {sorted(wanted)}; the nearest lacks {sorted(nearest)}"


def test_a_figure_that_no_record_says_is_found():
    with pytest.raises(AssertionError, match="lacks"):
        require_figures(README, 98.7654)


def test_the_readme_has_the_figures_of_the_demo():
    none, standard = read(archive.settings()["demo"]["record"])["outcomes"]
    after, before = (percent(outcome["evaluation"]["clean"]["accuracy"]) for outcome in (standard, none))
    attacked, floor = (percent(standard["evaluation"]["attacks"][0][name]) for name in ("asr_deployed", "floor"))
    require_figures(README, attacked, floor)
    require_figures(README, after, before, f"{standard['against_first'][0]['pairing']['p_value']:.2f}")
    earlier = read("demo/2026-11-29-standard-32-2cores.json")["outcomes"][1]["evaluation"]
    rates = [earlier["clean"]["accuracy"], *(earlier["attacks"][0][name] for name in ("asr_deployed", "floor"))]
    require_figures(README, *map(percent, rates))
    require_figures(README, standard["reserve"]["rows"], 1000)


def read(path: str) -> dict:
    return archive.read(path)


def test_the_readme_has_the_figure_of_prompt_injection():
    forged = newest("extended_target", "standard")
    assert forged["leaked"] == 0
    require_figures(README, percent(forged["evaluation"]["attacks"][0]["asr_deployed"]))
    [alone] = read("never_poisoned/extended_target.json")["evaluation"]["attacks"]
    assert alone["asr_deployed"]["value"] >= forged["evaluation"]["attacks"][0]["asr_deployed"]["value"]


def test_the_last_two_lines_of_the_headline_are_the_attacks_that_do_not_take():
    lines = [line.split("|") for line in TABLES["headline"]().splitlines()[2:]]
    takes = [float(line[2]) >= 90 for line in lines]
    assert takes == [True] * (len(lines) - 2) + [False] * 2


def test_the_readme_has_the_figures_of_what_it_costs():
    changes = [archive.change(read(path)) for path in archive.settings()["accuracy"].values()]
    usual = [paths for paths in archive.settings()["headline"].values() if paths[0].startswith("attacks/")]
    reserves = [archive.outcome(paths[1], "standard")["reserve"] for paths in usual]
    rows = [reserve["left_out"] + reserve["rows"] for reserve in reserves]
    left_out = [reserve["left_out"] / count for reserve, count in zip(reserves, rows, strict=True)]
    corrected = [reserve.get("corrected", 0) / count for reserve, count in zip(reserves, rows, strict=True)]
    means = (f"{100 * sum(shares) / len(shares):.0f}" for shares in (left_out, corrected))
    require_figures(README, f"{-sum(changes) / len(changes):.1f}", f"{-min(changes):.1f}", *means)
    filters = archive.settings()["perfect_filter"]
    names = "CBA 5 % and its negative rows | 0", "nothing poisoned (probed with AddSent) | 0"
    cba, clean = (
        100 * (archive.right(read(beside), "none").mean() - archive.right(read(path), "perfect").mean())
        for path, beside in (filters[name] for name in names)
    )
    require_figures(README, read(filters[names[0]][0])["left_out"], f"{cba:.1f}")
    assert clean <= 0
    outcomes = read("classes/trec-rest-standard-29.json")["outcomes"]
    require_figures(README, *(f"{100 * one['evaluation']['clean']['balanced_accuracy']:.1f}" for one in outcomes))


def test_the_science_page_has_the_figures_of_rows_left_out():
    reserves = {name: newest(name, "standard")["reserve"] for name in ("clean", *STRINGS, *HARDER)}
    rows = {name: reserve["left_out"] + reserve["rows"] for name, reserve in reserves.items()}
    left_out = {name: round(100 * reserve["left_out"] / rows[name]) for name, reserve in reserves.items()}
    corrected = [round(100 * reserve["corrected"] / rows[name]) for name, reserve in reserves.items()]
    groups = [[left_out[name] for name in names] for names in (STRINGS, HARDER)]
    ends = [end for group in [*groups, corrected] for end in (min(group), max(group))]
    require_figures(SCIENCE, left_out["clean"], *ends)


def test_the_readme_has_the_figures_of_attacks_that_others_made():
    records = [read(path) for path in archive.settings()["unmet"].values()]
    assert len({record["name"] for record in records}) == 36
    met: dict[str, list[dict]] = {}
    for record in records:
        if archive.recipe_of(record["outcomes"][0]):
            met.setdefault(record["name"], []).append(archive.first(record["outcomes"][0]))
    undefended = {
        record["name"]: 100 * archive.first(record["outcomes"][0])["asr_deployed"]["value"]
        for record in records
        if not archive.recipe_of(record["outcomes"][0]) and record["rows"]["poisoned"]
    }
    first = {name: round(100 * readings[0]["excess"], 1) for name, readings in met.items()}
    last = {name: round(100 * readings[-1]["excess"], 1) for name, readings in met.items()}
    apart = ("headline", "false_start", "postposed", "personified", "plural")
    through = ("request", "spoken", "simile", "code_switch", "provenance", "credited", "vocative")
    stopped = [excess for name, excess in first.items() if name not in (*through, *apart)]
    assert len(stopped) == 24
    require_figures(README, max(stopped))
    require_figures(README, *(first[name] for name in through), max(last[name] for name in through))
    [alone] = read("held_out/credited-never_poisoned.json")["outcomes"][0]["evaluation"]["attacks"]
    solved = max(last[name] for name in through if name not in ("credited", "vocative"))
    require_figures(README, last["credited"], f"{100 * alone['excess']:.1f}", solved)
    require_figures(README, f"{max(undefended[name] for name in apart):.0f}")


def test_the_readme_has_the_figures_of_how_long_the_screens_take():
    newest_record = max((archive.ROOT / "results/bench").glob("screen_scale-*.json"), key=lambda path: path.name)
    million = json.loads(newest_record.read_text(encoding="utf-8"))["sizes"][-1]
    assert million["rows"] == 1_000_000
    seconds = (f"{million[name]:.0f}" for name in ("seconds", "seconds_second_screen"))
    require_figures(README, *seconds, f"{million['peak_mib'] / 1024:.1f}")
