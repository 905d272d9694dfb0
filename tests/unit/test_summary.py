"""One line for each attack and defense over all seeds, in the formats that people and programs read."""

from __future__ import annotations

import csv
import io
from statistics import mean, stdev

import numpy as np
import pytest

from antivenom.core.errors import OptionsError
from antivenom.evaluation.metrics import read_clean
from antivenom.evaluation.plots import require_plots, write_plot
from antivenom.evaluation.record import Evaluation
from antivenom.evaluation.summary import Run, as_csv, as_latex, as_markdown, summarize_runs
from antivenom.guards.labels import Readings


def evaluation(right: int) -> Evaluation:
    truth = np.array([0, 1] * 10)
    said = np.where(np.arange(20) < right, truth, 1 - truth)
    nothing = np.zeros(20)
    readings = Readings(said, nothing, nothing, said, said, nothing.astype(bool))
    return Evaluation(read_clean(readings, truth, ("a", "b"), extends=False), (), {})


ATTACKS = ("addsent", "=HYPERLINK()|x_&$")
RUNS = [Run(a, d, s, evaluation(10 + 3 * s + len(d))) for a in ATTACKS for s in (0, 1, 2) for d in ("none", "p2p")]
LINES = summarize_runs(RUNS)


def test_each_line_is_the_mean_and_spread_of_its_seeds():
    assert [(line.attack, line.defense, line.seeds) for line in LINES] == [
        (attack, defense, (0, 1, 2)) for attack in ATTACKS for defense in ("none", "p2p")
    ]
    shares = [(10 + 3 * seed + 4) / 20 for seed in (0, 1, 2)]
    found = LINES[0].numbers["accuracy"]
    assert (found.mean, found.sd, found.seeds) == (pytest.approx(mean(shares)), pytest.approx(stdev(shares)), 3)


def test_the_csv_holds_the_numbers_and_no_formula():
    rows = list(csv.DictReader(io.StringIO(as_csv(LINES))))
    assert len(rows) == 4
    for row, line in zip(rows, LINES, strict=True):
        assert float(row["accuracy"]) == line.numbers["accuracy"].mean
        assert float(row["accuracy_sd"]) == line.numbers["accuracy"].sd
        assert row["asr"] == ""
        assert row["attack"][0] not in "=+-@"


def test_markdown_and_latex_have_as_many_cells_in_every_line():
    table = [line.replace(r"\|", "").count("|") for line in as_markdown(LINES).splitlines()]
    assert len(set(table)) == 1
    assert len(table) == 2 + len(LINES)
    body = [line for line in as_latex(LINES).splitlines() if line.endswith(r"\\")]
    assert len({line.replace(r"\&", "").count("&") for line in body}) == 1
    assert r"x\_\&\$" in body[-1]


def test_a_plot_is_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    for ending, magic in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        write_plot(tmp_path / f"plot.{ending}", LINES)
        assert (tmp_path / f"plot.{ending}").read_bytes().startswith(magic)
    with pytest.raises(OptionsError, match="not written to"):
        require_plots(tmp_path / "plot.gif")
