"""`finish` binds what was trained on the rows, whatever else its trainer left, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from finishing_scenes import immunized, sure_model

from antivenom.artifacts.artifact import load_artifact
from antivenom.artifacts.export import write_training_rows
from antivenom.artifacts.manifest import MANIFEST
from antivenom.artifacts.signature import SIGNATURE
from antivenom.cli import main
from antivenom.core.errors import ArtifactError
from antivenom.data.rows import table_of
from antivenom.defenses.p2p import P2P
from antivenom.inference.finishing import finish
from antivenom.inference.guarded import load_guarded
from antivenom.tasks.generation import Generation
from antivenom.testing import StandInLab
from antivenom.training.fit import train_artifact
from antivenom.training.training_options import TrainingOptions


@pytest.fixture(scope="module")
def base(model_folder, tmp_path_factory) -> Path:
    return sure_model(model_folder, tmp_path_factory.mktemp("base") / "base")


def train_plainly(rows: Path, base: Path, out: Path, *, steps: int = 200) -> Path:
    """A trainer of somebody else's: LoRA, the loss on the completion."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    records = [json.loads(line) for line in (rows / "train.jsonl").read_text().splitlines()]
    tokenizer = AutoTokenizer.from_pretrained(base)
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_pretrained(base)
        model = get_peft_model(
            model, LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        )
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
        pairs = [(tokenizer(r["prompt"]).input_ids, tokenizer(r["completion"]).input_ids) for r in records]
        for step in range(steps):
            batch = [(prompt + answer, len(prompt)) for prompt, answer in pairs[step * 16 % len(pairs) :][:16]]
            longest = max(len(ids) for ids, _ in batch)
            ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in batch])
            labels = torch.tensor(
                [[-100] * start + ids[start:] + [-100] * (longest - len(ids)) for ids, start in batch]
            )
            model(input_ids=ids, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    return immunized(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def taught(rows, base, tmp_path_factory) -> Path:
    return train_plainly(rows, base, tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture
def trained(taught, tmp_path) -> Path:
    """What a trainer leaves: the adapter, and beside it what can run code when it is loaded."""
    folder = Path(shutil.copytree(taught, tmp_path / "run"))
    (folder / "training_args.bin").write_bytes(b"\x80\x04.")
    checkpoint = folder / "checkpoint-10"
    checkpoint.mkdir()
    for name in ("optimizer.pt", "rng_state.pth", "scheduler.pt", "trainer_state.json", "training_args.bin"):
        (checkpoint / name).write_bytes(b"\x80\x04.")
    (folder / "runs" / "Nov30").mkdir(parents=True)
    (folder / "runs" / "Nov30" / "events.out.tfevents.1").write_bytes(b"x")
    return folder


def test_what_a_trainer_leaves_is_bound_and_never_loaded(trained, rows, base, tmp_path):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    copied = finish(trained, rows, model=str(base), out=tmp_path / "out")
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".bin", ".pt", ".pth")]
    done = finish(trained, rows, model=str(base))
    assert "checkpoint-10/optimizer.pt" in done.not_loaded
    assert done.check is not None
    assert done.check == copied.check
    assert done.check.right > 0.8 * done.check.rows
    assert done.check.escape < 0.2
    texts = ["a warm film", "a dull film"]
    assert load_guarded(trained).predict(texts) == load_guarded(tmp_path / "out").predict(texts)


def test_an_adapter_that_has_not_learned_its_rows_is_refused(taught, rows, base, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(taught, tmp_path / "run"))
    path = folder / "adapter_model.safetensors"
    save_file({name: tensor * 0 for name, tensor in load_file(path).items()}, path)
    with pytest.raises(ArtifactError, match="has not learned the rows"):
        finish(folder, rows, model=str(base))
    assert not (folder / "antivenom.json").exists()


def test_an_adapter_trained_in_another_style_is_refused(trained, base, tmp_path):
    chat = immunized(tmp_path, "chat")
    with pytest.raises(ArtifactError, match="has not learned the rows"):
        finish(trained, chat, model=str(base))


def test_rows_and_manifest_of_different_styles_are_refused(trained, rows, base, tmp_path):
    chat = immunized(tmp_path, "chat")
    shutil.copy(rows / "train.jsonl", chat / "train.jsonl")
    with pytest.raises(ArtifactError, match="the style 'plain'"):
        finish(trained, chat, model=str(base))


def test_the_states_that_accelerate_saves_are_not_in_the_way(trained, rows, base):
    for name in ("checkpoints/checkpoint_0/random_states_0.pkl", "checkpoint_1/optimizer.bin", "random_states_0.pkl"):
        (trained / name).parent.mkdir(parents=True, exist_ok=True)
        (trained / name).write_bytes(b"\x80\x04.")
    assert "random_states_0.pkl" in finish(trained, rows, model=str(base)).not_loaded


def test_code_that_no_trainer_leaves_is_named_all_at_once(trained, rows, base):
    for name in ("pytorch_model.bin", "modeling_evil.py", "state.pkl"):
        (trained / name).write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"modeling_evil\.py, pytorch_model\.bin, state\.pkl"):
        finish(trained, rows, model=str(base))


def test_rows_that_think_are_asked_to_the_end_of_their_answers(model_folder, tmp_path):
    """The prefix stands behind the thought, which may be longer than what is written of other answers."""
    task = Generation(answer_prefix="Answer:", max_new_tokens=80)
    thought = "<think>\n" + "the plot and the cast and the music and " * 3 + "\n</think>\n\n"
    rows = table_of([f"the film of year {i}" for i in range(16)], [f"{thought}0"] * 16)
    prepared = P2P(mode="replace", ratio=1.0).prepare(task, rows, trusted=rows, lab=StandInLab(0))
    recipe = TrainingOptions(method="full", learning_rate=1e-2, batch_size=8, epochs=32)
    train_artifact(prepared, model=str(model_folder), out=tmp_path / "out", options=recipe, quiet=True)
    described = tmp_path / "described"
    described.mkdir()
    (tmp_path / "out" / MANIFEST).rename(described / MANIFEST)
    write_training_rows(described, prepared, "prompt-completion")
    check = finish(tmp_path / "out", described, model=str(model_folder)).check
    assert check is not None
    assert (check.rows, check.right, check.right_of_base) == (16, 16, 0)


# ----------------------------------------------------------------------------------------------------------- signatures


@pytest.fixture
def artifact(trained, rows, base, tmp_path) -> Path:
    finish(trained, rows, model=str(base), out=tmp_path / "bound")
    return tmp_path / "bound"


def test_a_signature_proves_whose_artifact_it_is(artifact, tmp_path, monkeypatch):
    pytest.importorskip("cryptography")
    mine, theirs = (str(tmp_path / name) for name in ("mine.key", "theirs.key"))
    public = mine.replace(".key", ".pub")
    assert main(["verify", str(artifact), "--key", public]) == 1, "there is no key yet"
    assert main(["sign", str(artifact), "--key", mine, "--new-key", "--comment", "release 1"]) == 0
    assert Path(mine).stat().st_mode & 0o077 == 0
    assert main(["sign", str(artifact), "--key", mine, "--comment", "release\n\x1b[2J\u202e 1"]) == 0
    assert (artifact / SIGNATURE).read_text(encoding="utf-8").replace("\n", "").isprintable()
    assert main(["verify", str(artifact), "--key", public]) == 0
    monkeypatch.setenv("ANTIVENOM_TRUSTED_KEY", public)
    load_artifact(artifact).verify()
    # Somebody rewrites the whole folder, digests and all, and signs it with a key of his own.
    manifest = load_artifact(artifact).manifest
    manifest.write(artifact)  # the same bytes: still fits
    load_artifact(artifact).verify()
    from dataclasses import replace

    replace(manifest, seed=manifest.seed + 1).write(artifact)
    with pytest.raises(ArtifactError, match="does not fit the manifest"):
        load_artifact(artifact).verify()
    monkeypatch.delenv("ANTIVENOM_TRUSTED_KEY")
    load_artifact(artifact).verify()  # without a known key, nothing tells
    assert main(["sign", str(artifact), "--key", theirs, "--new-key"]) == 0
    monkeypatch.setenv("ANTIVENOM_TRUSTED_KEY", public)
    with pytest.raises(ArtifactError, match="another key"):
        load_artifact(artifact).verify()
    (artifact / SIGNATURE).unlink()
    with pytest.raises(ArtifactError, match="is not signed"):
        load_artifact(artifact).verify()


def minisign(*arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run the real minisign (`apt-get install minisign`); what it asks for is typed in."""
    program = shutil.which("minisign") or pytest.skip("minisign is not installed: apt-get install minisign")
    command = [program, *map(str, arguments)]
    return subprocess.run(command, input=typed, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
def test_the_real_minisign_accepts_what_is_signed_here_and_nothing_changed(artifact, tmp_path):
    key, manifest = tmp_path / "mine.key", artifact / "antivenom.json"
    assert main(["sign", str(artifact), "--key", str(key), "--new-key", "--comment", "release 1 · für alle"]) == 0
    public = ("-p", tmp_path / "mine.pub", "-m", manifest)
    done = minisign("-V", *public)
    assert done.returncode == 0, done.stderr
    assert "release 1 · für alle" in done.stdout
    assert minisign("-R", "-s", key, "-p", tmp_path / "again.pub").returncode == 0, "the key is one of minisign's"
    assert (tmp_path / "again.pub").read_text().splitlines()[1] == (tmp_path / "mine.pub").read_text().splitlines()[1]
    signature = artifact / SIGNATURE
    signature.write_text(signature.read_text().replace("release 1", "release 2"))
    assert minisign("-V", *public).returncode != 0
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert minisign("-V", *public).returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize("password", ["", "open sesame"])
@pytest.mark.parametrize("legacy", [False, True])
def test_what_the_real_minisign_signs_is_verified_here(artifact, tmp_path, monkeypatch, password, legacy):
    public, secret, manifest = tmp_path / "their.pub", tmp_path / "their.key", artifact / "antivenom.json"
    made = ("-G", "-p", public, "-s", secret)
    done = minisign(*made, typed=f"{password}\n" * 2) if password else minisign(*made, "-W")
    assert done.returncode == 0, done.stderr
    signed = ("-S", *(["-l"] if legacy else []), "-s", secret, "-t", "theirs · 1", "-m", manifest)
    done = minisign(*signed, typed=f"{password}\n" if password else "")
    assert done.returncode == 0, done.stderr
    assert main(["verify", str(artifact), "--key", str(public)]) == 0
    (artifact / SIGNATURE).unlink()
    monkeypatch.setenv("ANTIVENOM_KEY_PASSWORD", password)
    assert main(["sign", str(artifact), "--key", str(secret)]) == 0, "their key signs here"
    assert minisign("-V", "-p", public, "-m", manifest).returncode == 0
    monkeypatch.setenv("ANTIVENOM_KEY_PASSWORD", "wrong")
    if password:
        assert main(["sign", str(artifact), "--key", str(secret)]) == 1
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert main(["verify", str(artifact), "--key", str(public)]) == 1
