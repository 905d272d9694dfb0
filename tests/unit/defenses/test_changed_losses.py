"""ABL's and DeCE's losses: their values, and that ABL turns round what was learned fastest and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from antivenom.core.errors import OptionsError
from antivenom.defenses.abl import Abl
from antivenom.defenses.dece import DeCE
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows

torch = pytest.importorskip("torch")
TASK = Classification.for_labels(("negative", "positive"))
LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
LABELS = torch.tensor([0, 1, 2])
ROWS = torch.tensor([0, 1, 2])


def test_local_gradient_ascent_holds_the_loss_at_gamma():
    """A loss of 0.3 below gamma = 0.5 has the sign -1."""
    logits = torch.tensor([[-math.log(math.expm1(0.3)), 0.0], [-math.log(math.expm1(0.9)), 0.0]], requires_grad=True)
    found = Abl().hold_at_gamma(logits, torch.tensor([0, 0]), ROWS[:2], 0.0)
    assert found.tolist() == pytest.approx([-0.3, 0.9])
    found.sum().backward()
    assert logits.grad[0, 0] > 0 > logits.grad[1, 0], "gradient descent raises the first loss and lowers the second"


def test_isolated_rows_wait_and_then_are_unlearned():
    loss = Abl(unlearn=0.2, most_loss=2.0).unlearning(np.array([False, True, True]))
    plain = torch.nn.functional.cross_entropy(LOGITS, LABELS, reduction="none").tolist()
    assert loss(LOGITS, LABELS, ROWS, 0.5).tolist() == pytest.approx([plain[0], 0, 0])
    assert loss(LOGITS, LABELS, ROWS, 0.9).tolist() == pytest.approx([plain[0], -plain[1], -plain[2]])
    lost = torch.tensor([[0.0, 9.0, 0.0]], requires_grad=True)
    loss(lost, torch.tensor([0]), torch.tensor([1]), 0.9).sum().backward()
    assert not lost.grad.any(), "what is unlearned is left alone"


def test_a_blank_example_belongs_to_no_row():
    loss = Abl().unlearning(np.array([False, True]))
    plain = torch.nn.functional.cross_entropy(LOGITS[:1], LABELS[:1], reduction="none").tolist()
    assert loss(LOGITS[:1], LABELS[:1], torch.tensor([-1]), 0.9).tolist() == pytest.approx(plain)


def test_abl_isolates_the_lowest_losses_but_no_trusted_row():
    rows = synthetic_rows(100)

    class Learned:
        def losses(self, table, *, progress=None):
            return np.arange(table.num_rows, dtype=float)

    def isolated(trusted):
        lab = StandInLab(fit=lambda rows, guard: Learned())
        prepared = Abl(isolate=0.05).prepare(TASK, rows, trusted=trusted, lab=lab)
        assert prepared.rows.num_rows == 100
        logits, labels = torch.zeros(100, 2), torch.zeros(100, dtype=torch.long)
        losses = prepared.training.loss(logits, labels, torch.arange(100), 0.9)
        assert int((losses < 0).sum()) == prepared.facts["isolated"]
        return (losses < 0).nonzero().flatten().tolist()

    assert isolated(None) == [0, 1, 2, 3, 4]
    assert isolated(rows.slice(1, 2)) == [0, 3, 4]


def test_dece_begins_as_cross_entropy_with_smoothed_labels_and_ends_certain():
    defense = DeCE(base=0.5, smoothing=0.1, epochs=2)
    first = defense.loss(LOGITS, LABELS, ROWS, 0.0)
    expected = torch.nn.functional.cross_entropy(LOGITS, LABELS, reduction="none", label_smoothing=0.1)
    assert first.tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    smoothed = 0.9 * torch.eye(3)[LABELS] + 0.1 / 3
    mixed = 0.25 * LOGITS.softmax(-1) + 0.75 * smoothed
    last = defense.loss(LOGITS, LABELS, ROWS, 1.0)
    assert last.tolist() == pytest.approx((-(smoothed * mixed.log()).sum(-1)).tolist())


def test_dece_flattens_the_gradient_as_training_goes_on():
    slopes = []
    for progress in (0.0, 1.0):
        logits = LOGITS.clone().requires_grad_()
        DeCE().loss(logits, LABELS, ROWS, progress).sum().backward()
        slopes.append(float(logits.grad.abs().sum()))
    assert slopes[1] < slopes[0]


@pytest.mark.parametrize("options", [{"base": 1.0}, {"smoothing": 1.0}, {"epochs": 0}])
def test_options_out_of_range(options):
    with pytest.raises(OptionsError):
        DeCE(**options)
