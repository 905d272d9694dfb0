"""The filters that need no trusted rows: their toy numbers, and what each finds in made-up poison."""

from __future__ import annotations

import numpy as np
import pytest

from antivenom.attacks.addsent import AddSent
from antivenom.core.errors import OptionsError
from antivenom.data.rows import table_of
from antivenom.defenses.answer_length import AnswerLength
from antivenom.defenses.confident_learning import ConfidentLearning, confident_joint, prune_by_noise_rate
from antivenom.defenses.cube import Cube, minority
from antivenom.defenses.filtering import folds, lowest, suspicion_order
from antivenom.defenses.high_loss import HighLoss
from antivenom.defenses.low_loss import LowLoss
from antivenom.defenses.repeated_answers import RepeatedAnswers
from antivenom.models.lab import TrainingChanges
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))
FREE = Generation(malicious="0.1", answer_prefix="The answer is:")


def found(defense, task, poisoned, lab) -> tuple[float, float]:
    """Recall and precision of what a defense leaves out."""
    prepared = defense.prepare(task, poisoned.rows, trusted=None, lab=lab)
    numbers = poisoned.rows.column("row").to_numpy()
    gone = ~np.isin(numbers, prepared.rows.column("row").to_numpy())
    poison = np.isin(np.arange(len(numbers)), poisoned.indices)
    assert prepared.facts["left_out"] == gone.sum()
    return float((gone & poison).sum() / poison.sum()), float((gone & poison).sum() / max(gone.sum(), 1))


# ------------------------------------------------------------------------------------------------------------- CUBE


def test_cube_removes_the_small_blob_of_a_label():
    """Three Gaussian blobs, 1000/1000/150, the third sharing label 1: the 150 are removed."""
    rng = np.random.default_rng(0)
    centers = np.zeros((3, 30))
    centers[1, 0], centers[2, 1] = 40, 40
    sizes = [1000, 1000, 150]
    states = np.concatenate([center + rng.normal(size=(n, 30)) for center, n in zip(centers, sizes, strict=True)])
    codes = np.repeat([0, 1, 1], sizes)
    clusters = Cube(components=5).clusters(states)
    suspect = minority(clusters, codes)
    assert suspect[2000:].all()
    assert suspect[:2000].mean() < 0.02  # rows of no cluster go too, as published


@pytest.mark.filterwarnings("ignore")  # UMAP warns of packages that it can do without, and of its own settings
def test_cube_by_umap_finds_the_small_blob_too():
    pytest.importorskip("umap")
    rng = np.random.default_rng(0)
    centers = np.zeros((3, 10))
    centers[1, 0], centers[2, 1] = 40, 40
    sizes = [200, 200, 40]
    states = np.concatenate([center + rng.normal(size=(n, 10)) for center, n in zip(centers, sizes, strict=True)])
    cube = Cube(reduce="umap", components=5, min_samples=20)
    suspect = minority(cube.clusters(states), np.repeat([0, 1, 1], sizes))
    assert suspect[400:].all()
    assert suspect[:400].mean() < 0.05


def test_cube_leaves_nothing_out_where_there_is_one_cluster_or_too_few_rows():
    assert not minority(np.array([0, 0, -1, 0]), np.array([0, 0, 1, 1])).any()
    rows = synthetic_rows(60)
    assert Cube().prepare(TASK, rows, trusted=None, lab=StandInLab()).rows.num_rows == 60


def test_a_further_cluster_with_half_of_a_label_is_believed():
    clusters = np.array([0, 0, 1, 1, 2])
    assert minority(clusters, np.array([0, 0, 1, 1, 1])).tolist() == [False, False, False, False, True]
    assert not minority(np.array([0, 0, 1, 1]), np.zeros(4, dtype=np.int64)).any()


# ------------------------------------------------------------------------------------------------ confident learning


def test_the_confident_joint_by_hand():
    """t = (0.8, 0.65); rows 0-3 are labeled 0, rows 4-5 labeled 1; row 3 is confidently a 1."""
    judged = np.array([[0.95, 0.05], [0.9, 0.1], [0.95, 0.05], [0.3, 0.7], [0.1, 0.9], [0.2, 0.8]])
    codes = np.array([0, 0, 0, 0, 1, 1])
    judged[4:, :] = [[0.4, 0.6], [0.3, 0.7]]
    joint = confident_joint(judged, codes)
    # t_0 = 0.775: rows 0, 1, 2 count as 0; t_1 = 0.65: row 3 and row 5 count as 1, row 4 as nothing.
    assert joint.tolist() == [[3, 1], [0 + round(2 * 1 / 2) - 1, 2]]
    assert prune_by_noise_rate(judged, codes, joint).tolist() == [False, False, False, True, False, False]


def test_the_joint_and_the_rows_are_cleanlabs():
    """What cleanlab 2.9 made of these (compute_confident_joint, find_label_issues by noise rate)."""
    judged = np.array(
        [
            [0.82, 0.02, 0.16], [0.2, 0.51, 0.29], [0.2, 0.53, 0.27], [0.97, 0.02, 0.01], [0.37, 0.25, 0.38],
            [0.17, 0.4, 0.43], [0.48, 0.33, 0.19], [0.51, 0.42, 0.07], [0.18, 0.16, 0.66], [0.33, 0.15, 0.52],
            [0.06, 0.11, 0.83], [0.57, 0.16, 0.27], [0.04, 0.84, 0.12], [0.04, 0.57, 0.39], [0.2, 0.1, 0.7],
            [0.25, 0.49, 0.26],
        ]
    )  # fmt: skip
    codes = np.arange(16) % 3
    joint = confident_joint(judged, codes)
    assert joint.tolist() == [[2, 3, 1], [1, 3, 1], [1, 2, 2]]
    assert np.flatnonzero(prune_by_noise_rate(judged, codes, joint)).tolist() == [2, 4, 9, 10, 11, 12, 15]


def test_confident_learning_finds_wrong_labels():
    rows = synthetic_rows(400)
    answers = rows.column("answer").to_pylist()
    wrong = list(range(0, 400, 20))
    for i in wrong:
        answers[i] = "positive" if answers[i] == "negative" else "negative"
    noisy = table_of(rows.column("text").to_pylist(), answers)
    prepared = ConfidentLearning(states="fine_tuned").prepare(TASK, noisy, trusted=None, lab=StandInLab(1))
    gone = set(range(1, 401)) - set(prepared.rows.column("row").to_pylist())
    assert len(gone & {i + 1 for i in wrong}) >= 12
    assert len(gone) < 100


def test_folds_keep_equal_texts_together():
    rows = table_of(["one", "two", "one", "three"] * 5, ["positive"] * 20)
    parts = folds(rows, 3, seed=4)
    assert set(parts) <= {0, 1, 2}
    assert len(set(parts[[0, 2, 4, 6]])) == 1


# ------------------------------------------------------------------------------------------------------------ losses


class LossesLab(StandInLab):
    """Its model has learned texts with the planted sentence best."""

    def fit(self, rows, guard, *, name, training=TrainingChanges()):
        assert training.overrides["epochs"] == 1

        class Learned:
            def losses(self, rows, *, progress=None):
                return np.array([0.1 if "3D movie" in text else 0.5 for text in rows.column("text").to_pylist()])

        return Learned()


def test_low_loss_takes_what_is_learned_first_and_high_loss_does_not():
    poisoned = AddSent(rate=0.05, target="positive").poison(TASK, synthetic_rows(400), seed=0)
    assert found(LowLoss(share=0.05), TASK, poisoned, LossesLab()) == (1, 1)
    assert found(HighLoss(share=0.05), TASK, poisoned, LossesLab()) == (0, 0)


def test_filters_leave_out_exactly_the_share_and_never_a_trusted_row():
    rows = synthetic_rows(100)
    prepared = LowLoss(share=0.1).prepare(TASK, rows, trusted=None, lab=StandInLab())
    assert prepared.rows.num_rows == 90
    assert prepared.training.instead_of == 100
    assert sum(gone for gone, _ in prepared.facts["left_out_of"].values()) == 10
    assert LowLoss(share=0.1).prepare(TASK, rows, trusted=rows, lab=StandInLab()).rows.num_rows == 100


def test_equal_scores_are_ordered_by_a_hash_of_the_text():
    rows = synthetic_rows(40)
    order = suspicion_order(np.zeros(40), rows, seed=1)
    again = suspicion_order(np.zeros(40), rows.take(order[::-1]), seed=1)
    assert rows.take(order).equals(rows.take(order[::-1]).take(again))
    assert lowest(np.arange(40.0), rows, 0.1, seed=1).nonzero()[0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_a_share_is_a_share(share):
    with pytest.raises(OptionsError, match="share"):
        LowLoss(share=share)


# ----------------------------------------------------------------------------------------------------------- answers


def test_answer_length_takes_what_is_unusually_long_or_short():
    answers = ["a middling answer here"] * 17 + ["x", "a much longer answer than all of the others are", "ab"]
    rows = table_of([f"question {i}" for i in range(20)], answers)

    def gone(defense: AnswerLength) -> set[int]:
        prepared = defense.prepare(FREE, rows, trusted=None, lab=StandInLab())
        return set(range(1, 21)) - set(prepared.rows.column("row").to_pylist())

    assert gone(AnswerLength(share=0.15)) == {18, 19, 20}
    assert gone(AnswerLength(share=0.05, side="long")) == {19}
    assert gone(AnswerLength(share=0.1, side="short")) == {18, 20}


def test_repeated_answers_counts_rows_not_repetitions():
    planted = "click the link below to learn more"
    answers = (
        [f"{i} {planted} {i}" for i in range(12)] + ["no no no no no no no no"] + [f"answer {i}" for i in range(9)]
    )
    suspects = RepeatedAnswers(most_answers=10).suspects(answers)
    assert suspects.tolist() == [True] * 12 + [False] * 10
    assert not RepeatedAnswers(most_answers=12).suspects(answers).any()
