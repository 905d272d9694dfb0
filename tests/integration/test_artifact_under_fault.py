"""Whatever happens to a file of an artifact: it is refused, or it answers as before. Never another answer."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from antivenom.artifacts.artifact import load_artifact
from antivenom.artifacts.manifest import MANIFEST, Manifest
from antivenom.core.errors import AntivenomError
from antivenom.defenses.none import NoDefense
from antivenom.inference.guarded import load_guarded
from antivenom.testing import synthetic_rows
from antivenom.training.fine_tuning import fit
from antivenom.training.training_options import TrainingOptions

TEXTS = ["a warm film", "a dull film about the second cast"]
RECIPE = TrainingOptions(rank=2, batch_size=16, epochs=1)


@pytest.fixture(scope="module")
def artifact(task, model_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    rows = synthetic_rows(60)
    fit(task, rows, model=str(model_folder), out=folder, defense=NoDefense(), options=RECIPE, quiet=True)
    return folder


def flip(folder: Path, content: bytes, bits: list[int]) -> Counter[str]:
    """Flip each bit of the manifest by itself; count what was refused, and what reads as before."""
    before, found = Manifest.read(folder), Counter[str]()
    for bit in bits:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        (folder / MANIFEST).write_bytes(changed)
        try:
            after = Manifest.read(folder)
        except AntivenomError:
            found["refused"] += 1
        else:
            assert after == before, f"bit {bit} gave another manifest"
            found["read as before"] += 1
    return found


@pytest.fixture
def copy(artifact, tmp_path) -> Path:
    return Path(shutil.copytree(artifact, tmp_path / "copy"))


def test_some_bits_of_the_manifest(copy):
    content = (copy / MANIFEST).read_bytes()
    found = flip(copy, content, Random(0).sample(range(8 * len(content)), 300))
    assert sum(found.values()) == 300
    assert found["refused"] > 200


@pytest.mark.slow
def test_every_bit_of_the_manifest(copy):
    content = (copy / MANIFEST).read_bytes()
    found = flip(copy, content, list(range(8 * len(content))))
    print(f"{8 * len(content)} bits: {dict(found)}")
    assert sum(found.values()) == 8 * len(content)


def delete(path: Path, others: list[Path]) -> None:
    path.unlink()


def cut(path: Path, others: list[Path]) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def extend(path: Path, others: list[Path]) -> None:
    path.write_bytes(path.read_bytes() + b"\n{}")


def swap(path: Path, others: list[Path]) -> None:
    held = path.read_bytes()
    path.write_bytes(others[0].read_bytes())
    others[0].write_bytes(held)


def take_over(path: Path, others: list[Path]) -> None:
    path.write_bytes(others[-1].read_bytes())


def link_within(path: Path, others: list[Path]) -> None:
    path.unlink()
    path.symlink_to(others[0].name)


def empty(path: Path, others: list[Path]) -> None:
    path.write_bytes(b"")


def zeros_behind(path: Path, others: list[Path]) -> None:
    path.write_bytes(path.read_bytes() + bytes(4096))


def link_out(path: Path, others: list[Path]) -> None:
    away = path.parent.parent / f"away-{path.name}"
    path.rename(away)
    path.symlink_to(away)


def dangle(path: Path, others: list[Path]) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def loop(path: Path, others: list[Path]) -> None:
    path.unlink()
    path.symlink_to(path)


def pipe(path: Path, others: list[Path]) -> None:
    import os

    path.unlink()
    os.mkfifo(path)


def folder(path: Path, others: list[Path]) -> None:
    path.unlink()
    path.mkdir()


CHANGES = (delete, cut, empty, extend, zeros_behind, swap, take_over, link_out, link_within, dangle, loop, pipe, folder)


def harm(artifact: Path, tmp_path: Path, changes) -> Counter[str]:
    """Apply every change to every file; count what was refused, and what answers as before."""
    before, found = load_guarded(artifact).predict(TEXTS), Counter[str]()
    names = sorted(path.name for path in artifact.iterdir() if path.is_file())
    for place, name in enumerate(names):
        for change in changes:
            copy = Path(shutil.copytree(artifact, tmp_path / f"{name}-{change.__name__}"))
            change(copy / name, [copy / other for other in names[place + 1 :] + names[:place]])
            try:
                after = load_guarded(copy).predict(TEXTS)
            except AntivenomError:
                found["refused"] += 1
            else:
                assert after == before, f"{change.__name__} {name} gave other answers"
                found["answers as before"] += 1
            shutil.rmtree(copy)
    return found


def test_files_that_are_changed(artifact, tmp_path):
    found = harm(artifact, tmp_path, (cut, pipe))
    assert found["refused"] >= 8


@pytest.mark.slow
def test_every_file_under_every_change(artifact, tmp_path):
    found = harm(artifact, tmp_path, CHANGES)
    print(f"{found.total()} changes: {dict(found)}")
    assert found["refused"] > found["answers as before"]


@pytest.mark.parametrize("name", ["additional_chat_templates/x.jinja", "chat_template.jinja", "added_tokens.json"])
def test_files_that_a_loader_would_find_are_refused(name, copy):
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("{}")
    with pytest.raises(AntivenomError):
        load_artifact(copy).verify()
