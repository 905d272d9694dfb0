"""What a cell ran on."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
from typing import Any


def machine() -> dict[str, Any]:
    """What a cell ran on, and the versions of what it used."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    versions = {}
    for name in ("antivenom", "torch", "transformers", "peft", "pyarrow", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    threads = torch.get_num_threads()
    where = {"platform": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count()}
    return {**where, "threads": threads, "gpu": gpu, "versions": versions}


def peak_memory() -> tuple[float, float]:
    """The most memory that this process held so far, of the machine and of the GPU, in MiB."""
    import torch

    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1), round(gpu, 1)
