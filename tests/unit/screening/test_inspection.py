from __future__ import annotations

import json

from screen_rows import LABELS, make_rows, plant

from antivenom.screening.inspection import inspect


def test_every_suspect_row_is_listed_with_its_text_and_reason() -> None:
    table, planted = plant(make_rows(400), 0.1)
    found = json.loads(json.dumps(inspect(table, LABELS, seed=3).to_dict()))
    suspects = {one["row"]: one for one in found["suspects"]}
    assert planted <= set(suspects), "no example stands for the others"
    assert {row for finding in found["findings"] for row in finding["affected"]} == set(suspects)
    texts = dict(zip(table["row"].to_pylist(), table["text"].to_pylist(), strict=True))
    assert all(one["text"] == texts[row] and "lantern" in one["reason"] for row, one in suspects.items())
    assert all(feature["affected"] for tier in ("look_at", "leads") for feature in found[tier])


def test_a_row_of_several_findings_has_several_reasons_and_stands_once() -> None:
    rows, _ = plant(make_rows(600), 0.1)
    found = inspect(rows, LABELS, seed=0)
    assert [one.row for one in found.suspects] == sorted({one.row for one in found.suspects})
    counts = {one.row: sum(one.row in finding.affected for finding in found.findings) for one in found.suspects}
    assert all(one.reason.count("standard deviations") == counts[one.row] for one in found.suspects)


def test_the_seed_is_drawn_said_and_repeats_the_inspection() -> None:
    table, _ = plant(make_rows(400), 0.1)
    first, second = inspect(table, LABELS), inspect(table, LABELS)
    assert first.seed != second.seed
    assert str(first.seed) in str(first)
    again = inspect(table, LABELS, seed=first.seed)
    assert again == first


def test_free_answers_have_no_suspects() -> None:
    found = inspect(make_rows(200), None, seed=0)
    assert found.suspects == ()
    assert found.to_dict()["suspects"] == []
