"""The attack-strength benchmark resumes, keeps to its time, records what was asked, and judges from records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from antivenom.testing import synthetic_rows


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """Runs the command over a tiny data set; fits are not run but counted."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from benchmarks import attack_strength

    folder = tmp_path / "data/sst2"
    folder.mkdir(parents=True)
    for name, count in (("train", 80), ("test", 40)):
        lines = [f"{row['text']}\t{int(row['answer'] == 'positive')}" for row in synthetic_rows(count).to_pylist()]
        (folder / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n", encoding="utf-8")
    fits = []

    def fit(self, scenario, defense, folder):
        fits.append((str(scenario.attack), defense.name))
        found = record(scenario.attack.name, rate=scenario.attack.rate, asr=0.95)
        found["outcomes"][0]["defense"] = defense.public_dict()
        return found | {"settings": self.settings, "attack": scenario.attack.to_dict()}

    monkeypatch.setattr(attack_strength.Bench, "fit", fit)

    def run(*arguments):
        fits.clear()
        where = ["--data", str(folder.parent), "--out", str(tmp_path / "records"), "--work", str(tmp_path / "fits")]
        assert attack_strength.main([*where, "--train-rows", "40", "--test-rows", "20", *arguments]) == 0
        return list(fits)

    run.records = lambda: [json.loads(p.read_text()) for p in sorted((tmp_path / "records").glob("*.json"))]
    return run


def record(name="addsent", *, rate=0.05, asr=1.0, collapsed=False, defense="none"):
    def share(value):
        return {"value": value, "low": value, "high": value, "total": 20, "hits": round(20 * value)}

    reading = {"attack": name, "asr": share(asr), "asr_deployed": share(asr), "floor": share(0.1), "excess": asr - 0.1}
    evaluation = {"clean": {"accuracy": share(0.9), "collapsed": collapsed}, "averages": []}
    evaluation["attacks"] = [{**reading, "accuracy_clean": None}]
    training = {"epochs": 3.0, "learning_rate": 0.002, "batch_size": 16, "top_layers": 12}
    settings = {"model": "m", "train_rows": 40, "test_rows": 20, "target": "positive", "seed": 0, "trusted_share": 0.0}
    return {
        "name": name,
        "attack": {"name": name, "rate": rate},
        "rows": {"poisoned": 2},
        "settings": {**settings, "training": training},
        "outcomes": [{"defense": {"name": defense}, "leaked": 0, "evaluation": evaluation}],
    }


def test_fits_with_a_record_are_not_run_again(bench, capsys):
    asked = ("--only", "addsent", "badnets", "--defense", "none", "--defense", "p2p:reserve=random")
    assert len(bench(*asked)) == 4
    assert bench(*asked) == []
    assert bench(*asked, "--epochs", "1") != []
    table = capsys.readouterr().out
    assert table.index("| addsent |") > table.index("| badnets |"), "in the order of the settings"
    assert 'p2p:reserve="random"' in table


def test_no_fit_starts_after_its_time(bench, capsys):
    assert bench("--only", "addsent", "--minutes", "-1") == []
    assert "1 not run: addsent.none-" in capsys.readouterr().err
    assert bench("--only", "addsent") != []


def test_what_was_asked_stands_in_the_record(bench):
    bench("--only", "addsent", "--epochs", "0.5", "--top-layers", "0", "--rate", "0.2", "--seed", "3")
    [found] = bench.records()
    assert found["attack"]["rate"] == 0.2
    assert found["settings"]["training"]["epochs"] == 0.5
    assert found["settings"]["training"]["top_layers"] is None
    assert (found["settings"]["seed"], found["settings"]["train_rows"]) == (3, 40)


def test_a_table_says_how_many_poisoned_rows_got_another_label():
    from benchmarks.attack_table import outcome_cells

    [outcome] = record(defense="standard")["outcomes"]
    assert outcome_cells(outcome)[-1] == "0"
    assert outcome_cells(outcome | {"corrected": 0})[-1] == "0"
    assert outcome_cells(outcome | {"leaked": 2, "corrected": 7})[-1] == "2 (and 7 corrected)"


def test_an_attack_that_does_not_take_says_what_it_would_need(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from benchmarks.attack_table import table

    needs = {"cba": "more rows"}

    def verdicts(*records):
        lines = table(list(records), ["addsent", "cba"], needs).splitlines()
        return [line.split("|")[-2].strip() for line in lines if line.startswith(("| addsent", "| cba"))]

    assert verdicts(record(asr=0.9)) == ["yes"]
    assert verdicts(record("cba", asr=0.89)) == ["no; more rows"]
    assert verdicts(record(asr=0.5)) == ["no"]
    assert verdicts(record("cba", asr=0.5), record("cba", rate=0.2)) == ["no; takes at 20.0%", "yes"]
    assert verdicts(record(collapsed=True)) == ["invalid: the model collapsed"]
    assert verdicts(record(defense="p2p", asr=0.0)) == [""]
    assert table([], [], {}) == "There are no records."
