"""Hidden states kept on disk: written once per row, memory-mapped, bounded, shared by all fits that need them.

A store is a folder of safetensors files (shards), each named by the digest of its bytes. What has another digest (a
changed shard, or half of one) or is a link is ignored, and its rows are computed again. Reading runs no code.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from antivenom.core.errors import OptionsError
from antivenom.core.files import atomic_write, make_folder, remove_file
from antivenom.core.intake import open_regular

LIMIT = 16 * 2**30
"""Bytes that all stores under one root may take."""
FREE = 2 * 2**30
"""Bytes of the disk that are left to others."""
KEY_BYTES = 16
PIECE = 2**20
SHARD_NAME = re.compile(r"[0-9a-f]{32}\.safetensors")
"""Only files of this name, a digest of what is in them, make room for others."""


def row_key(ids: Sequence[int]) -> bytes:
    """What a row is called in a store: a digest of its token ids."""
    return blake2b(np.asarray(ids, dtype="<i4").tobytes(), digest_size=KEY_BYTES).digest()


class _Place(NamedTuple):
    shard: Path
    start: int
    stop: int


class StateStore:
    """The states of many rows in one folder.

    Several processes may use one folder: each sees the shards that were there when it opened it, and adds its own.
    A shard that another process removes stays readable for those that have it open.
    """

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        """Open `folder`; the parent is the root that `limit` (bytes) holds for."""
        self.folder = folder
        self.limit = limit
        self._open: dict[Path, Any] = {}
        self._places: dict[bytes, _Place] = {}
        make_folder(folder, private=True)
        self.refresh()

    def refresh(self) -> None:
        """See the shards that other processes have added."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if path not in self._open and _is_whole(path):
                self._index(path)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def read(self, key: bytes) -> torch.Tensor:
        """The states of a row, shape (tokens, hidden size)."""
        place = self._places[key]
        found: torch.Tensor = self._open[place.shard].get_slice("states")[place.start : place.stop]
        return found

    def add(self, rows: Sequence[tuple[bytes, torch.Tensor]]) -> None:
        """Write a shard that holds `rows`; it appears whole or not at all."""
        from safetensors.torch import save

        keys = b"".join(key for key, _ in rows)
        data = save(
            {
                "states": torch.cat([states for _, states in rows]).contiguous(),
                "keys": torch.frombuffer(bytearray(keys), dtype=torch.uint8).view(-1, KEY_BYTES),
                "lengths": torch.tensor([len(states) for _, states in rows]),
            }
        )
        path = self.folder / f"{blake2b(data, digest_size=16).hexdigest()}.safetensors"
        with atomic_write(path, "wb") as file:
            file.write(data)
        self._index(path)

    def make_room(self, wanted: int, *, keep: Iterable[bytes]) -> None:
        """Remove the shards that were not used for the longest time until `wanted` bytes fit.

        Args:
            wanted: Bytes that are about to be added.
            keep: Rows whose shards must stay; their time of use is set to now.

        Raises:
            OptionsError: they do not fit, whatever is removed.
        """
        kept = {self._places[key].shard for key in keep if key in self._places}
        for path in kept:
            with contextlib.suppress(OSError):
                os.utime(path)
        sizes = _sizes(self.folder.parent)
        free = shutil.disk_usage(self.folder).free - FREE
        surplus = max(sum(size for _, size in sizes.values()) + wanted - self.limit, wanted - free)
        for path in sorted(sizes, key=lambda p: sizes[p][0]):
            if surplus <= 0:
                break
            if path not in kept:
                self._forget(path)
                surplus -= sizes[path][1]
        if surplus > 0:
            raise OptionsError(
                f"top_layers: the states of these rows take {wanted / 2**30:.1f} GiB more, which does not fit into "
                f"{self.folder.parent} ({self.limit / 2**30:.0f} GiB at most, {max(free, 0) / 2**30:.1f} GiB free)",
                mend="Train fewer rows, leave top_layers out, or put ANTIVENOM_CACHE on a larger disk.",
            )

    def _index(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            shard: Any = safe_open(path, framework="pt")
            keys, lengths = shard.get_tensor("keys").numpy(), shard.get_tensor("lengths").numpy()
        except (SafetensorError, OSError):
            return  # Not one of ours, or damaged: its rows are computed again.
        stops = np.cumsum(lengths)
        self._open[path] = shard
        for key, length, stop in zip(keys, lengths, stops, strict=True):
            self._places[key.tobytes()] = _Place(path, int(stop - length), int(stop))

    def _forget(self, path: Path) -> None:
        remove_file(path)
        if self._open.pop(path, None) is not None:
            self._places = {key: place for key, place in self._places.items() if place.shard != path}


def _is_whole(path: Path) -> bool:
    """Whether a shard's bytes have the digest that it is named by."""
    total = blake2b(digest_size=16)
    try:
        with open_regular(path, error=OptionsError, root=path.parent) as file:
            while piece := file.read(PIECE):
                total.update(piece)
    except (OptionsError, OSError):
        return False
    return f"{total.hexdigest()}.safetensors" == path.name


def _sizes(root: Path) -> dict[Path, tuple[float, int]]:
    """(time of use, bytes) of every shard under `root`; what a link leads to is not ours to remove."""
    found = {}
    for path in root.glob("*/*.safetensors"):
        if path.is_symlink() or path.parent.is_symlink() or not SHARD_NAME.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError):
            status = path.lstat()
            found[path] = (status.st_mtime, status.st_size)
    return found
