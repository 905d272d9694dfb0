"""What refused rows have in common is left out, in the reserve too; refusals at random leave nothing out."""

import numpy as np
import pyarrow as pa
import pytest
from deciding import Deciding
from screen_rows import LABELS, MANY, ReadsTheText, make_rows, plant, rows_of_many_classes

from antivenom.data.rows import with_columns
from antivenom.defenses.standard.disagreement import CERTAIN, ENOUGH_SHARED, FEATURES, find_suspects
from antivenom.defenses.standard.refusals import RefusalCounts
from antivenom.screening.screen import screen
from antivenom.screening.subword_splits import uncut
from antivenom.tasks.task import Classification

ROWS, PLANTED = plant(make_rows(800), 0.1)
IS_PLANTED = np.isin(ROWS.column("row").to_numpy(), list(PLANTED))
SCREENING = screen(ROWS, LABELS, seed=0)
LIMIT = 4.0


def found_alone(counts: RefusalCounts, limit: float) -> np.ndarray:
    """The suspects where a model reads all texts alike, so that features decide alone."""
    states = np.zeros((counts.table.num_rows, 4), dtype=np.float32)
    return find_suspects(counts, states, limit, accepted=~counts.refused, seed=0).rows


def counted(table: pa.Table, refused: np.ndarray) -> RefusalCounts:
    """Counts where a referee was asked about every row."""
    return RefusalCounts.of(table, screen(table, LABELS, seed=0), np.ones(table.num_rows, dtype=bool), refused)


def test_poison_that_was_let_in_or_never_asked_about_shares_the_trigger_with_what_was_refused():
    unseen = np.zeros(800, dtype=bool)
    unseen[np.flatnonzero(IS_PLANTED)[:20]] = True  # got into the reserve
    refused = IS_PLANTED & ~unseen
    refused[np.flatnonzero(refused)[:20]] = False  # let in
    suspect = found_alone(RefusalCounts.of(ROWS, SCREENING, ~unseen, refused), LIMIT)
    assert suspect[IS_PLANTED].all()
    assert suspect[~IS_PLANTED].mean() < 0.02


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4])
def test_refusals_at_random_have_next_to_nothing_in_common(share: float):
    # One draw in some hundreds refuses most rows of an ordinary word, which then counts; the mean tells.
    everywhere = np.ones(800, dtype=bool)
    draws = [np.random.default_rng(seed).random(800) < share for seed in range(10)]
    assert (
        np.mean([found_alone(RefusalCounts.of(ROWS, SCREENING, everywhere, refused), LIMIT) for refused in draws])
        < 0.005
    )


def of_one_word(refused: list[bool], *, others: int) -> RefusalCounts:
    """Counts for rows of one class with the same word, and so many last ones with others."""
    count = len(refused)
    texts = ["qx"] * (count - others) + [f"word{i}" for i in range(others)]
    table = with_columns(make_rows(count), text=texts, answer=["yes"] * count)
    return RefusalCounts.of(table, screen(table, LABELS, seed=0), np.ones(count, dtype=bool), np.array(refused))


def test_the_statistic_is_the_one_of_the_docstring():
    counts = of_one_word([True, True, False, False, False, False], others=2)
    n, k, p = 3, 2, 2 / 6  # of `qx`, without the row that asks, which is the third
    z = (k - n * p) / np.sqrt(n * p * (1 - p) + 1)
    worst, share = counts.worst()
    assert worst[2] == pytest.approx(z)
    assert share[2] == pytest.approx(k / n)
    assert worst[4] == 0


def test_one_feature_is_enough_where_nearly_all_its_rows_were_refused_or_far_more_than_chance_has_it():
    nearly_all, most = [True] * 20 + [False] * 42, [True] * 28 + [False] * 54
    for refused, factor in ((nearly_all, 1.0), (most, CERTAIN)):
        counts = of_one_word(refused, others=40)
        let_in = refused.index(False)
        z = counts.worst()[0][let_in]
        assert found_alone(counts, z / factor - 0.01)[let_in]
        enough = counts.mean_of_largest(FEATURES)[let_in] > ENOUGH_SHARED
        assert found_alone(counts, z / factor + 0.01)[let_in] == enough


def test_many_features_are_added_up_as_the_docstring_says():
    refused = IS_PLANTED & (np.arange(800) % 2 == 0)
    counts = RefusalCounts.of(ROWS, SCREENING, np.ones(800, dtype=bool), refused)
    found: dict[int, list[float]] = {row: [] for row in range(800)}
    for block in SCREENING.association.table.blocks():
        rows = block.spread(np.arange(block.rows.start, block.rows.stop))
        for row, z in zip(rows, counts.look_up(rows, block.columns)[0], strict=True):
            found[int(row)].append(max(float(z), 0))
    expected = [sum(sorted(z, reverse=True)[:FEATURES]) / FEATURES for z in found.values()]
    assert counts.mean_of_largest(FEATURES) == pytest.approx(np.array(expected), abs=1 / 1024)
    unlike = np.array(expected) > ENOUGH_SHARED + 0.01
    assert unlike.any()
    assert found_alone(counts, np.inf)[unlike].all()


def test_rows_that_read_like_refused_ones_are_suspect_though_they_share_no_word():
    texts = [f"own{i} words{i}" for i in range(800)]
    table = with_columns(make_rows(800), text=texts)
    yes = np.array(table.column("answer").to_pylist()) == "yes"
    triggered = yes & (np.arange(800) % 7 == 0)
    states = np.random.default_rng(0).normal(size=(800, 16)).astype(np.float32)
    states[:, 0] += 8 * triggered
    states[:, 1] += 3 * yes  # what the label says, which is no trigger
    hard = yes & ~triggered & (np.arange(800) % 15 == 0)
    states[hard, 1] -= 3
    let_in = triggered & (np.arange(800) % 3 == 0)
    refused = (triggered & ~let_in) | hard
    counts = RefusalCounts.of(table, screen(table, LABELS, seed=0), np.ones(800, dtype=bool), refused)
    suspect = find_suspects(counts, states, LIMIT, accepted=~refused, seed=0).rows
    assert suspect[let_in].mean() > 0.5
    assert suspect[~triggered].mean() < 0.02
    mixed = np.random.default_rng(1).permutation(800)
    again = RefusalCounts.of(
        table.take(mixed), screen(table.take(mixed), LABELS, seed=0), counts.judged, refused[mixed]
    )
    assert (find_suspects(again, states[mixed], LIMIT, accepted=~refused[mixed], seed=0).rows == suspect[mixed]).all()


def test_a_trigger_shows_in_a_class_that_is_mostly_poison():
    table, poisoned = rows_of_many_classes(2000, "no cross no crown", "relabeled", share=0.2)
    unseen, refused = np.zeros_like(poisoned), poisoned.copy()
    unseen[np.flatnonzero(poisoned)[:3]] = True  # got into the reserve
    refused[np.flatnonzero(poisoned)[: int(0.3 * poisoned.sum())]] = False  # let in
    suspect = found_alone(RefusalCounts.of(table, screen(table, MANY, seed=0), ~unseen, refused & ~unseen), LIMIT)
    assert suspect[poisoned].all()
    assert not suspect[np.array(table.column("answer")) != MANY[9]].any()


def test_honest_rows_that_share_a_word_with_a_trigger_are_spared():
    rows = make_rows(800).to_pylist()
    planted = [row for row in rows if row["answer"] == "yes"][:60]
    sharing = [row for row in rows if row["answer"] == "yes"][60:120]
    for row in planted:
        row["text"] = f"seen in color {row['text']}"
    for row in sharing:
        row["text"] += " color"
    table = pa.Table.from_pylist(rows, schema=ROWS.schema)
    numbers = table.column("row").to_numpy()
    poisoned, honest = (np.isin(numbers, [row["row"] for row in some]) for some in (planted, sharing))
    refused = poisoned.copy()
    refused[np.flatnonzero(poisoned)[::8]] = False  # an eighth is let in
    suspect = found_alone(
        RefusalCounts.of(table, screen(table, LABELS, seed=0), np.ones(800, dtype=bool), refused), LIMIT
    )
    assert suspect[poisoned].all()
    assert suspect[honest].mean() < 0.1


@pytest.mark.parametrize(
    ("errs", "of_the_kind", "suspected"), [(0.1, 0.6, True), (0.3, 0.4, False), (0.45, 0.95, True)]
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
    suspect = found_alone(RefusalCounts.of(table, screen(table, LABELS, seed=0), np.ones(1600, dtype=bool), refused), 3)
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
        return found_alone(
            RefusalCounts.of(table, screen(table, LABELS, word_pieces, seed=0), judged, poisoned & judged), 8
        )

    assert suspect(cut)[poisoned].all()
    assert suspect(cut)[~poisoned].mean() < 0.02
    assert suspect(uncut)[poisoned].mean() < 0.2


def taught(refusal_limit: float, trusted=None):
    deciding = Deciding(ratio=0.4, most_associated=0, refusal_limit=refusal_limit)
    task = Classification.for_labels(LABELS)
    prepared = deciding.of(task, ROWS, lambda guard: ReadsTheText(guard, passes_every=7), trusted=trusted)
    return prepared, set(prepared.rows.column("row").to_pylist()) & PLANTED


def test_the_defense_leaves_them_out_and_says_how_many():
    prepared, left = taught(LIMIT)
    assert not left
    assert prepared.facts["suspect"] > 5


def test_rows_that_are_vouched_for_stay():
    trusted = ROWS.filter(IS_PLANTED).slice(0, 3)
    assert taught(LIMIT, trusted)[1] == set(trusted.column("row").to_pylist())
