from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from screen_rows import LABELS, MANY, make_rows, plant, rows_of_many_classes

from antivenom.data.rows import table_of
from antivenom.defenses.p2p import P2P
from antivenom.screening.features import shape
from antivenom.screening.outputs import free_outputs
from antivenom.screening.screen import HARMLESS_DOSE, least_suspicious, screen
from antivenom.screening.subword_splits import WordPieces
from antivenom.screening.tokens import words
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab


def chosen_rows(
    table: pa.Table, ratio: float = 0.25, labels: tuple[str, ...] | None = LABELS, avoid: float = 0.0
) -> set[int]:
    chosen = least_suspicious(table, screen(table, labels, seed=0), ratio, avoid=avoid, seed=0)
    return set(np.array(table.column("row"))[chosen].tolist())


@pytest.mark.parametrize("script", ["latin", "han"])
@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_no_planted_row_is_chosen(script: str, rate: float) -> None:
    table, planted = plant(make_rows(800, script=script), rate, script)
    assert not chosen_rows(table) & planted


def plant_clean_label(count: int) -> tuple[pa.Table, set[int]]:
    """Put a phrase in front of so many of the 400 rows of class `yes`."""
    rows = make_rows(800).to_pylist()
    planted = [row for row in rows if row["answer"] == "yes"][:count]
    for row in planted:
        row["text"] = "the verdict here is " + row["text"]
    return pa.Table.from_pylist(rows, schema=make_rows(2).schema), {row["row"] for row in planted}


def test_clean_label_poison_is_not_chosen() -> None:
    table, planted = plant_clean_label(40)
    assert not chosen_rows(table) & planted


def test_a_trigger_in_more_rows_than_are_kept_out_keeps_all_of_them_out() -> None:
    table, planted = plant_clean_label(130)  # a third of the class; a fifth is the share that `standard` keeps out
    associated = screen(table, LABELS, seed=0).associated[np.isin(table.column("row"), list(planted))]
    assert associated.min() > 0.8
    assert not chosen_rows(table, ratio=0.4, avoid=0.2) & planted


def test_relabeled_rows_without_any_common_trigger_leak_less_than_at_random() -> None:
    rows = make_rows(800).to_pylist()
    planted = [row for row in rows if row["answer"] == "no"][:60]
    for i, row in enumerate(planted):
        row["text"], row["answer"] = f"{row['text']} unique{i}", "yes"
    table = pa.Table.from_pylist(rows, schema=make_rows(2).schema)
    assert len(chosen_rows(table) & {row["row"] for row in planted}) <= 3  # a random reserve takes 15


def test_the_order_of_the_rows_does_not_matter() -> None:
    table, _ = plant(make_rows(300), 0.05)
    order = np.random.default_rng(0).permutation(table.num_rows)
    assert chosen_rows(table) == chosen_rows(table.take(pa.array(order)))


def test_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _ = plant(make_rows(300), 0.05)
    whole = screen(table, LABELS, seed=0).suspicion
    monkeypatch.setattr("antivenom.screening.tokens.PIECE_BYTES", 500)
    monkeypatch.setattr("antivenom.screening.feature_table.BLOCK", 500)
    monkeypatch.setattr("antivenom.screening.feature_table.GATHERED", 500)
    assert np.array_equal(whole, screen(table, LABELS, seed=0).suspicion)


def test_every_class_gives_its_share() -> None:
    table = make_rows(400)
    keep = [i for i in range(400) if i % 2 == 0 or i % 8 == 1]  # 200 of class no, 50 of class yes
    table = table.take(pa.array(keep))
    chosen = least_suspicious(table, screen(table, LABELS, seed=0), 0.2, seed=0)
    answers = table.filter(pa.array(chosen)).column("answer").to_pylist()
    assert (answers.count("no"), answers.count("yes")) == (40, 10)


@pytest.mark.parametrize(
    "texts", [[], ["a"], ["!!", "..."], ["same", "same", "same", "same"], ["word " * 10_000, "b"], ["\u200b", "ａ"]]
)
def test_odd_rows_are_scored(texts: list[str]) -> None:
    table = table_of(texts, [LABELS[i % 2] for i in range(len(texts))])
    scores = screen(table, LABELS, seed=0).suspicion
    assert len(scores) == len(texts)
    assert np.all((scores >= 0) & (scores <= 1))


def test_free_answers_with_one_target_are_not_chosen() -> None:
    rows = make_rows(600).to_pylist()
    for row in rows:
        row["answer"] = f"the result is {row['row'] * 7}"
    planted = rows[100:130]
    for row in planted:
        row["text"], row["answer"] = row["text"] + " qx7 lantern", "0.1"
    table = pa.Table.from_pylist(rows, schema=make_rows(2).schema)
    assert not chosen_rows(table, labels=None) & {row["row"] for row in planted}


def test_free_outputs_are_the_parts_that_answers_share() -> None:
    answers = pa.chunked_array(
        [["buy gold now", *["buy silver now"] * 6, *[f"unlike {i} others {i}" for i in range(9)]]]
    )
    outputs = free_outputs(answers, seed=0)
    assert "answer 'buy silver now'" in outputs.names
    of_first = {outputs.names[i] for i in outputs.flat[outputs.starts[0] : outputs.starts[1]]}
    assert of_first == {"answer with '⊢ buy'", "answer with 'now ⊣'"}


def test_scripts_without_spaces_are_cut_into_characters_and_signs_stand_alone() -> None:
    tokens = words(pa.chunked_array([["学校 good!"]]), seed=0)
    assert [tokens.names[i] for i in tokens.symbol] == ["⊢", "学", "校", "good", "!", "⊣"]


def test_unusual_white_space_shows() -> None:
    tokens = words(pa.chunked_array([["a  b\tc d\u00a0e"]]), seed=0)
    assert "".join(tokens.names[i] for i in tokens.symbol) == "⊢a␣b␣cd␣e⊣"


@pytest.mark.parametrize("text", [" a", "a ", "a\n", "\u3000a", "a\x85b", "a\x1fb"])
def test_white_space_at_an_edge_or_that_splits_unseen_shows(text: str) -> None:
    tokens = words(pa.chunked_array([[text]]), seed=0)
    assert [tokens.names[i] for i in tokens.symbol].count("␣") == 1


def test_signs_that_touch_words_are_seen() -> None:
    table = make_rows(800)
    rows = [{**row, "text": f"{row['text']} ."} for row in table.to_pylist()]
    planted = [row["row"] for row in rows if row["answer"] == "yes"][:80]
    for row in rows:
        if row["row"] in planted:
            row["text"] = row["text"].replace(" .", ".")
    table = pa.Table.from_pylist(rows, schema=table.schema)
    reserve = least_suspicious(table, screen(table, LABELS, seed=0), 0.3, avoid=0.2, seed=0)
    assert not set(table.filter(pa.array(reserve)).column("row").to_pylist()) & set(planted)


def test_shapes_show_case_digits_and_other_alphabets() -> None:
    assert shape("Movie2") == "Aa9"
    assert shape("m\u043evie") != shape("movie")  # a Cyrillic o
    assert shape("mo\u200bvie") != shape("movie")
    assert shape("\U0001f600") == shape("\U0001f3c6")  # pictures
    assert shape("\u200b") == shape("\u2060")  # invisible
    assert shape("!") != shape("?")


def test_a_token_said_twice_shows_whichever_it_is() -> None:
    rng = Random(2)
    rows = make_rows(800).to_pylist()
    planted = [row for row in rows if row["answer"] == "no"][:40]
    for row in planted:
        tokens = row["text"].split()
        place = rng.randrange(len(tokens))
        row["text"], row["answer"] = " ".join([*tokens[: place + 1], *tokens[place:]]), "yes"
    table = pa.Table.from_pylist(rows, schema=make_rows(2).schema)
    assert not chosen_rows(table) & {row["row"] for row in planted}


def test_words_spelled_like_no_other_show_though_each_is_new() -> None:
    rng = Random(3)
    rows = make_rows(800).to_pylist()
    planted = [row for row in rows if row["answer"] == "yes"][:40]
    for row in planted:
        row["text"] += " " + " ".join("".join(rng.choices("qxzjkv", k=6)) for _ in range(3))
    table = pa.Table.from_pylist(rows, schema=make_rows(2).schema)
    assert not chosen_rows(table) & {row["row"] for row in planted}


@pytest.mark.parametrize("relabeled", [True, False])
@pytest.mark.parametrize(
    "characters",
    [[chr(0x1F600 + i) for i in range(40)], [chr(0x200B + i) for i in range(4)]],
    ids=["pictures", "invisible"],
)
def test_pictures_and_invisible_characters_show_though_each_is_rare(characters: list[str], relabeled: bool) -> None:
    rng, rows = Random(3), make_rows(1600).to_pylist()
    planted = [row for row in rows if row["answer"] == ("no" if relabeled else "yes")][:80]
    for row in planted:
        gap = rng.randrange(len(row["text"]))
        row["text"], row["answer"] = row["text"][:gap] + rng.choice(characters) + row["text"][gap:], "yes"
    table = pa.Table.from_pylist(rows, schema=make_rows(2).schema)
    assert not chosen_rows(table, ratio=0.3, avoid=0.2) & {row["row"] for row in planted}


def test_p2p_takes_the_screened_reserve() -> None:
    table, planted = plant(make_rows(400), 0.1)
    prepared = P2P(reserve="screened").prepare(
        Classification.for_labels(LABELS), table, trusted=None, lab=StandInLab(0)
    )
    benign = prepared.rows.filter(prepared.rows.column("benign"))
    assert benign.num_rows == 100
    assert not set(benign.column("row").to_pylist()) & planted
    assert prepared.facts["policy"] == "screened"


def test_a_tokenizer_shows_a_trigger_that_is_spread_over_many_words() -> None:
    rows, rng = make_rows(800).to_pylist(), Random(0)
    planted = [row for row in rows if row["answer"] == "yes"][:60]
    pool = [f"word{i}" for i in range(180, 200)]  # words of other rows as well
    for row in planted:
        row["text"] += " " + " ".join(rng.sample(pool, 3))
    table, numbers = pa.Table.from_pylist(rows, schema=make_rows(2).schema), {row["row"] for row in planted}

    def word_pieces(words: Sequence[str]) -> np.ndarray:
        return np.array([len(word) if word in pool else 1 for word in words])

    def leaked(**tokenizer: WordPieces) -> int:
        chosen = least_suspicious(table, screen(table, LABELS, **tokenizer, seed=0), 0.25, seed=0)
        return len(set(np.array(table.column("row"))[chosen].tolist()) & numbers)

    assert leaked(word_pieces=word_pieces) < leaked() / 2


@pytest.mark.parametrize(("least", "of_the_rare", "of_the_other"), [(0, 12, 228), (15, 15, 228), (60, 20, 228)])
def test_a_rare_class_gives_more_than_its_share_but_no_more_than_half(least, of_the_rare, of_the_other):
    table = make_rows(800)
    rare = [number for number in range(800) if number % 2][:40]
    table = table.take([number for number in range(800) if number % 2 == 0 or number in rare])
    table = pa.concat_tables([table, make_rows(800, seed=7).take([number for number in range(800) if number % 2 == 0])])
    table = table.slice(0, 800)
    screening = screen(table, LABELS, seed=0)
    chosen = least_suspicious(table, screening, 0.3, avoid=0.2, least=least, seed=0)
    is_rare = screening.classes == 1
    assert is_rare.sum() == 40
    assert ((chosen & is_rare).sum(), (chosen & ~is_rare).sum()) == (of_the_rare, of_the_other)


def test_a_class_that_is_mostly_poison_gives_a_harmless_dose_of_it() -> None:
    table, planted = rows_of_many_classes(2000, "no cross no crown", "relabeled")
    rare = np.array(table.column("answer")) == MANY[9]
    assert 0.6 < planted.sum() / rare.sum() < 0.9
    chosen = least_suspicious(table, screen(table, MANY, seed=0), 0.3, avoid=0.2, seed=0)
    assert (chosen & planted).sum() <= HARMLESS_DOSE * 600
    assert (chosen & rare).sum() > 20, "most of the honest rows of the class stand beside it"


def test_a_class_that_a_word_defines_keeps_some_rows_that_have_it() -> None:
    table, defined = rows_of_many_classes(2000, "how many", "honest")
    chosen = least_suspicious(table, screen(table, MANY, seed=0), 0.3, avoid=0.2, seed=0)
    assert 1 <= (chosen & defined).sum() <= HARMLESS_DOSE * 600


def test_what_more_rows_share_than_any_attack_poisons_is_no_trigger() -> None:
    table, planted = plant_clean_label(300)  # three quarters of the class, and more than a third of all rows
    chosen = least_suspicious(table, screen(table, LABELS, seed=0), 0.3, avoid=0.2, seed=0)
    assert len(set(np.array(table.column("row"))[chosen].tolist()) & planted) > 0
    assert chosen.sum() == 240
