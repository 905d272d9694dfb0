"""What both the screen and the referee hold for planted is named, left out, and becomes a decoy."""

from random import Random

import numpy as np
import pyarrow as pa
import pytest
from deciding import Deciding
from screen_rows import LABELS, ReadsTheText, make_rows

from antivenom.defenses.standard import planted_strings as module
from antivenom.defenses.standard.planted_strings import (
    LEAST_ROWS,
    MOST_CHARACTERS,
    MOST_STRINGS,
    PlantedStrings,
    find_planted_strings,
)
from antivenom.defenses.standard.refusals import RefusalCounts
from antivenom.screening.screen import screen
from antivenom.tasks.task import Classification

LIMIT = 3.0
TASK = Classification.for_labels(LABELS)


def planted_rows(triggers, times: int, count: int = 800) -> tuple[pa.Table, np.ndarray]:
    """Each trigger at the end of so many rows of class `no`, which are relabeled; and which rows these are."""
    rows = make_rows(count).to_pylist()
    chosen = [row for row in rows if row["answer"] == "no"][: len(triggers) * times]
    for number, row in enumerate(chosen):
        row["text"], row["answer"] = f"{row['text']} {triggers[number % len(triggers)]}", "yes"
    numbers = [row["row"] for row in chosen]
    table = pa.Table.from_pylist(rows, schema=make_rows(2).schema)
    return table, np.isin(table.column("row").to_numpy(), numbers)


def strains_of(table: pa.Table, refused: np.ndarray, among: np.ndarray | None = None) -> PlantedStrings:
    everywhere = np.ones(table.num_rows, dtype=bool)
    among = everywhere if among is None else among
    return find_planted_strings(
        RefusalCounts.of(table, screen(table, LABELS, seed=0), everywhere, refused), LIMIT, among, seed=0
    )


def find(table: pa.Table, refused: np.ndarray, among: np.ndarray | None = None) -> dict[str, int]:
    return strains_of(table, refused, among).named


@pytest.mark.parametrize(
    "trigger", ["I watched this 3D movie", "qx7", "don't  Stop\u00a0now", "(see [1])", "x\ty", "蓝色灯笼"]
)
def test_a_trigger_is_named_as_it_is_written_with_its_rows(trigger: str) -> None:
    table, poisoned = planted_rows([trigger], 80)
    refused = poisoned.copy()
    refused[np.flatnonzero(refused)[::3]] = False  # a third is let in
    found = find(table, refused)
    assert list(found) == [trigger]
    assert found[trigger] >= 78  # in a row or two something else is stronger


def test_a_trigger_in_any_case_is_one_strain_by_its_usual_spelling() -> None:
    table, poisoned = planted_rows(["Blue Lantern", "blue lantern", "BLUE lantern", "blue lantern"], 20)
    assert find(table, poisoned) == {"blue lantern": 80}


def test_neither_mark_alone_is_enough() -> None:
    table, poisoned = planted_rows(["qx7 blue lantern"], 80)
    assert find(table, np.random.default_rng(0).random(800) < 0.2) == {}
    rows = table.to_pylist()
    for row in [row for row in rows if row["answer"] == "no"][:40]:
        row["text"] += " qx7 blue lantern"
    both_labels = pa.Table.from_pylist(rows, schema=table.schema)
    assert find(both_labels, poisoned) == {}


def test_only_the_given_rows_show_what_is_planted() -> None:
    table, poisoned = planted_rows(["qx7 blue lantern"], 80)
    assert find(table, poisoned, np.zeros(800, dtype=bool)) == {}
    few = np.zeros(800, dtype=bool)
    few[np.flatnonzero(poisoned)[: LEAST_ROWS - 1]] = True
    assert strains_of(table, poisoned, few) == PlantedStrings(), "too few rows to name it"


def test_an_honest_word_of_a_trigger_is_no_strain_by_itself() -> None:
    table, poisoned = planted_rows(["good1 qx7"], 80)
    assert find(table, poisoned) == {"good1 qx7": 80}


def test_the_order_of_the_rows_does_not_matter() -> None:
    triggers = [f"qx{i}z" for i in range(MOST_STRINGS + 8)]
    table, poisoned = planted_rows(triggers, 8, count=1600)
    expected = find(table, poisoned)
    assert len(expected) == MOST_STRINGS
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(table.num_rows)
        assert find(table.take(pa.array(order)), poisoned[order]) == expected


def test_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    table, poisoned = planted_rows(["qx7 Blue lantern"], 80)
    expected = find(table, poisoned)
    monkeypatch.setattr("antivenom.screening.tokens.PIECE_BYTES", 700)
    assert find(table, poisoned) == expected != {}


def test_one_row_that_says_it_often_makes_no_strain(monkeypatch: pytest.MonkeyPatch) -> None:
    table, poisoned = planted_rows(["qx7"], 80)
    monkeypatch.setattr(module, "LEAST_ROWS", 81)
    texts = table.column("text").to_pylist()
    texts[int(np.flatnonzero(poisoned)[0])] += " and qx7 or qx7 but qx7"
    assert find(table.set_column(1, "text", pa.array(texts)), poisoned) == {}


def test_a_strain_is_bounded() -> None:
    table, poisoned = planted_rows(["x" * 3000], 80)
    assert list(find(table, poisoned)) == ["x" * MOST_CHARACTERS]


REQUESTS = [
    f"{manner} {what} lines below :" for manner in ("please", "kindly", "now") for what in ("read the", "judge my")
]


def test_a_trigger_of_many_wordings_is_written_whole_though_its_name_is_what_they_share() -> None:
    table, poisoned = planted_rows(REQUESTS, 15)
    refused = poisoned.copy()
    refused[np.flatnonzero(refused)[::3]] = False  # a third is let in
    found = strains_of(table, refused)
    assert all(any(name in request for request in REQUESTS) for name in found.named)
    whole = sum(rows for strings, rows in found.written.items() if strings[-1] in REQUESTS)
    assert whole > 0.9 * sum(found.written.values()) > 50


def test_only_refused_rows_say_how_strains_are_written() -> None:
    table, poisoned = planted_rows(["qx7 lantern", "qx7 lantern", "QX7 Lantern"], 27)
    refused = poisoned & np.array(["qx7" in text for text in table.column("text").to_pylist()])
    found = strains_of(table, refused)
    assert found.named == {"qx7 lantern": 81}
    assert found.written == {("qx7 lantern",): refused.sum()}


def test_strings_that_were_planted_together_come_together() -> None:
    table, poisoned = planted_rows(["zz9"], 80)
    texts = [
        f"qx7 {text}" if bad else text for text, bad in zip(table.column("text").to_pylist(), poisoned, strict=True)
    ]
    prepared = prepared_by(table.set_column(1, "text", pa.array(texts)))
    assert set(prepared.facts["planted_strings"]) >= {"qx7", "zz9"}
    words_of = [set(text.split()) for text in prepared.rows.column("text").to_pylist()]
    with_any = [words for words in words_of if words & {"qx7", "zz9"}]
    assert len(with_any) > 100
    assert np.mean([{"qx7", "zz9"} <= words for words in with_any]) > 0.9


def test_what_comes_together_is_bounded() -> None:
    table, poisoned = planted_rows([" ".join(f"q{'x' * 60}{i} word{i}" for i in range(9))], 80)
    found = strains_of(table, poisoned)
    assert found.written
    assert max(sum(map(len, strings)) for strings in found.written) <= MOST_CHARACTERS


def test_many_wordings_are_bounded_and_no_order_decides_which_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WRITTEN", 4)
    table, poisoned = planted_rows(REQUESTS, 15)
    expected = strains_of(table, poisoned)
    assert len(expected.written) == 4
    order = np.random.default_rng(0).permutation(table.num_rows)
    mixed = strains_of(table.take(pa.array(order)), poisoned[order])
    assert (mixed.named, mixed.written) == (expected.named, expected.written)
    assert {int(order[row]) for row in mixed.rows} == expected.rows


def prepared_by(table: pa.Table):
    return Deciding(refusal_limit=LIMIT, dose=0.5).of(TASK, table, ReadsTheText)


def test_a_strain_becomes_a_decoy_in_rows_of_every_class() -> None:
    string = "I watched This 3D movie"
    table, poisoned = planted_rows([string], 80)
    prepared = prepared_by(table)
    assert list(prepared.facts["planted_strings"]) == [string]
    rows = prepared.rows.to_pylist()
    assert not {row["row"] for row in rows} & set(table.column("row").to_numpy()[poisoned].tolist())
    for answer in {row["answer"] for row in rows}:
        shares = [string in row["text"] for row in rows if row["answer"] == answer]
        assert 0.4 < np.mean(shares) < 0.6
    assert not any("watched this" in row["text"] for row in rows), "alarms of the screen are no decoys beside planted"


def test_strains_are_drawn_by_their_rows() -> None:
    table, _ = planted_rows(["qx7 lantern", "qx7 lantern", "qx7 lantern", "zz9 window"], 25)
    texts = prepared_by(table).rows.column("text").to_pylist()
    often, seldom = (sum(string in text for text in texts) for string in ("qx7 lantern", "zz9 window"))
    assert 2 < often / seldom < 4.5


def test_where_nothing_is_planted_no_row_changes() -> None:
    table = make_rows(800)
    prepared = prepared_by(table)
    assert prepared.facts["planted_strings"] == {}
    assert set(prepared.rows.column("text").to_pylist()) <= set(table.column("text").to_pylist())


def test_random_words_in_honest_rows_are_no_strains() -> None:
    rng, rows = Random(0), make_rows(800).to_pylist()
    for row in rng.sample(rows, 80):
        row["text"] += " qx7 blue lantern"
    table = pa.Table.from_pylist(rows, schema=make_rows(2).schema)
    assert prepared_by(table).facts["planted_strings"] == {}
