"""ABL's and DeCE's losses: their values, and that ABL sets aside what was learned fastest and nothing else."""

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
small_tuning = pytest.importorskip("antivenom.models.small_tuning")
TASK = Classification.for_labels(("negative", "positive"))
LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
LABELS = torch.tensor([0, 1, 2])


def test_local_gradient_ascent_holds_the_loss_at_gamma():
    """A loss of 0.3 below gamma = 0.5 has the sign -1."""
    logits = torch.tensor([[-math.log(math.expm1(0.3)), 0.0], [-math.log(math.expm1(0.9)), 0.0]], requires_grad=True)
    found = Abl().hold_at_gamma(logits, torch.tensor([0, 0]), 0.0)
    assert found.tolist() == pytest.approx([-0.3, 0.9])
    found.sum().backward()
    assert logits.grad[0, 0] > 0 > logits.grad[1, 0], "gradient descent raises the first loss and lowers the second"


def test_ascent_unlearns_up_to_a_bound_and_no_further():
    class Model:
        def __init__(self, logits):
            self.logits = logits

        def __call__(self, **read):
            return self

    counted = small_tuning.Batch(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.long), LABELS[None])
    plain = torch.nn.functional.cross_entropy(LOGITS, LABELS, reduction="none")
    found = small_tuning.bounded_ascent(0.5)(Model(LOGITS[None]), counted)
    assert float(found) == pytest.approx(-float(plain.clamp_max(0.5).mean()))
    lost = torch.tensor([[[0.0, 9.0, 0.0]]], requires_grad=True)
    one = small_tuning.Batch(*(part[:, :1] for part in counted[:3]))
    small_tuning.bounded_ascent(2.0)(Model(lost), one).backward()
    assert not lost.grad.any(), "what is unlearned is left alone"


def test_abl_sets_the_lowest_losses_aside_but_no_trusted_row():
    rows = synthetic_rows(100)

    class Learned:
        def losses(self, table, *, progress=None):
            return np.arange(table.num_rows, dtype=float)

    def isolated(trusted):
        lab = StandInLab(fit=lambda rows, guard: Learned())
        prepared = Abl(isolate=0.05).prepare(TASK, rows, trusted=trusted, lab=lab)
        aside = prepared.aside.column("row").to_pylist()
        kept = set(prepared.rows.column("row").to_pylist())
        assert (prepared.facts["isolated"], len(kept)) == (len(aside), 100 - len(aside))
        assert not kept & set(aside)
        return [rows.column("row").to_pylist().index(row) for row in aside]

    assert isolated(None) == [0, 1, 2, 3, 4]
    assert isolated(rows.slice(1, 2)) == [0, 3, 4]


def test_dece_begins_as_cross_entropy_with_smoothed_labels_and_ends_certain():
    defense = DeCE(base=0.5, smoothing=0.1, epochs=2)
    first = defense.loss(LOGITS, LABELS, 0.0)
    expected = torch.nn.functional.cross_entropy(LOGITS, LABELS, reduction="none", label_smoothing=0.1)
    assert first.tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    smoothed = 0.9 * torch.eye(3)[LABELS] + 0.1 / 3
    mixed = 0.25 * LOGITS.softmax(-1) + 0.75 * smoothed
    last = defense.loss(LOGITS, LABELS, 1.0)
    assert last.tolist() == pytest.approx((-(smoothed * mixed.log()).sum(-1)).tolist())


def test_dece_flattens_the_gradient_as_training_goes_on():
    slopes = []
    for progress in (0.0, 1.0):
        logits = LOGITS.clone().requires_grad_()
        DeCE().loss(logits, LABELS, progress).sum().backward()
        slopes.append(float(logits.grad.abs().sum()))
    assert slopes[1] < slopes[0]


@pytest.mark.parametrize("options", [{"base": 1.0}, {"smoothing": 1.0}, {"epochs": 0}])
def test_options_out_of_range(options):
    with pytest.raises(OptionsError):
        DeCE(**options)
