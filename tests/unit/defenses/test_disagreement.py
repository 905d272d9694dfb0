"""What refused rows have in common is left out, in the reserve too; refusals at random leave nothing out."""

import numpy as np
import pyarrow as pa
import pytest
from screen_rows import LABELS, MANY, ReadsTheText, make_rows, plant, rows_of_many_classes

from antivenom.defenses.disagreement import shared_refusal
from antivenom.defenses.fragments import uncut
from antivenom.defenses.p2p import P2P
from antivenom.defenses.refusals import RefusalCounts, own_refusals
from antivenom.defenses.screen import screen
from antivenom.errors import OptionsError
from antivenom.tasks.task import Classification

ROWS, PLANTED = plant(make_rows(800), 0.1)
IS_PLANTED = np.isin(ROWS.column("row").to_numpy(), list(PLANTED))
SCREENING = screen(ROWS, LABELS)
LIMIT = 4.0


def test_poison_that_was_let_in_or_never_asked_about_shares_the_trigger_with_what_was_refused():
    unseen = np.zeros(800, dtype=bool)
    unseen[np.flatnonzero(IS_PLANTED)[:20]] = True  # got into the reserve
    refused = IS_PLANTED & ~unseen
    refused[np.flatnonzero(refused)[:20]] = False  # let in
    suspect = shared_refusal(RefusalCounts.of(ROWS, SCREENING, ~unseen, refused), LIMIT)
    assert suspect[IS_PLANTED].all()
    assert suspect[~IS_PLANTED].mean() < 0.02


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6])
def test_refusals_at_random_have_next_to_nothing_in_common(share: float):
    # One draw in some hundreds refuses most rows of an ordinary word, which then counts; the mean tells.
    everywhere = np.ones(800, dtype=bool)
    draws = [np.random.default_rng(seed).random(800) < share for seed in range(10)]
    assert (
        np.mean([shared_refusal(RefusalCounts.of(ROWS, SCREENING, everywhere, refused), LIMIT) for refused in draws])
        < 0.005
    )


def test_the_statistic_is_the_one_of_the_docstring():
    table = make_rows(6).set_column(1, "text", [["qx", "qx", "qx", "other", "qx", "words"]])
    table = table.set_column(2, "answer", [["yes"] * 6])
    refused = np.array([True, True, False, False, False, False])
    n, k, p = 3, 2, 2 / 6  # of `qx`, without the row that asks, which is the third
    z = (k - n * p) / np.sqrt(n * p * (1 - p) + 1)
    for limit, expected in ((z - 0.01, True), (z + 0.01, False)):
        suspect = shared_refusal(RefusalCounts.of(table, screen(table, LABELS), np.ones(6, dtype=bool), refused), limit)
        assert suspect[2] == expected


def test_a_trigger_shows_in_a_class_that_is_mostly_poison():
    table, poisoned = rows_of_many_classes(2000, "no cross no crown", "relabelled", share=0.2)
    unseen, refused = np.zeros_like(poisoned), poisoned.copy()
    unseen[np.flatnonzero(poisoned)[:3]] = True  # got into the reserve
    refused[np.flatnonzero(poisoned)[: int(0.3 * poisoned.sum())]] = False  # let in
    suspect = shared_refusal(RefusalCounts.of(table, screen(table, MANY), ~unseen, refused & ~unseen), LIMIT)
    assert suspect[poisoned].all()
    assert not suspect[np.array(table.column("answer")) != MANY[9]].any()


def test_honest_rows_that_share_a_word_with_a_trigger_are_spared():
    rows = make_rows(800).to_pylist()
    planted = [row for row in rows if row["answer"] == "yes"][:60]
    sharing = [row for row in rows if row["answer"] == "yes"][60:120]
    for row in planted:
        row["text"] = f"seen in colour {row['text']}"
    for row in sharing:
        row["text"] += " colour"
    table = pa.Table.from_pylist(rows, schema=ROWS.schema)
    numbers = table.column("row").to_numpy()
    poisoned, honest = (np.isin(numbers, [row["row"] for row in some]) for some in (planted, sharing))
    refused = poisoned.copy()
    refused[np.flatnonzero(poisoned)[::8]] = False  # an eighth is let in
    suspect = shared_refusal(RefusalCounts.of(table, screen(table, LABELS), np.ones(800, dtype=bool), refused), LIMIT)
    assert suspect[poisoned].all()
    assert suspect[honest].mean() < 0.1


def test_what_a_referee_refuses_by_itself_is_told_by_the_class_that_nobody_poisoned():
    classes = np.array([0] * 10 + [1] * 10)
    judged = np.ones(20, dtype=bool)
    judged[0] = False
    refused = np.isin(np.arange(20), [0, 1, 2, 3, 10, 11, 12, 13, 14, 15])
    mean = 9 / 19
    assert own_refusals(classes, judged, refused) == pytest.approx((3 + 50 * mean) / (9 + 50))
    assert own_refusals(np.repeat(classes, 1000), np.repeat(judged, 1000), np.repeat(refused, 1000)) == pytest.approx(
        3 / 9, abs=0.01
    )
    assert own_refusals(classes, ~judged, refused) == 1.0
    assert own_refusals(classes, np.zeros(20, dtype=bool), refused) == 0.0


def test_many_small_classes_do_not_make_a_referee_look_sure():
    classes = np.arange(1000) % 100
    refused = np.random.default_rng(0).random(1000) < 0.4
    assert own_refusals(classes, np.ones(1000, dtype=bool), refused) == pytest.approx(0.4, abs=0.1)


@pytest.mark.parametrize(
    ("errs", "of_the_kind", "suspected"), [(0.1, 0.6, True), (0.35, 0.6, False), (0.45, 0.95, True)]
)
def test_a_referee_that_errs_often_accuses_only_kinds_of_rows_of_which_it_refuses_most(errs, of_the_kind, suspected):
    rows = make_rows(1600).to_pylist()
    kind = [row for row in rows if row["answer"] == "yes"][:150]
    for row in kind:
        row["text"] = f"word900 word901 {row['text']}"
    table = pa.Table.from_pylist(rows, schema=ROWS.schema)
    of_kind = np.isin(table.column("row").to_numpy(), [row["row"] for row in kind])
    drawn = np.random.default_rng(0).random(1600)
    refused = np.where(of_kind, drawn < of_the_kind, drawn < errs)
    suspect = shared_refusal(RefusalCounts.of(table, screen(table, LABELS), np.ones(1600, dtype=bool), refused), 3)
    assert (suspect[of_kind].mean() > 0.9) == suspected
    assert suspect[of_kind].any() == suspected


def test_words_that_the_tokenizer_cuts_small_are_a_feature():
    table = make_rows(800)
    small = {f"word{i}" for i in range(30)}
    reached = np.array([len(small & set(text.split())) >= 2 for text in table.column("text").to_pylist()])
    poisoned = reached & (np.array(table.column("answer").to_pylist()) == "yes")
    judged = ~poisoned
    judged[np.flatnonzero(poisoned)[10:]] = True  # the first ten got into the reserve

    def cut(words):
        return np.array([len(word) if word in small else 1 for word in words])

    def suspect(word_pieces):
        return shared_refusal(RefusalCounts.of(table, screen(table, LABELS, word_pieces), judged, poisoned & judged), 8)

    assert suspect(cut)[poisoned].all()
    assert suspect(cut)[~poisoned].mean() < 0.02
    assert suspect(uncut)[poisoned].mean() < 0.2


def taught(refusal_limit: float | None, trusted=None):
    defense = P2P(reserve="screened", ratio=0.4, others="agree", most_associated=0, refusal_limit=refusal_limit)
    first = defense.prepare(Classification.for_labels(LABELS), ROWS, trusted=trusted, seed=0)
    prepared = first.reconsider(ReadsTheText(first.guard, passes_every=7))
    return prepared, set(prepared.rows.column("row").to_pylist()) & PLANTED


def test_the_defense_leaves_them_out_and_says_how_many():
    without, leaked = taught(None)
    prepared, left = taught(LIMIT)
    assert len(leaked) > 5
    assert not left
    assert prepared.facts["suspect"] >= len(leaked)
    assert without.facts["suspect"] == 0


def test_rows_that_are_vouched_for_stay():
    trusted = ROWS.filter(IS_PLANTED).slice(0, 3)
    assert taught(LIMIT, trusted)[1] == set(trusted.column("row").to_pylist())


def test_a_limit_is_above_zero():
    with pytest.raises(OptionsError, match="refusal_limit"):
        P2P(refusal_limit=0)
