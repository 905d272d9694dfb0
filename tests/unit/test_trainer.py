"""The loss, its gradients and the order of the rows."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from math import inf
from random import Random

import pytest
import torch
from accelerate import skip_first_batches
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard
from transformers import TrainerCallback, TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from antivenom.core.errors import OptionsError
from antivenom.core.processes import LAUNCHED
from antivenom.models.local import load_causal_lm
from antivenom.models.placement import Placement
from antivenom.training.checkpoints import NOTE, latest_checkpoint, seal_checkpoint
from antivenom.training.lab import LocalLab
from antivenom.training.losses import POINTS, loss_curve
from antivenom.training.order import LengthGroupedSampler
from antivenom.training.steps import shown_steps
from antivenom.training.trainer import IGNORED, ExampleSet, collate, make_trainer, require_trackers, use_one_gpu
from antivenom.training.training_options import TrainingOptions


def examples_of(count: int, *, longest_answer: int = 3, seed: int = 0):
    rng = Random(seed)
    draw = lambda low, high: [rng.randrange(4, 250) for _ in range(rng.randint(low, high))]  # noqa: E731
    return [(draw(3, 40), tuple(draw(1, longest_answer))) for _ in range(count)]


def gradients(model):
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_loss_and_gradients_equal_those_of_transformers(model_folder, tmp_path):
    examples = examples_of(7)
    model = load_causal_lm(model_folder)
    trainer = make_trainer(model, examples, TrainingOptions(batch_size=7), seed=0, work=tmp_path)
    ours = trainer.compute_loss(model, collate(examples))
    ours.backward()
    found = gradients(model)
    model.zero_grad()
    width = max(len(p) + len(a) for p, a in examples)
    ids = torch.zeros(len(examples), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for i, (prompt, answer) in enumerate(examples):  # padded behind, the whole sequence labeled, as trainers do
        ids[i, : len(prompt) + len(answer)] = torch.tensor([*prompt, *answer])
        mask[i, : len(prompt) + len(answer)] = 1
        labels[i, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    theirs = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4)


def train(folder, work, examples, **options):
    torch.manual_seed(0)
    model = load_causal_lm(folder)
    recipe = TrainingOptions(learning_rate=1e-2, epochs=1, **options)
    make_trainer(model, examples, recipe, seed=0, work=work).train()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_accumulation_gives_the_same_step_as_one_large_batch(model_folder, tmp_path):
    """Rows have answers of different lengths, so a mean of means would differ."""
    examples = examples_of(16)
    whole = train(model_folder, tmp_path / "a", examples, batch_size=16)
    split = train(model_folder, tmp_path / "b", examples, batch_size=16, accumulate=4)
    start = torch.cat([p.detach().flatten() for p in load_causal_lm(model_folder).parameters()])
    assert (whole - start).abs().max() > 1e-3
    torch.testing.assert_close(whole, split, atol=2e-4, rtol=0)


def test_collate_labels_are_the_answers_in_the_last_columns():
    batch = collate([([5, 6, 7], (8,)), ([5], (6, 7))])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [0, 5, 6]], "nothing is predicted from the last answer token"
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 8], [IGNORED, 6, 7]]
    assert (batch["labels"][:, 1:] != IGNORED).sum() == 3, "the Trainer counts these"


@pytest.mark.parametrize(("rows", "batch"), [(1, 8), (7, 8), (8, 8), (1000, 8), (1001, 32), (5, 1)])
def test_the_sampler_visits_each_row_once_in_batches_of_like_lengths(rows, batch):
    rng = Random(0)
    lengths = [rng.randint(5, 300) for _ in range(rows)]
    epochs = [0]
    sampler = LengthGroupedSampler(lengths, batch, seed=3, epoch=lambda: epochs[-1])
    orders = []
    for epoch in range(2):
        epochs.append(epoch)
        orders.append(list(sampler))
        assert list(sampler) == orders[-1], "an epoch has one order"
        assert Counter(orders[-1]) == Counter(range(rows))
    assert len(sampler) == rows
    if rows > 100:
        assert orders[0] != orders[1]
        batches = [orders[0][i : i + batch] for i in range(0, rows, batch)]
        padded = sum(len(b) * max(lengths[i] for i in b) for b in batches)
        assert padded < 1.2 * sum(lengths)
        firsts = [lengths[b[0]] for b in batches]
        assert firsts != sorted(firsts)
        assert firsts != sorted(firsts, reverse=True)


@pytest.mark.parametrize("damage", ["cut", "empty file", "file gone", "no note", "empty folder"])
def test_a_damaged_checkpoint_is_passed_over_when_an_older_one_is_whole(tmp_path, damage):
    assert latest_checkpoint(tmp_path) is None
    for step in (9, 10, 100):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "parts").mkdir(parents=True)
        for name in ("optimizer.pt", "trainer_state.json", "parts/shard.bin"):
            (folder / name).write_bytes(b"12345678")
        seal_checkpoint(folder)
    (tmp_path / "checkpoint-mine").mkdir()
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")
    if damage == "cut":
        (folder / "parts/shard.bin").write_bytes(b"1234")
    elif damage == "empty file":
        (folder / "optimizer.pt").write_bytes(b"")
    elif damage == "file gone":
        (folder / "trainer_state.json").unlink()
    elif damage == "no note":
        (folder / NOTE).unlink()
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")


def test_a_process_that_sees_several_gpus_uses_one(tmp_path):
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    for seen, used in ((0, 0), (1, 1), (2, 1)):
        arguments._n_gpu = seen
        use_one_gpu(arguments)
        assert arguments.n_gpu == used


def test_a_filled_order_gives_every_process_as_many_rows(tmp_path):
    lengths = [3, 4, 5, 6, 7]
    plain, filled = (LengthGroupedSampler(lengths, 4, seed=1, fill=fill) for fill in (False, True))
    assert list(filled) == [*plain, 5, 5, 5]
    assert len(filled) == 8
    rows = ExampleSet(examples_of(5))
    assert (collate([rows[5]])["labels"] == IGNORED).all()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_goes_on_in_its_second_epoch_has_the_order_of_that_epoch(processes, model_folder, tmp_path):
    examples, options = examples_of(40), TrainingOptions(batch_size=8)
    trainer = make_trainer(load_causal_lm(model_folder), examples, options, seed=0, work=tmp_path)
    wanted = LengthGroupedSampler([len(p) + len(a) for p, a in examples], 8, seed=0, epoch=lambda: 1)
    sampler = trainer._get_train_sampler()
    batches = torch.utils.data.BatchSampler(sampler, 8 // processes, drop_last=False)
    if processes > 1:
        batches = BatchSamplerShard(batches, processes)
    loader = skip_first_batches(DataLoaderShard(ExampleSet(examples), batch_sampler=batches, collate_fn=list), 2)
    trainer.state.epoch = 1.4
    loader.set_epoch(1)
    found = [example for batch in loader for example in batch]
    order = list(wanted)
    mine = [i for at in range(16, 40, 8) for i in order[at : at + 8 // processes]]
    assert found == [examples[i] for i in mine]


@pytest.mark.parametrize("losses", [[1.0], [float(i) for i in range(1000)]])
def test_the_loss_curve_is_short_and_keeps_the_mean(losses):
    curve = loss_curve([{"step": i + 1, "loss": loss} for i, loss in enumerate(losses)] + [{"total_flos": 1.0}])
    assert len(curve) <= POINTS
    assert curve[-1]["step"] == len(losses)
    assert sum(point["loss"] for point in curve) / len(curve) == pytest.approx(sum(losses) / len(losses))


@pytest.mark.parametrize(
    "options",
    [
        {"rank": 0},
        {"learning_rate": float("inf")},
        {"epochs": float("nan")},
        {"epochs": float("inf")},
        {"dropout": 1.0},
        {"warmup": -0.1},
        {"weight_decay": -1.0},
        {"batch_size": 10, "accumulate": 4},
    ],
)
def test_recipes_are_checked(options):
    with pytest.raises(OptionsError):
        TrainingOptions(**options)


@pytest.mark.parametrize(
    ("rows", "instead_of", "most_steps", "epochs"),
    [
        (400, 1000, inf, 5),  # 250 steps, as over all rows
        (400, 1000, 300, 5),
        (400, 4000, inf, 20),
        (400, 4000, 300, 6),  # 300 steps, and no more
        (2000, 4000, 300, 2),  # 500 steps are enough
        (400, 0, inf, 2),  # nothing was left out
    ],
)
def test_leaving_rows_out_makes_no_training_shorter(rows, instead_of, most_steps, epochs):
    options = TrainingOptions(batch_size=8, epochs=2.0)
    longer = options.over(rows, instead_of=instead_of, most_steps=most_steps)
    assert longer == TrainingOptions(batch_size=8, epochs=float(epochs))


def test_a_tracker_gets_the_losses_and_nothing_is_printed(model_folder, tmp_path, capsys, monkeypatch):
    told = []

    class Tracker(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            told.append(dict(logs))

    monkeypatch.setitem(INTEGRATION_TO_CALLBACK, "tensorboard", Tracker)
    monkeypatch.setattr(
        "transformers.integrations.get_available_reporting_integrations", lambda: ["tensorboard"], raising=True
    )
    recipe = TrainingOptions(batch_size=2, epochs=1, report_to=("tensorboard",))
    trainer = make_trainer(load_causal_lm(model_folder), examples_of(40), recipe, seed=0, work=tmp_path)
    trainer.train()
    assert [entry for entry in told if "loss" in entry]
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["step"] for entry in history] == list(range(1, 21)), "each step once"
    assert capsys.readouterr().out == ""
    with pytest.raises(OptionsError, match="tensorboard"):
        require_trackers(["no_such_tracker"])
    recipe = TrainingOptions(report_to=("no_such_tracker",))
    with pytest.raises(OptionsError, match="no_such_tracker"):  # before anything is screened or fitted
        LocalLab(str(model_folder), recipe, tmp_path / "lab")


@pytest.mark.parametrize("ends", ["by itself", "by a signal"])
def test_every_step_is_shown_and_the_bar_is_closed_whatever_ends_it(ends, model_folder, tmp_path, monkeypatch):
    shown, closed = [], []

    @contextlib.contextmanager
    def bar(what, *, total, unit):
        shown.append(total)
        try:
            yield lambda count: shown.append(count)
        finally:
            closed.append(what)

    class Interrupted(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            if ends == "by a signal" and state.global_step == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr("antivenom.training.steps.progress_bar", bar)
    recipe = TrainingOptions(batch_size=4, epochs=1)
    trainer = make_trainer(load_causal_lm(model_folder), examples_of(20), recipe, seed=0, work=tmp_path)
    with contextlib.suppress(KeyboardInterrupt), shown_steps(trainer, quiet=False):
        trainer.add_callback(Interrupted)
        trainer.train()
    steps = 5 if ends == "by itself" else 3
    assert (shown[0], sum(shown[1:]), len(closed)) == (5, steps, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"four_bit": True, "method": "full"},
        {"four_bit": True, "top_layers": 2},
        {"gradient_checkpointing": True, "top_layers": 2},
    ],
)
def test_options_that_cannot_go_together_are_refused(options):
    with pytest.raises(OptionsError):
        TrainingOptions(**options)


@pytest.mark.parametrize(
    "placement",
    [
        Placement(four_bit=True),
        Placement(attention="flash_attention_2"),
        Placement(device_map="auto"),
    ],
)
def test_what_this_machine_cannot_do_is_refused_with_a_reason(placement, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(OptionsError):
        placement.require_possible()
    Placement(attention="eager").require_possible()


def test_several_processes_do_not_each_spread_a_model_over_all_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    Placement(device_map="auto").require_possible()
    for name in LAUNCHED:
        monkeypatch.setenv(name, "2")
    with pytest.raises(OptionsError, match="2 processes"):
        Placement(device_map="auto").require_possible()


def test_layers_computed_again_give_the_same_losses(model_folder, tmp_path):
    examples, losses = examples_of(16), []
    for again in (False, True):
        recipe = TrainingOptions(batch_size=8, epochs=1, gradient_checkpointing=again, attention="eager")
        model = load_causal_lm(model_folder, recipe.placement)
        trainer = make_trainer(model, examples, recipe, seed=0, work=tmp_path / str(again))
        trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
