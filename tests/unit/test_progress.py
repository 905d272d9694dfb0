from __future__ import annotations

import pytest

from antivenom.core import progress
from antivenom.core.progress import Stages, duration, progress_bar


def test_stages_estimate_the_whole_from_what_is_done(capsys):
    seconds = iter([0.0, 100.0, 100.0, 350.0])
    stages = Stages("fit", {"draft": 1, "referee": 2, "final": 4}, clock=lambda: next(seconds))
    with stages.stage("draft"):
        assert stages.seconds_left() is None
    assert stages.seconds_left() == 600
    with stages.stage("referee"):
        pass
    assert stages.seconds_left() == pytest.approx(350 * 4 / 3)
    said = capsys.readouterr().err.splitlines()
    assert said == ["fit 1 of 3: draft", "fit 2 of 3: referee (about 10 min left)"]


def test_a_stage_that_nobody_foresaw_is_counted(capsys):
    stages = Stages("fit", {"a": 1})
    for name in ("b", "a"):
        with stages.stage(name):
            pass
    said = [line.partition(" (")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == ["fit 1 of 2: b", "fit 2 of 2: a"]


def test_a_log_is_silent_in_short_runs_and_says_how_far_long_ones_are(monkeypatch, capsys):
    with progress_bar("score", total=10) as advance:
        advance(10)
    with progress_bar(None, total=None) as advance:
        advance(1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress_bar("score\x1b[2J", total=10, unit="row") as advance:
        advance(4)
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("score\\x1b[2J: 4 of 10 rows, about ")
    assert last.startswith("score\\x1b[2J: 4 rows in ")


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress_bar("[red]score", total=4) as advance:
        advance(4)
    assert "[red]score" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "said"), [(-1, "0 s"), (40, "40 s"), (200, "3 min"), (7800, "2 h 10 min")])
def test_durations_are_said_as_people_do(seconds, said):
    assert duration(seconds) == said
