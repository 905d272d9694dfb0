"""The tables of README.md and docs/science.md are what the records say."""

import json
import tomllib
from pathlib import Path

import pytest
from benchmarks import report
from benchmarks.report_tables import TABLES

ATTACKS = report.ROOT / "results/attacks"
WORDS = " ".join((report.ROOT / "README.md").read_text(encoding="utf-8").split())


def test_no_table_is_out_of_date(capsys):
    assert report.main(["--check"]) == 0, "run `python -m benchmarks.report`"
    assert "up to date" in capsys.readouterr().out


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
    p = standard["against_first"][0]["pairing"]["p_value"]
    assert f"({after} against {before} %, McNemar p = {p:.2f})" in WORDS
    assert f"though only {standard['reserve']['rows']} of the 1,000 rows were trained on" in WORDS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "synattack",
            "({before} % undefended) bring the attacker's answer in {after} % of the cases, at a floor of {floor},",
        ),
        ("misspelling", "({before} % undefended) keep {after} %, at a floor of {floor}"),
    ],
)
def test_the_readme_says_in_words_what_is_not_stopped(name: str, said: str):
    before = newest(name, "none")["evaluation"]["attacks"][0]
    after = newest(name, "standard")["evaluation"]["attacks"][0]
    numbers = (percent(before["asr_deployed"]), percent(after["asr_deployed"]), percent(after["floor"]))
    assert said.format(**dict(zip(("before", "after", "floor"), numbers, strict=True))) in WORDS


def reading_of(path: str) -> dict:
    [outcome] = read(path)["outcomes"]
    return outcome["evaluation"]["attacks"][0]


def read(path: str) -> dict:
    return json.loads((report.ROOT / "results" / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("classes/ag-synattack-standard-15.json", "SynAttack: {before} to {after} % at a floor of {floor}."),
        ("classes/trec-standard-19.json", "with another sentence: {before} to {after} % at a floor of {floor}."),
        ("classes/trec-fine-standard-19.json", "TREC with 38 classes: {before} to {after} % at a floor of {floor}."),
    ],
)
def test_the_readme_says_in_words_what_was_held_out(record: str, said: str):
    before, after = (outcome["evaluation"]["attacks"][0] for outcome in read(record)["outcomes"])
    numbers = [percent(before["asr_deployed"]), percent(after["asr_deployed"]), percent(after["floor"])]
    assert said.format(**dict(zip(("before", "after", "floor"), numbers, strict=True))) in WORDS


def test_the_readme_says_in_words_what_triggers_do_where_nobody_poisoned():
    alone = {attack["name"]: attack for attack in read("never_poisoned/standard.json")["evaluation"]["attacks"]}
    rates = [percent(alone["synattack"][key]) for key in ("asr_deployed", "floor")]
    [undefended] = [a for a in read("never_poisoned/none.json")["evaluation"]["attacks"] if a["name"] == "synattack"]
    rates.append(percent(undefended["asr_deployed"]))
    assert "poisoned anything they bring it in {} %, at a floor of {}, and undefended in {} %:".format(*rates) in WORDS
    taught = newest("synattack", "standard")["leaked"]
    assert f"with {taught} of 216 poisoned rows taught;" in WORDS
    forged = newest("extended_target", "standard")
    assert forged["leaked"] == 0
    [injected] = read("never_poisoned/extended_target.json")["evaluation"]["attacks"]
    poisoned, clean = percent(forged["evaluation"]["attacks"][0]["asr_deployed"]), percent(injected["asr_deployed"])
    assert f"gets it in {poisoned} % of the cases, with no poisoned row taught:" in WORDS
    assert f"({clean} % where nobody poisoned anything)" in WORDS


def test_the_readme_says_in_words_what_seeds_changed():
    lines = {tuple(c.strip() for c in line.split("|")[1:3]): line.split("|") for line in TABLES["seeds"]().splitlines()}
    for attack in ("AddSent", "BadNets"):
        before, after = (lines[f"{attack} 5 %", defense] for defense in ("`none`", "`standard` 22"))
        assert f"{after[7].strip()} for {attack}" in WORDS
        assert f"{before[4].split(' ± ')[0].strip()} to {after[4].split(' ± ')[0].strip()}" in WORDS


def test_the_readme_says_in_words_what_becomes_of_a_small_class():
    none, standard = read("classes/trec-fine-food-standard-19.json")["outcomes"]
    before, after = (percent(outcome["evaluation"]["attacks"][0]["asr_deployed"]) for outcome in (none, standard))
    accuracies = [percent(outcome["evaluation"]["clean"]["accuracy"]) for outcome in (none, standard)]
    floor = percent(standard["evaluation"]["attacks"][0]["floor"])
    assert (
        f"from {before} to {after} % at a floor of {floor}, accuracy from {accuracies[0]} to {accuracies[1]}" in WORDS
    )


def test_the_readme_says_in_words_what_it_was_not_built_on():
    held_out = [
        json.loads(path.read_text(encoding="utf-8"))["outcomes"][0]
        for path in (report.ROOT / "results/held_out").glob("*-standard-18.json")
    ]
    assert len(held_out) == 5
    most = max(100 * outcome["evaluation"]["attacks"][0]["excess"] for outcome in held_out)
    assert f"bring at most {most:.1f} points of excess with version 18." in WORDS
    request = [reading_of(f"held_out/request-{name}.json") for name in ("none", "standard-21", "standard-23")]
    rates = [percent(reading["asr_deployed"]) for reading in request]
    floors = [percent(reading["floor"]) for reading in request]
    assert f"({rates[0]} % undefended) is at {rates[1]} % at a floor of {floors[1]} with version 21;" in WORDS
    assert f"version 23, made for it, is at {rates[2]} % at a floor of {floors[2]}." in WORDS
    assert reading_of("held_out/scare_quotes-none.json")["asr_deployed"]["value"] > 0.9
    assert reading_of("held_out/scare_quotes-standard-21.json")["excess"] < 0
    spoken = reading_of("held_out/spoken-standard-23.json")["excess"]
    before = percent(reading_of("held_out/spoken-none.json")["asr_deployed"])
    assert f"speech ({before} % undefended) keep {100 * spoken:.1f} points of excess with version 23." in WORDS
    before, after = (newest("spacing", name)["evaluation"]["attacks"][0] for name in ("none", "standard"))
    assert f"takes ({percent(before['asr_deployed'])} % undefended)" in WORDS
    assert f"is at {percent(after['asr_deployed'])} % at a floor of {percent(after['floor'])}." in WORDS


def test_the_readme_says_in_words_how_long_the_screens_take():
    newest_record = max(path.name for path in (report.ROOT / "results/bench").glob("screen_scale-*.json"))
    million = read(f"bench/{newest_record}")["sizes"][-1]
    assert million["rows"] == 1_000_000
    assert f"reads a million rows in {million['seconds']:.0f} seconds" in WORDS
    assert f"takes {million['seconds_second_screen']:.0f} more, with {million['peak_mib'] / 1024:.1f} GiB" in WORDS


def test_the_readme_says_in_words_what_covers_do():
    [covered] = newest("covered_thin", "none")["evaluation"]["attacks"]
    assert f"{percent(covered['asr_deployed'])} % undefended, at a floor of {percent(covered['floor'])}" in WORDS
