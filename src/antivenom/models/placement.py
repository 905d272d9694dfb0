"""How the weights of a large model are held: their type, 4-bit blocks, several devices, the kernel of attention."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from antivenom.core.errors import MissingPackageError, OptionsError
from antivenom.core.processes import process_count

Precision = Literal["auto", "fp32", "bf16"]
Chosen = Literal["fp32", "bf16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2"]


@dataclass(frozen=True)
class Placement:
    """What `from_pretrained` is told besides the folder."""

    weights: Literal["auto", "fp32"] = "auto"
    """Type of the weights: bf16 on a GPU that has it, else fp32; or fp32 everywhere."""
    attention: Attention = "auto"
    """Kernel of attention; transformers chooses where it is `auto`."""
    four_bit: bool = False
    """Hold the frozen base in 4-bit blocks (NF4 of bitsandbytes)."""
    device_map: Literal["one", "auto"] = "one"
    """One device, or the layers spread over all GPUs of this process."""

    def require_possible(self) -> None:
        """Refuse what this machine cannot do.

        Raises:
            OptionsError: says why not.
            MissingPackageError: a package is not installed.
        """
        import torch

        gpus = torch.cuda.device_count()
        if self.four_bit:
            if not gpus:
                raise OptionsError(
                    "four_bit = True without a GPU", mend="Leave it out: there are no kernels for a CPU."
                )
            _require("bitsandbytes", "four_bit = True")
        if self.attention == "flash_attention_2":
            if not gpus:
                raise OptionsError("attention = 'flash_attention_2' without a GPU", mend="Choose sdpa or auto.")
            _require("flash_attn", "attention = 'flash_attention_2'")
        if self.device_map == "auto":
            if process_count() > 1:
                raise OptionsError(
                    f"device_map = 'auto' in {process_count()} processes",
                    mend="Start one process, or let FSDP spread the model: `accelerate launch --use_fsdp`.",
                )
            if gpus < 2:
                raise OptionsError(f"device_map = 'auto' with {gpus} GPUs", mend="Leave it out: there is one device.")

    def arguments(self) -> dict[str, Any]:
        """The arguments of `from_pretrained`, those that keep code and pickles out included."""
        import torch

        found: dict[str, Any] = {"dtype": torch.float32 if self.weights == "fp32" else default_dtype()}
        if self.attention != "auto":
            found["attn_implementation"] = self.attention
        if self.four_bit:
            found["quantization_config"] = _four_bits()
            found["device_map"] = {"": torch.cuda.current_device()}
        if self.device_map == "auto":
            found["device_map"] = "auto"
        return {**found, "use_safetensors": True, "trust_remote_code": False}

    def place(self, model: Any) -> Any:
        """Move a loaded model to the GPU, if there is one and it is not there yet."""
        import torch

        is_placed = self.four_bit or self.device_map == "auto"
        return model.to("cuda") if torch.cuda.is_available() and not is_placed else model


def default_dtype() -> Any:
    """The type that weights are loaded in: bf16 on a GPU that has it, else fp32."""
    import torch

    return torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32


def _four_bits() -> Any:
    from transformers import BitsAndBytesConfig

    # Floating-point storage, so that FSDP can spread the blocks as it spreads other weights.
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=default_dtype(),
        bnb_4bit_quant_storage=default_dtype(),
    )


def _require(package: str, option: str) -> None:
    if find_spec(package) is None:
        raise MissingPackageError(f"{option} needs {package}", mend=f"Run `pip install {package.replace('_', '-')}`.")
