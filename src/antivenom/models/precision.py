"""Which numbers a model computes with: fp32, or bf16 products over fp32 weights where the processor is faster at them.

Autocast casts every weight again at every product, unless the weight learns. Here the weights that do not learn are
cast once and kept, in one piece (`lay_out`). Sums, norms and the states between the layers stay fp32, and so do logits
that are read: a bf16 logit of 20 is a multiple of 1/8, and labels would tie.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from antivenom.core.errors import AntivenomError, ArtifactError, OptionsError
from antivenom.core.files import user_cache, write_json
from antivenom.core.intake import foreign, read_json, require_regular
from antivenom.models.placement import Chosen, Precision

Shape = tuple[int, int]

VARIABLE = "ANTIVENOM_PRECISION"
"""What `auto` means on a CPU, for those who do not want it measured: fp32 or bf16."""
ROWS, STEP = 200, 8
"""Tokens of the first products that are measured, a batch of 8 rows of 25, and how many more the next ones have."""
SECONDS = 0.5
"""How long is measured, once per machine and set of shapes."""
FASTER = 1.2
"""How many times as fast as fp32 bf16 must be to be chosen."""
NOTE = "precision.json"


def choose_precision(asked: Precision, shapes: Iterable[Shape]) -> Chosen:
    """What a model computes with on this machine; the same answer every time.

    Args:
        asked: `auto` leaves it to the machine: bf16 on a GPU that has it and on a CPU whose bf16 products are faster.
        shapes: (outputs, inputs) of the model's matrices.

    Raises:
        OptionsError: a GPU without bf16, or an unknown value.
    """
    if torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported()
        if asked == "bf16" and not has_bf16:
            raise OptionsError("precision = 'bf16': this GPU has no bf16", mend="Choose fp32 or auto.")
        return "bf16" if has_bf16 and asked != "fp32" else "fp32"
    wanted = os.environ.get(VARIABLE, "auto") if asked == "auto" else asked
    if wanted not in ("auto", "fp32", "bf16"):
        raise OptionsError(f"precision = {wanted!r}", mend="Choose auto, fp32 or bf16.")
    if wanted == "auto":
        return "bf16" if _has_fast_products(sorted(set(shapes))) else "fp32"
    return "bf16" if wanted == "bf16" else "fp32"


def scoring_precision(trained: object, folder: Path) -> Chosen:
    """What a model is read with: fp32 where it was trained so, and otherwise what is right for this machine.

    Args:
        trained: The precision that the manifest names; None where another trainer made the weights.
        folder: The base model's.
    """
    return choose_precision("fp32" if trained == "fp32" else "auto", shapes_in(folder))


def shapes_of(model: Any) -> list[Shape]:
    """The matrices between a model's states, without its vocabulary head."""
    head = model.get_output_embeddings()
    linear = (module for module in model.modules() if type(module) is nn.Linear and module is not head)
    return [(module.out_features, module.in_features) for module in linear]


def shapes_in(folder: Path) -> list[Shape]:
    """The same, told from the headers of safetensors files."""
    from safetensors import safe_open

    found = []
    for path in sorted(folder.glob("*.safetensors")):
        place = require_regular(path, error=ArtifactError)
        with foreign(f"{path} is damaged", error=ArtifactError), safe_open(place, framework="numpy") as file:
            names = [name for name in file.keys() if "embed" not in name and "lm_head" not in name]  # noqa: SIM118
            shapes = [file.get_slice(name).get_shape() for name in names]
        found += [(shape[0], shape[1]) for shape in shapes if len(shape) == 2]
    return found


def lay_out(model: Any, *, frozen_only: bool) -> list[nn.Linear]:
    """Give linear layers a bf16 copy of their weights, cast once, which they compute with under autocast.

    Args:
        model: A causal language model.
        frozen_only: Leave the layers alone whose weights learn. Otherwise the model is only read, and its vocabulary
            head computes in fp32.

    Returns:
        The layers; `take_back` undoes it.
    """
    head, changed = model.get_output_embeddings(), []
    for module in model.modules():
        is_done = "working_copy" in module.__dict__ or (module is head and "forward" in module.__dict__)
        if type(module) is not nn.Linear or is_done or (frozen_only and module.weight.requires_grad):
            continue
        if module is head and not frozen_only:
            module.forward = functools.partial(_exact, module)
        else:
            module.working_copy = module.weight.detach().to(torch.bfloat16)
            module.forward = functools.partial(_with_copy, module)
        changed.append(module)
    return changed


def take_back(changed: Sequence[nn.Linear]) -> None:
    """Let layers compute with their own weights again."""
    for module in changed:
        del module.forward
        module.__dict__.pop("working_copy", None)


def working_weight(module: nn.Linear, dtype: torch.dtype) -> torch.Tensor:
    """The weight of a layer in the type that is computed with: its copy, if it has one."""
    copy: torch.Tensor | None = module.__dict__.get("working_copy")
    return copy if copy is not None and copy.dtype == dtype else module.weight.to(dtype)


@contextlib.contextmanager
def laid_out(model: Any, precision: Chosen, *, frozen_only: bool) -> Iterator[None]:
    """`lay_out` for as long as the block runs, where a model on a CPU computes in bf16."""
    changed = lay_out(model, frozen_only=frozen_only) if is_cast(model, precision) else []
    try:
        yield
    finally:
        take_back(changed)


@contextlib.contextmanager
def in_fast_precision(model: Any, *, learns: bool = False) -> Iterator[None]:
    """Let a model compute in what is really faster on this machine for as long as the block runs.

    Args:
        model: A causal language model.
        learns: Whether it is trained in the block, so that layers whose weights learn keep these.
    """
    precision = choose_precision("auto", shapes_of(model))
    with laid_out(model, precision, frozen_only=learns), computing(model, precision):
        yield


def computing(model: Any, precision: Chosen) -> Any:
    """A context in which a model on a CPU computes with this precision; one on a GPU has its weights in it."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if is_cast(model, precision) else contextlib.nullcontext()


def is_cast(model: Any, precision: Chosen) -> bool:
    """Whether the weights are fp32 and the products bf16: so it is on a CPU."""
    return precision == "bf16" and next(model.parameters()).device.type == "cpu"


def _with_copy(module: Any, states: torch.Tensor) -> torch.Tensor:
    if not torch.is_autocast_enabled(states.device.type):
        return functional.linear(states, module.weight, module.bias)
    return functional.linear(states, module.working_copy, module.bias)  # autocast casts what is not bf16 yet


def _exact(module: nn.Linear, states: torch.Tensor) -> torch.Tensor:
    with torch.autocast(states.device.type, enabled=False):
        return functional.linear(states.float(), module.weight, module.bias)


def _has_fast_products(shapes: list[Shape]) -> bool:
    """Whether bf16 products of these shapes are really faster, measured once and remembered for this processor."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    if not shapes or supported is None or not supported():
        return False
    parts = ("every shape is new", _processor(), torch.__version__, torch.get_num_threads(), shapes)
    key, path = sha256(repr(parts).encode()).hexdigest()[:16], user_cache() / NOTE
    notes = _read(path)
    if key not in notes:
        fp32, bf16 = _seconds(shapes)
        notes[key] = {"processor": _processor(), "fp32": fp32, "bf16": bf16, "faster": fp32 > FASTER * bf16}
        with contextlib.suppress(OSError, AntivenomError):  # without a cache it is measured again
            write_json(path, notes)
    return bool(notes[key]["faster"])


def _read(path: Path) -> dict[str, Any]:
    try:
        notes = read_json(path, root=path.parent)
    except AntivenomError:
        return {}
    return notes if isinstance(notes, dict) and all("faster" in one for one in notes.values()) else {}


def _processor() -> str:
    """The name of the processor and what it can compute, as the system tells them."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(
            next((line for line in lines if line.startswith(head)), "") for head in ("model name", "flags")
        )
    import platform

    return platform.processor()


def _seconds(shapes: Sequence[Shape]) -> tuple[float, float]:
    """Seconds of the same products in fp32 and in bf16, forward and backward, weights cast beforehand.

    Every round has another number of tokens, as every batch has: a program is built for each new shape, which may take
    longer than the product itself: products of one shape alone say six times as fast where training is not.
    """
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(outputs, inputs, generator=generator) for outputs, inputs in shapes]
    both = weights, [weight.bfloat16() for weight in weights]
    total, rows = [0.0, 0.0], ROWS
    while sum(total) < SECONDS:
        for number, cast in enumerate(both):
            states = [torch.randn(rows, weight.shape[1], generator=generator, requires_grad=True) for weight in cast]
            start = time.perf_counter()
            for one, weight in zip(states, cast, strict=True):
                functional.linear(one.to(weight.dtype), weight).float().sum().backward()
            total[number] += time.perf_counter() - start
        rows += STEP
    return total[0], total[1]
