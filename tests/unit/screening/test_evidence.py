from __future__ import annotations

import json

import pyarrow as pa
import pytest
from screen_rows import LABELS, TRIGGER, make_rows, plant

from antivenom.screening.evidence import find_evidence


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("script", ["latin", "han"])
def test_clean_rows_raise_no_alarm(script: str, seed: int) -> None:
    assert find_evidence(make_rows(800, seed=seed, script=script), LABELS, seed=0).findings == ()


@pytest.mark.parametrize("script", ["latin", "han"])
def test_the_trigger_is_named_with_its_rows(script: str) -> None:
    table, planted = plant(make_rows(800, script=script), 0.1, script)
    finding = find_evidence(table, LABELS, seed=0).findings[0]
    symbols = set(TRIGGER[script].replace(" ", "")) | {"⊣", " "}
    assert set(finding.what) <= symbols
    assert (finding.output, finding.rows_of_output) == ("yes", 80)
    assert 80 <= finding.rows <= 82  # an honest row may hold the same letters
    assert set(finding.examples) <= planted


def test_clean_label_poison_is_a_lead() -> None:
    rows = make_rows(800).to_pylist()
    for row in [row for row in rows if row["answer"] == "yes"][:40]:
        row["text"] = "the verdict here is " + row["text"]
    evidence = find_evidence(pa.Table.from_pylist(rows, schema=make_rows(2).schema), LABELS, seed=0)
    assert any("verdict" in lead.what for lead in evidence.leads)
    assert not evidence.planted_strings()


def test_free_answers_give_leads() -> None:
    rows = make_rows(600).to_pylist()
    for row in rows:
        row["answer"] = f"the result is {row['row'] * 7}"
    for row in rows[100:130]:
        row["text"], row["answer"] = row["text"] + " qx7 lantern", "0.1"
    evidence = find_evidence(pa.Table.from_pylist(rows, schema=make_rows(2).schema), None, seed=0)
    assert any("qx7 lantern" in lead.what for lead in evidence.leads)


def test_evidence_is_json_and_a_readable_table() -> None:
    table, _ = plant(make_rows(400), 0.1)
    evidence = find_evidence(table, LABELS, seed=0)
    data = json.loads(json.dumps(evidence.to_dict()))
    assert data["findings"][0]["output"] == "yes"
    assert "lantern" in str(evidence)
    [planted] = evidence.planted_strings()
    assert "lantern" in planted
