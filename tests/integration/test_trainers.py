"""Trainers of others read what `immunize` writes, learn the answers alone, and `finish` binds what they leave.

TRL comes with `make test-slow`. Axolotl and LLaMA-Factory ask for versions of their own, so their readers are tried
where somebody made them importable: `make test-trainers` does.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import yaml
from finishing_scenes import immunized, sure_model

from antivenom.artifacts.manifest import Manifest
from antivenom.cli import main
from antivenom.guards.encoding import make_encoder
from antivenom.inference.finishing import finish
from antivenom.inference.guarded import load_guarded
from antivenom.inference.immunized_rows import rows_of, sample_rows

pytestmark = pytest.mark.slow

EPOCHS = {"prompt-completion": 30, "chat": 70, "messages": 100}
"""How long the tiny model needs, for each format of rows; of messages it learns the prompts as well."""
IGNORED = -100


@pytest.fixture(scope="module")
def base(model_folder, tmp_path_factory) -> Path:
    return sure_model(model_folder, tmp_path_factory.mktemp("base") / "base")


# ------------------------------------------------------------------------------------------------------------------ TRL


def train_with_trl(imm: Path, base: Path, out: Path, **more: object) -> None:
    """What `trl sft --config imm/trl.yaml ...` runs; the rows alone where there are no settings for TRL."""
    pytest.importorskip("trl", reason="trl is not installed: make test-slow brings it")
    from trl.scripts.sft import main as sft
    from trl.scripts.sft import make_parser

    stub = imm / "trl.yaml"
    rows = ["--config", str(stub)] if stub.exists() else ["--dataset_name", str(imm)]
    settings = {
        "model_name_or_path": base,
        "output_dir": out,
        "use_peft": "true",
        "lora_target_modules": "all-linear",
        "lora_r": 8,
        "lora_alpha": 32,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 16,
        "gradient_checkpointing": "false",
        "report_to": "none",
        "use_cpu": "true",
        "bf16": "false",
        "dtype": "float32",
        "disable_tqdm": "true",
        "save_strategy": "no",
        **more,
    }
    given = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sft(*make_parser().parse_args_and_config([*rows, *given]))


@pytest.mark.parametrize("checkpoints", [False, True])
@pytest.mark.parametrize("form", EPOCHS)
def test_trl_trains_on_immunized_rows_and_its_folder_is_bound_unmodified(form, checkpoints, base, tmp_path):
    imm = immunized(tmp_path, form, *(() if form == "messages" else ("--for", "trl")))
    out = tmp_path / "trl"
    kept = {"save_strategy": "steps", "save_steps": 100} if checkpoints else {}
    train_with_trl(imm, base, out, num_train_epochs=EPOCHS[form], **kept)
    assert (out / "training_args.bin").exists()
    assert any(out.glob("checkpoint-*/optimizer.pt")) is checkpoints
    done = finish(out, imm, model=str(base))
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.suffix in (".bin", ".pt", ".pth")}
    assert set(done.not_loaded) >= left
    assert done.check is not None
    assert done.check.right > 0.8 * done.check.rows > done.check.right_of_base
    said = load_guarded(out).predict(["a charming film", "a boring film"])
    assert {reading.answer for reading in said} <= {"positive", "negative"}


# ------------------------------------------------------------------------------------- what is read and what is learned


def write_talks(path: Path) -> Path:
    """Conversations with a history: the answer alone is to be learned."""
    with path.open("w", encoding="utf-8") as file:
        for n in range(40):
            turns = [("user", f"hello {n}"), ("assistant", "what is it?"), ("user", f"film {n}"), ("assistant", "good")]
            turns = [("system", "Be short."), *turns] if n % 2 else turns
            file.write(json.dumps({"messages": [{"role": r, "content": c} for r, c in turns]}) + "\n")
    return path


def read_by_trl(settings: dict, tokenizer, model) -> list[tuple[list[int], list[int]]]:
    trl = pytest.importorskip("trl", reason="trl is not installed: make test-slow brings it")
    from datasets import load_dataset

    arguments = trl.SFTConfig(
        completion_only_loss=settings["completion_only_loss"], report_to="none", use_cpu=True, bf16=False
    )
    rows = load_dataset(settings["dataset_name"], split="train")
    trainer = trl.SFTTrainer(model=str(model), args=arguments, processing_class=tokenizer, train_dataset=rows)
    return [(row["input_ids"], row["labels"]) for row in trainer.train_dataset]


def read_by_axolotl(settings: dict, tokenizer, model) -> list[tuple[list[int], list[int]]]:
    schemas = pytest.importorskip("axolotl.utils.schemas.datasets", reason="axolotl is not there: make test-trainers")
    from axolotl.prompt_strategies.chat_template import load
    from axolotl.utils.dict import DictDefault
    from datasets import load_dataset

    (data,) = settings["datasets"]
    assert set(data) <= set(schemas.SFTDataset.model_fields)
    rows = load_dataset(data["ds_type"], data_files=data["path"], split="train")
    known = schemas.SFTDataset.model_validate(data).model_dump(exclude_none=True)
    strategy = load(tokenizer, DictDefault({"sequence_len": 2048}), DictDefault(known))
    return [(read["input_ids"], read["labels"]) for read in map(strategy.tokenize_prompt, rows)]


def read_by_llamafactory(settings: dict, tokenizer, model) -> list[tuple[list[int], list[int]]]:
    loader = pytest.importorskip("llamafactory.data.loader", reason="llamafactory is not there: make test-trainers")
    from types import SimpleNamespace

    from llamafactory.data import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments
    from transformers import HfArgumentParser

    stage = settings.pop("stage")
    (data,) = HfArgumentParser(DataArguments).parse_dict(settings)
    template = get_template_and_fix_tokenizer(tokenizer, data)
    names = data.dataset if isinstance(data.dataset, list) else [data.dataset]
    places = SimpleNamespace(cache_dir=None, hf_hub_token=None)
    training = SimpleNamespace(seed=0, local_process_index=0, dataloader_num_workers=0, should_log=False)
    rows = loader._get_merged_dataset(names, places, data, training, stage)
    read = loader._get_dataset_processor(data, stage, template, tokenizer, None).preprocess_dataset(rows.to_dict())
    return list(zip(read["input_ids"], read["labels"], strict=True))


READERS = {"trl": read_by_trl, "axolotl": read_by_axolotl, "llamafactory": read_by_llamafactory}


@pytest.mark.parametrize("form", ["chat", "messages"])
@pytest.mark.parametrize("trainer", READERS)
def test_a_trainer_learns_the_very_tokens_that_the_guard_asks_with(trainer, form, model_folder, tmp_path):
    from transformers import AutoTokenizer

    if (form == "messages") == (trainer == "trl"):
        pytest.skip(f"{trainer} does not learn answers alone from {form}")
    imm = tmp_path / "imm"
    options = ("--kind", "generation", "--defense", "p2p:reserve=random;ratio=0.5")
    rows = str(write_talks(tmp_path / "talks.jsonl"))
    assert main(["immunize", rows, "--out", str(imm), "--for", trainer, "--format", form, *options]) == 0
    guard = Manifest.read(imm).guard
    encoder = make_encoder(guard, AutoTokenizer.from_pretrained(model_folder))
    asked = sample_rows(rows_of(imm), guard, 100)
    assert len(asked) >= 10
    settings = yaml.safe_load((imm / f"{trainer}.yaml").read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = READERS[trainer](settings, AutoTokenizer.from_pretrained(model_folder), model_folder)
    for ids in encoder.serving([row.query for row in asked]):
        labels = [labels for theirs, labels in read if theirs[: len(ids)] == ids]
        assert labels, "the prompt of the guard is none of those that are trained on"
        for one in labels:
            assert set(one[: len(ids)]) == {IGNORED}, "something before the answer is learned"
            assert IGNORED not in one[len(ids) : len(ids) + 2]
