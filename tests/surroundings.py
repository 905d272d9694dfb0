"""Nothing changes around the tests: a home and a temporary folder of their own, looked at after every test.

With ANTIVENOM_SURROUNDINGS=1. What a test leaves in them, or anywhere in the repository, is told with its name when all
tests have ended. A home may hold `.cache`, and the temporary folder what `OTHERS` names.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
CACHES = {".git", ".venv", "__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache", ".mypy_cache", "demo"}
KEPT = {"ANTIVENOM_CACHE": "antivenom", "HF_HOME": "huggingface"}
"""Caches that stay those of the user: the models in them were fetched once."""

OTHERS = {
    "torchinductor_": "the cache of torch's compiler, empty, made when it is imported",
    "pymp-": "of multiprocessing, which removes it when the interpreter ends",
}
"""How names begin of what libraries keep in the temporary folder themselves."""


class Surroundings:
    """The folders, and what appeared in them after which test."""

    def __init__(self) -> None:
        """Make the folders, and lead everything there that is started from here on."""
        real = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.root = Path(tempfile.mkdtemp(prefix="antivenom-tests-"))
        self.home, self.temporary = self.root / "home", self.root / "tmp"
        for folder in (self.home, self.temporary):
            folder.mkdir()
        for variable, name in KEPT.items():
            os.environ.setdefault(variable, str(real / name))
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # where pytest keeps what tests wrote
        os.environ.update(HOME=str(self.home), TMPDIR=str(self.temporary))
        tempfile.tempdir = None
        atexit.register(self.remove)  # early, so that it comes after what libraries remove
        self._before = self._repository()
        self._seen: dict[Path, str] = {}

    def look(self, test: str) -> None:
        """Note what is new since the last test."""
        for path in self._around():
            self._seen.setdefault(path, test)

    def left(self) -> list[str]:
        """What is there that should not be, with the test that left it; empty where all is as it was."""
        self.look("the end")
        found = [f"{path} (after {test})" for path, test in self._seen.items() if path.exists() or path.is_symlink()]
        after = self._repository()
        changed = {name for name in after.keys() | self._before.keys() if after.get(name) != self._before.get(name)}
        found += [f"{name} in the repository" for name in sorted(changed)]
        return found

    def remove(self) -> None:
        """Remove the folders."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _around(self) -> list[Path]:
        at_home = [path for path in self.home.iterdir() if path.name != ".cache"]
        kept = [path for path in self.temporary.iterdir() if not path.name.startswith(tuple(OTHERS))]
        return [*at_home, *kept]

    @staticmethod
    def _repository() -> dict[str, str]:
        """A digest of every file."""
        found = {}
        for place, folders, names in os.walk(REPOSITORY):
            folders[:] = [name for name in folders if name not in CACHES and not name.endswith(".egg-info")]
            for path in (Path(place, name) for name in names):
                data = bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
                found[str(path.relative_to(REPOSITORY))] = sha256(data).hexdigest()
        return found
