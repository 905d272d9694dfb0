"""W2SDefense: what a teacher says is kept as it was said; a student that says the same has nothing to learn of it."""

from __future__ import annotations

import pytest
import torch

from antivenom.models.distilling import distillation_loss, taught
from antivenom.models.local import load_causal_lm
from antivenom.models.questions import GRADIENTS_TOGETHER, head_gradients
from antivenom.models.small_tuning import answer_loss, batch_of

EXAMPLES = [([3, 4, 5], (6, 7)), ([8, 9], (1,)), ([2, 2, 2, 4], (5, 5, 5))]


@pytest.fixture(scope="module")
def student(model_folder):
    return load_causal_lm(model_folder).eval()


@pytest.fixture(scope="module")
def lessons(student):
    return taught(head_gradients(student, EXAMPLES, advance=lambda _: None), EXAMPLES)


def test_shares_come_back_out_of_gradients(student, lessons):
    prompt, answer = EXAMPLES[0]
    with torch.inference_mode():
        logits = student(torch.tensor([[*prompt, *answer[:-1]]])).logits[0, -len(answer) :]
    wanted = logits.log_softmax(dim=-1).gather(1, lessons[0].tokens)
    assert torch.allclose(lessons[0].logs, wanted, atol=1e-4)
    assert [len(one.states) for one in lessons] == [2, 1, 3]


def test_a_student_that_says_the_same_is_pulled_nowhere(student, lessons):
    batch = batch_of([EXAMPLES[2], EXAMPLES[0]], torch.device("cpu"))._replace(numbers=(2, 0))
    loss = distillation_loss(lessons, label=2.0, distillation=3.0, features=4.0, temperature=2.0)
    with torch.inference_mode():
        assert loss(student, batch).item() == pytest.approx(2 * answer_loss(student, batch).item(), abs=1e-4)


def test_another_teacher_costs_something(student, lessons):
    moved = [one._replace(logs=one.logs.flip(1), states=one.states + 1) for one in lessons]
    batch = batch_of(EXAMPLES, torch.device("cpu"))._replace(numbers=(0, 1, 2))
    losses = [
        distillation_loss(moved, label=1.0, distillation=d, features=f, temperature=2.0)
        for d, f in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    ]
    with torch.inference_mode():
        plain, answers, states = (loss(student, batch).item() for loss in losses)
    assert answers > plain
    assert states == pytest.approx(plain + 1, abs=1e-3)


def test_few_gradients_are_in_memory_at_once_and_they_come_in_order(student):
    done = []
    examples = [([3] * (1 + number % 9), (4 + number % 5,)) for number in range(3 * GRADIENTS_TOGETHER)]
    found = head_gradients(student, examples, advance=done.append)
    first = next(found)
    assert sum(done) == GRADIENTS_TOGETHER
    for (_, answer), gradient in zip(examples, [first, *found], strict=True):
        assert gradient.errors[0].argmin() == answer[0]
