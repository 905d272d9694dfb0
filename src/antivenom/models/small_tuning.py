"""Small fine-tunings of a model that is at hand: what defenses do to weights on a few trusted rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from antivenom.core.errors import OptionsError
from antivenom.models.adapters import own_weights
from antivenom.models.answer_loss import IGNORED
from antivenom.models.batches import pad_left, positions
from antivenom.models.lab import Example
from antivenom.models.precision import in_fast_precision


class Batch(NamedTuple):
    """Examples side by side, padded in front."""

    ids: torch.Tensor
    mask: torch.Tensor
    wanted: torch.Tensor
    """The token that each column predicts, `IGNORED` where none is asked for."""
    numbers: tuple[int, ...] = ()
    """The places of the examples among all."""


BatchLoss = Callable[[Any, Batch], torch.Tensor]
"""(model, batch) -> the loss of the batch."""


def batch_of(examples: Sequence[Example], device: torch.device) -> Batch:
    """Put examples side by side."""
    ids, mask = pad_left([[*prompt, *answer[:-1]] for prompt, answer in examples], device)
    wanted = torch.full_like(ids, IGNORED)
    for row, (_, answer) in enumerate(examples):
        wanted[row, -len(answer) :] = torch.tensor(answer, device=device)
    return Batch(ids, mask, wanted)


def answer_loss(model: Any, batch: Batch) -> torch.Tensor:
    """The mean cross-entropy of the answer tokens."""
    out = model(input_ids=batch.ids, attention_mask=batch.mask, position_ids=positions(batch.mask), use_cache=False)
    return functional.cross_entropy(out.logits.float().flatten(0, 1), batch.wanted.flatten(), ignore_index=IGNORED)


def bounded_ascent(most: float) -> BatchLoss:
    """The answer loss turned round, so that answers are unlearned: its mean over tokens, each counted up to `most`."""

    def loss(model: Any, batch: Batch) -> torch.Tensor:
        out = model(input_ids=batch.ids, attention_mask=batch.mask, position_ids=positions(batch.mask), use_cache=False)
        counted = batch.wanted != IGNORED
        each = functional.cross_entropy(out.logits[counted].float(), batch.wanted[counted], reduction="none")
        return -each.clamp_max(most).mean()

    return loss


def tune(
    model: Any,
    examples: Sequence[Example],
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    loss: BatchLoss = answer_loss,
) -> None:
    """Train the parameters of a model that may learn, in place: AdamW, linear decay, an order keyed by the seed.

    Args:
        model: A causal language model, with adapters or without.
        examples: Prompts and answers.
        epochs: Passes over the examples.
        learning_rate: At the start; it falls to 0.
        batch_size: Examples of a step.
        seed: Keys order and dropout.
        loss: Of a batch.
    """
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    steps = epochs * -(-len(examples) // batch_size)
    optimizer = torch.optim.AdamW(learning, lr=learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / max(steps, 1))
    model.train()
    with torch.random.fork_rng(), in_fast_precision(model, learns=True):
        torch.manual_seed(seed % 2**63)
        for batch in batches(examples, epochs, batch_size, learning[0].device):
            optimizer.zero_grad()
            loss(model, batch).backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            schedule.step()
    model.eval()


def batches(examples: Sequence[Example], epochs: int, size: int, device: torch.device) -> Iterator[Batch]:
    """The batches of several passes, each in a new order of torch's generator."""
    for _ in range(epochs):
        order = torch.randperm(len(examples)).tolist()
        for start in range(0, len(order), size):
            numbers = tuple(order[start : start + size])
            yield batch_of([examples[i] for i in numbers], device)._replace(numbers=numbers)


def merged(model: Any) -> Any:
    """The model with its adapters merged into its weights, which are fp32, may learn, and are its own.

    Models of one run share the weights of their base (`models/base_store.py`); those are not written to.
    """
    own_weights(model, model.modules())
    if hasattr(model, "peft_config"):
        model = without_mark(model.merge_and_unload())
    return model.float().requires_grad_(True)


def mixed(model: Any, kept: float, *, seed: int) -> Any:
    """The base model plus a random share of the change that adapters make of it, on weights of its own.

    w0 + m * (w - w0); see `merged` for what is not written to.

    Args:
        model: A model with LoRA adapters.
        kept: The probability that an entry of the change stays.
        seed: Keys the draw.

    Raises:
        OptionsError: there are no adapters, so that what was trained cannot be told from the base model.
    """
    own_weights(model, model.modules())
    adapted = [
        module for module in model.modules() if hasattr(module, "get_delta_weight") and hasattr(module, "lora_A")
    ]
    if not adapted:
        raise OptionsError("fine_mixing needs LoRA adapters", mend="Train with --method lora.")
    generator = torch.Generator().manual_seed(seed % 2**63)
    with torch.no_grad():
        for module in adapted:
            weight = module.get_base_layer().weight
            for name in module.active_adapters:
                change = module.get_delta_weight(name).float().cpu()
                stays = torch.rand(change.shape, generator=generator) < kept
                weight += (change * stays).to(weight)
    return without_mark(model.unload()).float().requires_grad_(True)


def without_mark(model: Any) -> Any:
    """The same without PEFT's note of what was once injected, which would be saved as adapters."""
    if hasattr(model, "peft_config"):
        del model.peft_config
    return model


def consistency(states: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """CROW's measure: the mean of 1 - cos(h_l, h_l+1) over tokens that are no padding and inner layers.

    The embeddings and the last layer are left out, as in the authors' code, where three layers or more are left.

    Args:
        states: Hidden states, the embeddings first; each of shape (rows, columns, width).
        mask: 1 for tokens, 0 for padding; shape (rows, columns).
    """
    inner = states[1:-1] if len(states) > 3 else states
    jumps = [1 - functional.cosine_similarity(one.float(), other.float(), dim=-1) for one, other in pairwise(inner)]
    return torch.stack(jumps)[:, mask.bool()].mean()


def consistency_loss(weight: float, step: float) -> BatchLoss:
    """The answer loss plus `weight` times the consistency on embeddings that were moved to make it worse.

    Args:
        weight: alpha.
        step: epsilon: every number of an embedding is moved by so much, by the sign of its gradient.
    """

    def loss(model: Any, batch: Batch) -> torch.Tensor:
        embedded = model.get_input_embeddings()(batch.ids).detach().requires_grad_(True)
        read = {"attention_mask": batch.mask, "position_ids": positions(batch.mask), "use_cache": False}
        out = model(inputs_embeds=embedded, output_hidden_states=True, **read)
        [slope] = torch.autograd.grad(consistency(out.hidden_states, batch.mask), embedded, retain_graph=True)
        moved = model(inputs_embeds=embedded + step * slope.sign(), output_hidden_states=True, **read)
        plain = functional.cross_entropy(out.logits.float().flatten(0, 1), batch.wanted.flatten(), ignore_index=IGNORED)
        return plain + weight * consistency(moved.hidden_states, batch.mask)

    return loss


def prune(model: Any, examples: Sequence[Example], share: float, *, batch_size: int = 8) -> None:
    """Wanda: zero, in each row of each linear layer, the entries with the lowest |W_ij| ||X_j||, in place.

    Args:
        model: A model without adapters.
        examples: Clean rows; X are the inputs of a layer at all their tokens.
        share: Of the entries of each row.
        batch_size: Examples read together.

    Raises:
        OptionsError: less than half of the model's weights are in layers of that kind.
    """
    head = model.get_output_embeddings()
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear) and module is not head]
    apart = {id(weight) for part in (head, model.get_input_embeddings()) if part for weight in part.parameters()}
    total = sum(weight.numel() for weight in model.parameters() if id(weight) not in apart)
    if 2 * sum(layer.weight.numel() for layer in layers) < total:
        raise OptionsError("most weights of this model are in no linear layer of torch", mend="Wanda cannot prune it.")
    norms = {layer: torch.zeros(layer.in_features, device=layer.weight.device) for layer in layers}
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(examples), batch_size):
            batch = batch_of(examples[start : start + batch_size], device)
            _add_squares(model, batch, norms)
    with torch.no_grad():
        for layer, squares in norms.items():
            scores = layer.weight.abs() * squares.sqrt()
            lowest = scores.argsort(dim=1)[:, : int(share * layer.in_features)]
            layer.weight.scatter_(1, lowest, 0.0)


def _add_squares(model: Any, batch: Batch, norms: dict[torch.nn.Linear, torch.Tensor]) -> None:
    counted = batch.mask.bool()

    def note(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(layer, torch.nn.Linear)
        norms[layer] += inputs[0][counted].float().square().sum(dim=0)

    handles = [layer.register_forward_pre_hook(note) for layer in norms]
    try:
        model(input_ids=batch.ids, attention_mask=batch.mask, position_ids=positions(batch.mask), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
