"""The tables of README.md, docs and results are what the records say, and so are figures in sentences."""

import json
import re
from pathlib import Path

import pytest
from research import archive, pages, shipped

from antivenom.defenses.standard import VERSION

GUARDED = ("p2p@paper", "standard")
README, SCIENCE, P2P, LESSONS = "README.md", "docs/science.md", "docs/p2p.md", "docs/lessons.md"
MODELS = "docs/large_models.md"


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
    assert written.startswith("before\n<!-- table: demo -->\n| run |  | clean accuracy |")
    assert written.endswith("\n<!-- end of table -->\nbehind\n")
    assert pages.main(["--check"]) == 0


def percent(rate: dict) -> str:
    return f"{100 * rate['hits'] / rate['total']:.1f}"


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


def read(path: str) -> dict:
    return archive.read(path)


def test_one_version_alone_stands_in_the_table_of_the_readme(monkeypatch: pytest.MonkeyPatch):
    head, _, *rows = shipped.shipped().splitlines()
    assert f"`standard` {VERSION}" in head
    assert [row.split(" | ")[0].strip("| ") for row in rows][:2] == ["BadNets", "AddSent"]
    assert any("not run" not in row for row in rows)
    monkeypatch.setattr(shipped, "VERSION", VERSION + 1)
    shipped.fits.cache_clear()
    assert all("not run" in row for row in shipped.shipped().splitlines()[2:]), "records of another version count"
    shipped.fits.cache_clear()


def test_every_attacked_answer_is_in_the_second_space():
    found = [one for fits in shipped.fits().values() for ones in fits.values() for one in ones.values()]
    found += [*cells_of("second_model_trusted").values(), *cells_of("second_model").values()]
    alphas = [one["evaluation"]["attacks"][0]["alpha"] for one in found if one["cell"]["defense"] in GUARDED]
    assert len(alphas) > 3
    assert {alpha["value"] for alpha in alphas} == {1.0}, "docs/p2p.md says so"


def test_several_seeds_are_a_mean_and_a_spread_and_one_has_its_interval():
    def record(seed: int, value: float) -> dict:
        return {"rate": {"value": value, "low": value - 0.1, "high": value + 0.1}}

    found = {seed: record(seed, value) for seed, value in enumerate((0.1, 0.2, 0.3))}
    assert shipped._cell(found, [0, 1, 2], lambda one: one["rate"]) == "20.0 ± 10.0"
    assert shipped._cell(found, [1], lambda one: one["rate"]) == "20.0 [10, 30]"
    assert shipped._cell({}, [1], lambda one: one["rate"]) == "not run"


def test_the_readme_has_the_figures_of_the_demo():
    for path in archive.settings()["demo"]["records"]:
        none, standard = read(path)["outcomes"]
        undefended = none["evaluation"]["attacks"][0]["asr_deployed"]
        attacked, floor = (standard["evaluation"]["attacks"][0][name] for name in ("asr_deployed", "floor"))
        require_figures(README, *map(percent, (undefended, attacked, floor)), 1000)


def test_the_science_page_has_the_figures_of_p2p_alone():
    one = archive.outcome("sst2/addsent-2400-seed0.json", "p2p")
    require_figures(SCIENCE, percent(archive.first(one)["asr_deployed"]))
    shares = {1.0: [], 4.0: []}
    for path in archive.settings()["doses"].values():
        reserve = read(path)["settings"]["reserve"]
        share = 100 * reserve["poisoned"] / reserve["size"]
        if share in shares:
            shares[share].append(100 * archive.first(archive.outcome(path))["asr_deployed"]["value"])
    require_figures(SCIENCE, *(f"{end(found):.0f}" for found in shares.values() for end in (min, max)))


def cells_of(folder: str) -> dict[tuple[str, str], dict]:
    """The records of a suite whose rows were poisoned, first seed, by attack and defense."""
    found = [json.loads(path.read_text("utf-8")) for path in (archive.ROOT / "results" / folder).glob("records/*.json")]
    cells = [one for one in found if not one["cell"]["control"] and not one["cell"]["seed"]]
    return {(one["cell"]["attack"].partition(":")[0], one["cell"]["defense"]): one for one in cells}


def test_the_page_on_p2p_has_the_figures_of_a_clean_reserve():
    small, trusted = cells_of("table1"), cells_of("baselines_trusted")
    coded = small["badnets", "p2p@paper_code"], trusted["badnets", "p2p@paper_code"]
    readings = [one["evaluation"]["attacks"][0] for one in (small["badnets", "none"], *coded)]
    floors = [one["floor"] for one in readings[1:]]
    require_figures(P2P, *map(percent, [*(one["asr_deployed"] for one in readings), *floors]))


def test_the_page_on_p2p_has_the_figures_of_what_it_adds_to_standard():
    usual, controls = cells_of("baselines"), cells_of("ablation")
    for attack in ("addsent", "badnets"):
        with_p2p, without = usual[attack, "standard"], controls[attack, "standard:taught=plain"]
        readings = [one["evaluation"]["attacks"][0] for one in (with_p2p, without, usual[attack, "none"])]
        assert max(one["excess"] for one in readings[:2]) < 0.05 < 0.5 < readings[2]["excess"], "as safe, it says"
        assert 1.4 < with_p2p["ledger"]["tokens"] / without["ledger"]["tokens"] < 1.6, "half as many again, it says"
        require_figures(P2P, *(percent(one["evaluation"]["clean"]["accuracy"]) for one in (with_p2p, without)))


def test_the_lessons_have_the_figures_of_p2p_alone():
    published = [archive.outcome(f"parts/{name}-P2P-as-published.json") for name in ("addsent", "badnets")]
    rates = [percent(archive.first(one)["asr_deployed"]) for one in published]
    require_figures(LESSONS, *rates, *(one["leaked"] for one in published))
    clean = archive.outcome("sst2/addsent-2400-seed0.json", "p2p")
    require_figures(LESSONS, percent(archive.first(clean)["asr_deployed"]))
    kept = archive.outcome("parts/addsent-standard-17-no-referee-the-other-rows-are-trained-on.json")
    left = archive.outcome("parts/addsent-standard-17-no-referee-the-other-rows-are-left-out.json")
    require_figures(LESSONS, percent(archive.first(kept)["asr_deployed"]), f"{100 * archive.first(left)['excess']:.1f}")


def test_the_lessons_have_the_figures_of_prompt_injection():
    forged = archive.outcome("attacks/extended_target.standard-cee4b80f.json")
    [alone] = read("never_poisoned/extended_target.json")["evaluation"]["attacks"]
    assert forged["leaked"] == 0
    require_figures(LESSONS, percent(archive.first(forged)["asr_deployed"]), percent(alone["asr_deployed"]))


def test_the_lessons_have_the_figures_of_triggers_alone():
    found = {one["name"]: one for one in read("never_poisoned/none.json")["evaluation"]["attacks"]}
    [credits] = read("held_out/credited-never_poisoned.json")["outcomes"][0]["evaluation"]["attacks"]
    readings = (found["addsent"], found["synattack"], credits)
    require_figures(LESSONS, *(f"{100 * one['excess']:.1f}" for one in readings))


def test_the_lessons_have_the_figures_of_a_perfect_filter():
    path, beside = archive.settings()["perfect_filter"]["CBA 5 % and its negative rows | 0"]
    lost = archive.right(read(beside), "none").mean() - archive.right(read(path), "perfect").mean()
    require_figures(LESSONS, f"{100 * lost:.1f}")


def test_the_lessons_have_the_figures_of_attacks_that_others_made():
    records = [read(path) for path in archive.settings()["unmet"].values()]
    names = {record["name"] for record in records}
    met: dict[str, list[float]] = {}
    for record in records:
        if archive.recipe_of(record["outcomes"][0]):
            met.setdefault(record["name"], []).append(round(100 * archive.first(record["outcomes"][0])["excess"], 1))
    apart = ("headline", "false_start", "postposed", "personified", "plural")
    through = ("request", "spoken", "simile", "code_switch", "provenance", "credited", "vocative")
    stopped = [found[0] for name, found in met.items() if name not in (*through, *apart)]
    last = sorted(met[name][-1] for name in through)
    largest = max(met[name][0] for name in through)
    require_figures(LESSONS, len(names), len(stopped), max(stopped), largest, *last[-2:])


def test_the_page_on_large_models_has_the_figures_of_training_beside_trl():
    newest = {}
    for path in sorted((archive.ROOT / "results/bench").glob("training-*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        newest[record["settings"].get("precision", "")] = record
    for what in ("epoch, all layers", "the same batches", "top 12 layers, against TRL", "top 8 layers, against TRL"):
        found = [line for each in ("fp32", "bf16") for line in newest[each]["lines"] if what in line["what"]]
        require_figures(MODELS, *(f"{line['ratio']['median']:.1f}" for line in found))


def test_the_science_page_has_the_figures_of_what_another_seed_and_another_arithmetic_change():
    seeds = shipped.fits()["BadNets"]["none"]
    again = [cells_of(folder)["badnets", "p2p@paper"] for folder in ("baselines", "figure2")]
    readings = [one["evaluation"]["attacks"][0] for one in (seeds[0], seeds[1], seeds[2], *again)]
    require_figures(SCIENCE, *(percent(one["asr_deployed"]) for one in readings))


def test_the_page_on_large_models_has_the_figures_of_how_long_the_screens_take():
    newest = max((archive.ROOT / "results/bench").glob("screen_scale-*.json"), key=lambda path: path.name)
    million = json.loads(newest.read_text(encoding="utf-8"))["sizes"][-1]
    assert million["rows"] == 1_000_000
    seconds = (f"{million[name]:.0f}" for name in ("seconds", "seconds_second_screen"))
    require_figures(MODELS, *seconds, f"{million['peak_mib'] / 1024:.1f}")


def test_the_page_on_large_models_has_the_figures_of_what_the_recipe_costs():
    bench = archive.ROOT / "results/bench"
    newest = [max(bench.glob(f"standard_{rows}-*.json"), key=lambda path: path.name) for rows in (1000, 2400)]
    lines = [json.loads(path.read_text(encoding="utf-8"))["lines"][0] for path in newest]
    require_figures(MODELS, *(f"{line['ratio']['median']:.2f}" for line in lines))
