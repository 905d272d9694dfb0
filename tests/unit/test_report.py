"""The tables of README.md and docs/science.md are what the records say."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from benchmarks import accuracy, held_out, perfect_filter, report, report_records
from benchmarks.report_tables import TABLES

ATTACKS = report.ROOT / "results/attacks"
WORDS = " ".join((report.ROOT / "README.md").read_text(encoding="utf-8").split())

STRINGS, HARDER = ("addsent", "badnets", "ctba", "mtba_all"), ("synattack", "proattack_code", "cba")


def test_no_table_is_out_of_date(capsys):
    assert report.main(["--check"]) == 0, "run `python -m benchmarks.report`"
    assert "up to date" in capsys.readouterr().out


def test_no_record_names_a_folder_of_the_machine_that_made_it():
    records = [*(report.ROOT / "results").rglob("*.json")]
    assert len(records) > 100
    named = [path.name for path in records if re.search(r"/(home|root|tmp|work|Users)/", path.read_text("utf-8"))]
    assert named == [], "run benchmarks from the folder of the project, with relative paths"


def test_a_typed_number_is_found_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: demo -->\n| 99.9 |\n<!-- end of table -->\nbehind\n", encoding="utf-8")
    monkeypatch.setattr(report, "PAGES", (str(page),))
    assert report.main(["--check"]) == 1
    assert "| 99.9 |" in page.read_text(encoding="utf-8"), "--check changes nothing"
    assert report.main([]) == 0
    written = page.read_text(encoding="utf-8")
    assert "| 99.9 |" not in written
    assert written.startswith("before\n<!-- table: demo -->\n|  | clean accuracy |")
    assert written.endswith("\n<!-- end of table -->\nbehind\n")
    assert report.main(["--check"]) == 0


def newest(name: str, defense: str) -> dict:
    """The outcome of the newest version on 2,400 rows."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in ATTACKS.glob(f"{name}.{defense}-*.json")]
    large = [record["outcomes"][0] for record in read if record["settings"]["train_rows"] == 2400]
    return max(large, key=lambda outcome: int(outcome["reserve"]["recipe"].split("-")[1]) if outcome["reserve"] else 0)


def percent(rate: dict) -> str:
    return f"{100 * rate['value']:.1f}"


def test_the_readme_says_in_words_what_the_demo_recorded():
    demo = tomllib.loads((report.ROOT / "benchmarks/report.toml").read_text(encoding="utf-8"))["demo"]["record"]
    none, standard = json.loads((report.ROOT / demo).read_text(encoding="utf-8"))["outcomes"]
    after, before = (percent(outcome["evaluation"]["clean"]["accuracy"]) for outcome in (standard, none))
    attacked, floor = (percent(standard["evaluation"]["attacks"][0][name]) for name in ("asr_deployed", "floor"))
    assert (
        f"With `standard` {attacked} % of the attacked reviews are called positive, and {floor} % of the same" in WORDS
    )
    p = standard["against_first"][0]["pairing"]["p_value"]
    assert f"({after} against {before} %, McNemar p = {p:.2f})" in WORDS
    earlier = [read(f"demo/2026-11-29-standard-31-{cores}.json")["outcomes"][1] for cores in ("2cores", "1core")]
    two, one = (percent(outcome["evaluation"]["clean"]["accuracy"]) for outcome in earlier)
    assert f"Two runs of version 31, on nearly the same rows, had {two} and {one} %" in WORDS
    assert f"Only {standard['reserve']['rows']} of the 1,000 rows were trained on" in WORDS


def read(path: str) -> dict:
    return read_path(report.ROOT / "results" / path)


def read_path(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_readme_says_in_words_what_prompt_injection_gets():
    forged = newest("extended_target", "standard")
    assert forged["leaked"] == 0
    poisoned = percent(forged["evaluation"]["attacks"][0]["asr_deployed"])
    assert f"gets it in {poisoned} % of the cases, with no poisoned row taught:" in WORDS
    [alone] = read("never_poisoned/extended_target.json")["evaluation"]["attacks"]
    assert alone["asr_deployed"]["value"] >= forged["evaluation"]["attacks"][0]["asr_deployed"]["value"]
    assert "works as well where nobody poisoned anything" in WORDS


def test_the_readme_says_in_words_which_attacks_do_not_take():
    lines = [line.split("|") for line in TABLES["headline"]().splitlines()[2:]]
    takes = [float(line[2]) >= 90 for line in lines]
    assert takes == [True] * (len(lines) - 2) + [False] * 2
    assert "the last two lines, attacks that do not take above 90 % undefended" in WORDS


def test_the_readme_says_in_words_what_it_costs():
    changes = [accuracy.change(record) for record in accuracy.read_records().values()]
    assert f"{-sum(changes) / len(changes):.1f} points of accuracy on average" in WORDS
    usual = [name for name in report_records.settings()["headline"].values() if not name.startswith("results/")]
    reserves = [newest(name, "standard")["reserve"] for name in usual]
    left_out = [reserve["left_out"] / (reserve["left_out"] + reserve["rows"]) for reserve in reserves]
    share = sum(left_out) / len(left_out)
    worst = f"{-min(changes):.1f} at worst (CBA)"
    assert f"{worst}, {100 * share:.0f} % of the rows left out" in WORDS
    corrected = [reserve.get("corrected", 0) / (reserve["left_out"] + reserve["rows"]) for reserve in reserves]
    assert f"{100 * sum(corrected) / len(corrected):.0f} % taught with a label that two models read" in WORDS
    cells = ("cba", 0), ("clean", 0)
    beside, records = accuracy.read_records(), perfect_filter.read_records(report.ROOT / perfect_filter.RECORDS)
    cba, clean = (
        100 * (accuracy.right(beside[cell], "none").mean() - accuracy.right(records[cell], "perfect").mean())
        for cell in cells
    )
    assert f"CBA's {records['cba', 0]['left_out']} poisoned rows alone, costs {cba:.1f} there, and nothing" in WORDS
    assert clean <= 0
    outcomes = read("classes/trec-rest-standard-29.json")["outcomes"]
    before, after = (100 * outcome["evaluation"]["clean"]["balanced_accuracy"] for outcome in outcomes)
    assert f"falls from {before:.1f} to {after:.1f} %" in WORDS


def test_the_science_page_says_in_words_how_many_rows_are_left_out():
    science = " ".join((report.ROOT / "docs/science.md").read_text(encoding="utf-8").split())
    reserves = {name: newest(name, "standard")["reserve"] for name in ("clean", *STRINGS, *HARDER)}
    rows = {name: reserve["left_out"] + reserve["rows"] for name, reserve in reserves.items()}
    left_out = {name: round(100 * reserve["left_out"] / rows[name]) for name, reserve in reserves.items()}
    corrected = [round(100 * reserve["corrected"] / rows[name]) for name, reserve in reserves.items()]
    strings, harder = ([left_out[name] for name in names] for names in (STRINGS, HARDER))
    assert f"{left_out['clean']} % of the rows where nothing is poisoned, {min(strings)} to {max(strings)} %" in science
    assert f"CTBA and MTBA, {min(harder)} to {max(harder)} % with SynAttack, ProAttack and CBA" in science
    assert f"{min(corrected)} to {max(corrected)} % more are taught with the label" in science


def test_the_readme_says_in_words_what_others_made():
    assert len(held_out.ATTACKS) == 36
    assert "Thirty-six were written when the version that met them first was fixed" in WORDS
    met: dict[str, list[dict]] = {}
    for record in held_out.read_records(report.ROOT / held_out.RECORDS):
        if held_out.version_of(record):
            met.setdefault(record["name"], []).append(record["outcomes"][0]["evaluation"]["attacks"][0])
    undefended = {
        record["name"]: 100 * record["outcomes"][0]["evaluation"]["attacks"][0]["asr_deployed"]["value"]
        for record in held_out.read_records(report.ROOT / held_out.RECORDS)
        if not held_out.version_of(record) and record["rows"]["poisoned"]
    }
    first = {name: round(100 * readings[0]["excess"], 1) for name, readings in met.items()}
    last = {name: round(100 * readings[-1]["excess"], 1) for name, readings in met.items()}
    apart = ("headline", "false_start", "postposed", "personified", "plural")
    through = ("request", "spoken", "simile", "code_switch", "provenance", "credited", "vocative")
    stopped = [excess for name, excess in first.items() if name not in (*through, *apart)]
    assert len(stopped) == 24
    assert f"Twenty-four bring at most {max(stopped)} points of excess" in WORDS
    brought = [first[name] for name in through]
    assert f"brought {', '.join(map(str, brought[:-1]))} and {brought[-1]}, and bring at most" in WORDS
    assert f"bring at most {max(last[name] for name in through)} since" in WORDS
    solved = max(last[name] for name in through if name not in ("credited", "vocative"))
    [alone] = read("held_out/credited-never_poisoned.json")["outcomes"][0]["evaluation"]["attacks"]
    natural = f"the credits bring {last['credited']}, their words alone {100 * alone['excess']:.1f} on a model"
    assert natural in WORDS
    assert f"and the others at most {solved}" in WORDS
    reached = [undefended[name] for name in apart]
    assert f"do not take above {max(reached):.0f} % undefended, brought {min(first[n] for n in apart):.0f} to" in WORDS


def test_the_readme_says_in_words_how_long_the_screens_take():
    newest_record = max(path.name for path in (report.ROOT / "results/bench").glob("screen_scale-*.json"))
    million = read(f"bench/{newest_record}")["sizes"][-1]
    assert million["rows"] == 1_000_000
    assert f"reads a million rows in {million['seconds']:.0f} seconds" in WORDS
    assert f"takes {million['seconds_second_screen']:.0f} more, with {million['peak_mib'] / 1024:.1f} GiB" in WORDS
