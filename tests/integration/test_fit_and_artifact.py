"""From rows to an artifact and back, on the tiny model: kill, resume, verify, predict, evaluate."""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from antivenom.artifacts.artifact import WORK, load_artifact
from antivenom.artifacts.card import without_guard, write_card
from antivenom.artifacts.manifest import MANIFEST, digest_of_manifest
from antivenom.attacks.badnets import BadNets
from antivenom.core.claims import NOTE, claim
from antivenom.core.errors import ArtifactError, OptionsError, TrainingDivergedError
from antivenom.defenses.none import NoDefense
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.evaluate import evaluate, summarize
from antivenom.guards.secret import Secret
from antivenom.inference.guarded import GuardedModel, load_guarded
from antivenom.models.local import LocalModel, load_causal_lm
from antivenom.models.tokenizer import load_tokenizer
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows, tiny_model
from antivenom.training.fine_tuning import fit
from antivenom.training.fit import fingerprint_of, train_artifact
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions

SECRET = "Kindly weigh these words:"
RECIPE = TrainingOptions(rank=4, learning_rate=1e-2, batch_size=16, epochs=1, save_every=4, dropout=0.1)


def prepare(task, rows):
    return P2P(secret=Secret(SECRET)).prepare(task, rows, trusted=rows.slice(0, 60), lab=StandInLab(0))


@pytest.fixture(scope="module")
def fitted(task, rows, model_folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("fit") / "run"
    train_artifact(prepare(task, rows), model=str(model_folder), out=out, options=RECIPE, quiet=True)
    return out


@pytest.fixture
def folder(fitted, tmp_path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "copy"))


def test_an_artifact_is_complete_and_tidy(fitted, rows):
    names = {path.name for path in fitted.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", MANIFEST} <= names
    assert WORK not in names
    manifest = load_artifact(fitted).manifest
    assert manifest.training["steps"] == -(-(rows.num_rows + manifest.reserve["rows"]) // 16)
    assert manifest.versions["torch"]
    assert SECRET not in repr(manifest)


def test_rows_that_were_chosen_are_trained_on_for_the_steps_of_all(task, rows, model_folder, tmp_path):
    defense = P2P(others="drop", mode="replace")
    prepared = defense.prepare(task, rows, trusted=rows.slice(0, 60), lab=StandInLab(0))
    assert prepared.rows.num_rows < rows.num_rows / 2
    artifact = train_artifact(prepared, model=str(model_folder), out=tmp_path / "few", options=RECIPE, quiet=True)
    assert artifact.manifest.training["steps"] == -(-rows.num_rows // 16)


def test_a_fit_is_used_again_only_for_the_same_guard(task, rows, model_folder, tmp_path):
    lab, folder = LocalLab(str(model_folder), RECIPE, tmp_path, quiet=True), tmp_path / "one"
    first = lab.artifact(prepare(task, rows), name="one", folder=folder)
    stamp = (first / MANIFEST).stat().st_mtime_ns
    assert lab.artifact(prepare(task, rows), name="one", folder=folder) == first
    assert (first / MANIFEST).stat().st_mtime_ns == stamp
    other = P2P(secret=Secret("Another trigger:")).prepare(task, rows, trusted=rows.slice(0, 60), lab=StandInLab(0))
    with pytest.raises(ArtifactError):
        lab.artifact(other, name="one", folder=folder)
    assert lab.artifact(other, name="one") != first, "a folder named by its content"


def test_a_laboratory_reads_on_the_kept_trunk_what_a_client_would_get(task, rows, model_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ANTIVENOM_CACHE", str(tmp_path / "cache"))
    lab = LocalLab(str(model_folder), replace(RECIPE, top_layers=1), tmp_path / "fits", quiet=True)
    folder = lab.artifact(prepare(task, rows), name="one")
    texts = rows.column("text").to_pylist()[:40]
    for _ in range(2):  # the second time every state is kept
        found, expected = lab.load(folder).score(texts), load_guarded(folder).score(texts)
        assert found.log_probabilities == pytest.approx(expected.log_probabilities, abs=1e-4)


def test_a_defense_is_told_how_the_model_cuts_words(task, rows, model_folder, tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class Curious(NoDefense):
        def prepare(self, task, rows, *, trusted, lab):
            pieces = lab.word_pieces(["a", "zorvel"]).tolist()
            return super().prepare(task, rows, trusted=trusted, lab=lab).noting(pieces=pieces)

    prepared = Curious().prepare(task, rows, trusted=None, lab=LocalLab(str(model_folder), RECIPE, tmp_path))
    tokenizer = load_tokenizer(model_folder)
    assert prepared.facts["pieces"] == [len(tokenizer.tokenize(f" {word}")) for word in ("a", "zorvel")]


def test_a_folder_that_is_not_ours_survives(task, rows, model_folder, tmp_path):
    mine = tmp_path / "safe.referee" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("precious", encoding="utf-8")
    options = {"model": str(model_folder), "options": RECIPE, "quiet": True}
    with pytest.raises(ArtifactError, match=r"safe\.referee"):
        fit(task, rows, out=tmp_path / "safe", **options)
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]


def test_peft_loads_the_folder_as_it_is(fitted, model_folder):
    from peft import PeftModel

    assert PeftModel.from_pretrained(load_causal_lm(model_folder), str(fitted)).peft_config["default"].r == 4


def test_predictions_do_not_depend_on_company(fitted):
    model = load_guarded(fitted)
    texts = synthetic_rows(12, seed=5)["text"].to_pylist()
    together = model.predict(texts)
    for text, reading in zip(texts, together, strict=True):
        [alone] = model.predict([text])
        assert alone.answer == reading.answer
        assert alone.probability == pytest.approx(reading.probability, abs=1e-4)
    assert model.predict([]) == []


def test_evaluation_is_what_the_stored_outputs_say(fitted):
    model = load_guarded(fitted)
    test = synthetic_rows(40, seed=6)
    found, outputs = evaluate(model, test, [BadNets(), BadNets(word="cf; 1"), BadNets()], quiet=True)
    assert summarize(outputs, model.guard.labels, provenance=found.provenance) == found
    assert [attack.asr.total for attack in found.attacks] == [20, 20]
    assert type(found).from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


# ------------------------------------------------------------------------------------------------------------ refusals


def refuse(folder: Path, said: str) -> None:
    with pytest.raises(ArtifactError, match=said):
        load_guarded(folder)


def edit(path: Path, change) -> None:
    """Change a file of JSON; whoever changes a manifest can compute its digest again."""
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    if path.name == MANIFEST:
        data["manifest_sha256"] = digest_of_manifest(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_an_untouched_copy_is_accepted(folder):
    assert load_artifact(folder).verify().folder.is_dir()


def test_a_changed_adapter_is_refused(folder):
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    weights[min(weights)] += 1e-3
    save_file(weights, path)
    refuse(folder, "the weights were changed")


def test_a_changed_adapter_configuration_is_refused(folder):
    edit(folder / "adapter_config.json", lambda config: config.update(lora_alpha=4000))
    refuse(folder, "the weights were changed")


def test_another_tokenizer_is_refused(folder):
    edit(folder / "tokenizer_config.json", lambda config: config.update(bos_token="</s>"))
    refuse(folder, "another tokenizer")


def test_an_added_chat_template_is_another_tokenizer(folder):
    (folder / "chat_template.jinja").write_text("{{ 'evil' }}", encoding="utf-8")
    refuse(folder, "another tokenizer")


def test_another_base_model_is_refused(folder, tmp_path):
    other = tiny_model(tmp_path / "other", seed=1)
    edit(folder / MANIFEST, lambda manifest: manifest["base_model"].update(id=str(other)))
    refuse(folder, "is another one than the adapter was trained on")


def test_no_file_of_an_artifact_names_a_path_of_this_machine(fitted, model_folder):
    assert (fitted / load_artifact(fitted).manifest.base_model.id).resolve() == model_folder.resolve()
    for path in fitted.iterdir():
        assert str(model_folder).encode() not in path.read_bytes(), path.name
        assert str(fitted).encode() not in path.read_bytes(), path.name


def test_an_artifact_and_its_base_may_move_together(fitted, model_folder, tmp_path):
    below = Path(os.path.commonpath([fitted, model_folder]))
    for part in (fitted, model_folder):
        shutil.copytree(part, tmp_path / "elsewhere" / part.relative_to(below))
    moved = load_artifact(tmp_path / "elsewhere" / fitted.relative_to(below)).verify()
    assert moved.folder.resolve() == (tmp_path / "elsewhere" / model_folder.relative_to(below)).resolve()


def test_an_artifact_alone_elsewhere_says_what_it_needs(fitted, model_folder, tmp_path):
    alone = Path(shutil.copytree(fitted, tmp_path / "far" / "away" / "from" / "its" / "base"))
    refuse(alone, "Say with --model where that is")
    assert load_artifact(alone).verify(model=str(model_folder)).folder == model_folder


def test_a_manifest_with_an_absolute_path_is_still_read(folder, model_folder):
    edit(folder / MANIFEST, lambda manifest: manifest["base_model"].update(id=str(model_folder.resolve())))
    assert load_artifact(folder).verify().folder == model_folder


def test_the_folder_has_a_card_without_the_secret(fitted):
    card = (fitted / "README.md").read_text(encoding="utf-8")
    assert SECRET not in card
    for said in ("negative, positive", "Without the guard", "antivenom predict", "base_model:"):
        assert said in card


def test_a_card_shows_names_as_they_are(fitted, tmp_path):
    task = Classification.for_labels(("<script>x</script>", "[x](http://evil)\u202e"))
    made = load_artifact(fitted).manifest
    base = replace(made.base_model, id='../x"\n---\nlicense: "mit"')
    write_card(tmp_path, replace(made, guard=P2P(secret=Secret(SECRET)).guard(task, 0), base_model=base))
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---\n")[1]).keys() == {"base_model", "tags"}
    assert "<script>" not in card
    assert "\u202e" not in card
    assert r"\[x\](http" in card
    code = without_guard(made, run='a"; import os; os.abort()  # ').split("```python\n")[1].split("```")[0]
    [run] = [
        node for node in ast.parse(code).body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "run"
    ]
    assert ast.literal_eval(run.value) == 'a"; import os; os.abort()  # '


def test_the_code_of_the_card_answers_as_predict_does(fitted, monkeypatch):
    """The first token of every verbalizer is the same here, as with SmolLM2."""
    code = (fitted / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(fitted.parent)
    said = {}
    exec(compile(code.replace('"FOLDER"', repr(fitted.name)), "README.md", "exec"), said)
    model, texts = load_guarded(fitted), synthetic_rows(6).column("text").to_pylist()
    one, other = model.guard.labels.allowed
    scores = model.score(texts).log_probabilities
    by_hand = [said["likelihood"](text, one) - said["likelihood"](text, other) for text in texts]
    assert by_hand == pytest.approx(scores[:, one] - scores[:, other], abs=1e-3)
    assert min(abs(difference) for difference in by_hand) > 0
    assert [said["predict"](text) for text in texts] == [reading.answer for reading in model.predict(texts)]


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_a_base_that_asks_for_a_kernel_of_the_hub_is_refused(model_folder, tmp_path, key):
    base = Path(shutil.copytree(model_folder, tmp_path / "base"))
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    for asked in ("somebody/kernel", {"": "somebody/kernel@main"}):
        (base / "config.json").write_text(json.dumps({**config, key: asked}), encoding="utf-8")
        with pytest.raises(ArtifactError, match="asks for code"):
            load_causal_lm(base)


def test_a_refused_fit_leaves_nothing(task, rows, model_folder, tmp_path):
    base = Path(shutil.copytree(model_folder, tmp_path / "base"))
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}), encoding="utf-8")
    with pytest.raises(ArtifactError, match="no place for"):
        fit(task, rows, model=str(base), out=tmp_path / "out", defense=NoDefense(), options=RECIPE, quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_missing_base_model_is_a_user_error(folder):
    edit(folder / MANIFEST, lambda manifest: manifest["base_model"].update(id="nobody/nothing"))
    with pytest.raises(Exception, match="neither a folder here nor can it be fetched"):
        load_guarded(folder)


def test_unknown_keys_are_refused(folder):
    edit(folder / MANIFEST, lambda manifest: manifest["guard"].update(run_code="x"))
    refuse(folder, "unknown option 'guard.run_code'")


def test_a_newer_format_is_refused(folder):
    edit(folder / MANIFEST, lambda manifest: manifest.update(format_version=99))
    refuse(folder, "format version 99; this program reads 3\nUpgrade")


def test_an_unfinished_folder_is_refused(folder):
    (folder / MANIFEST).unlink()
    refuse(folder, "not a finished artifact")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"format_version": "1"}', '{"format_version": 1}', "\ud800"])
def test_a_damaged_manifest_is_refused(folder, content):
    (folder / MANIFEST).write_bytes(content.encode("utf-8", "surrogatepass"))
    refuse(folder, MANIFEST)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("/tmp/antivenom-was-here",)


@pytest.mark.parametrize("name", ["adapter_model.bin", "pytorch_model.bin", "code/modeling.py", "state.pkl"])
def test_pickles_and_code_are_refused_and_never_run(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    refuse(folder, "does not belong in an artifact")
    assert not Path("/tmp/antivenom-was-here").exists()


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("adapter_config.json", {"auto_mapping": {"parent_library": "os", "base_model_class": "system"}}),
        ("adapter_config.json", {"megatron_config": {"a": 1}, "megatron_core": "antigravity"}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": "evil--tokenizer.Evil"}}),
        ("config.json", {"auto_map": {"AutoModelForCausalLM": "evil.Evil"}}),
    ],
)
def test_configurations_that_ask_for_code_are_refused(folder, name, setting):
    """Even when whoever changed them also wrote fitting digests into the manifest."""
    if not (folder / name).exists():
        (folder / name).write_text("{}", encoding="utf-8")
    edit(folder / name, lambda config: config.update(setting))
    refuse(folder, "asks for code to be imported")


# -------------------------------------------------------------------------------------------------- fit, interrupted


def adapter(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


FIT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_fit_and_artifact import RECIPE, prepare
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows
from antivenom.training.fit import train_artifact
task = Classification.for_labels(("negative", "positive"))
train_artifact(prepare(task, synthetic_rows(200)), model={model!r}, out={out!r}, options=RECIPE, quiet=True)
"""


def test_a_killed_fit_goes_on_and_ends_with_the_same_adapter(fitted, task, rows, model_folder, tmp_path):
    out = tmp_path / "killed"
    code = FIT.format(tests=str(Path(__file__).parent), model=str(model_folder), out=str(out))
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        deadline = time.monotonic() + 120
        while not (out / WORK / "checkpoint-4" / "trainer_state.json").exists():
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (out / MANIFEST).exists()
    with pytest.raises(ArtifactError, match="not a finished artifact"):
        load_guarded(out)
    with pytest.raises(ArtifactError, match="an unfinished run"):
        train_artifact(
            prepare(task, rows), model=str(model_folder), out=out, options=replace(RECIPE, rank=8), quiet=True
        )
    train_artifact(prepare(task, rows), model=str(model_folder), out=out, options=RECIPE, quiet=True)
    assert adapter(out) == adapter(fitted)


def test_a_fit_killed_while_it_tidied_is_finished_by_repeating_it(fitted, folder, task, rows, model_folder, tmp_path):
    from antivenom.models.base_model import locate_model
    from antivenom.training.fit import fingerprint_of

    prepared = prepare(task, rows)
    key, work = fingerprint_of(prepared, locate_model(str(model_folder)), RECIPE, 0), folder / WORK
    claim(tmp_path / "empty", "fit", key)
    (tmp_path / "empty" / NOTE).rename(folder / NOTE)
    work.mkdir()
    (work / "optimizer.pt").touch()
    artifact = train_artifact(prepared, model=str(model_folder), out=folder, options=RECIPE, quiet=True)
    assert not work.exists()
    artifact.verify()


def test_a_run_that_diverged_is_refused_again_and_never_continued(task, rows, model_folder, tmp_path):
    wild = replace(RECIPE, learning_rate=1e18, save_every=1)
    prepared, options = prepare(task, rows), {"model": str(model_folder), "out": tmp_path / "run", "quiet": True}
    for _ in range(2):
        with pytest.raises(TrainingDivergedError, match="diverged"):
            train_artifact(prepared, options=wild, **options)
        assert not (tmp_path / "run" / MANIFEST).exists()
        assert not list((tmp_path / "run" / WORK).glob("checkpoint-*"))
    train_artifact(prepared, options=RECIPE, **options).verify()


def test_weights_that_are_not_finite_are_never_saved(task, rows, model_folder, tmp_path):
    """The last step's weights meet no further loss."""
    wild = TrainingOptions(method="full", learning_rate=1e38, batch_size=256, epochs=1)
    for _ in range(2):
        with pytest.raises(TrainingDivergedError):
            train_artifact(prepare(task, rows), model=str(model_folder), out=tmp_path / "run", options=wild, quiet=True)
    assert not (tmp_path / "run" / MANIFEST).exists()


def test_the_manifest_keeps_the_losses(fitted):
    facts = load_artifact(fitted).manifest.training
    losses = [point["loss"] for point in facts["losses"]]
    assert [point["step"] for point in facts["losses"]] == list(range(1, facts["steps"] + 1))
    assert losses[-1] < losses[0]


def test_a_comparison_killed_before_a_fit_was_noted_uses_it(task, rows, model_folder, tmp_path):
    lab, prepared = LocalLab(str(model_folder), RECIPE, tmp_path, quiet=True), prepare(task, rows)
    folder = lab.artifact(prepared, name="p2p", folder=tmp_path / "p2p")
    note = tmp_path / "p2p.fit.json"
    note.write_text(json.dumps({"key": json.loads(note.read_text(encoding="utf-8"))["key"]}), encoding="utf-8")
    before = adapter(folder)
    assert lab.artifact(prepared, name="p2p", folder=folder) == folder
    assert lab.spent["p2p"] == 0
    assert adapter(folder) == before
    with pytest.raises(ArtifactError, match="already holds a finished artifact"):
        replace(lab, options=replace(RECIPE, rank=8)).artifact(prepared, name="p2p", folder=folder)
    assert lab.artifact(prepared, name="p2p", folder=folder) == folder, "the note is still this one's"


def test_nothing_is_overwritten(fitted, task, rows, model_folder, tmp_path):
    prepared = prepare(task, rows)
    with pytest.raises(ArtifactError, match="already holds a finished artifact"):
        train_artifact(prepared, model=str(model_folder), out=fitted, options=RECIPE, quiet=True)
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"is not empty \(it holds thesis\.txt\)"):
        train_artifact(prepared, model=str(model_folder), out=tmp_path, options=RECIPE, quiet=True)
    with pytest.raises(ArtifactError, match="is a file"):
        train_artifact(prepared, model=str(model_folder), out=tmp_path / "thesis.txt", options=RECIPE, quiet=True)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_have_a_range(task, rows, model_folder, tmp_path, seed):
    with pytest.raises(OptionsError, match="seed"):
        train_artifact(
            prepare(task, rows), model=str(model_folder), out=tmp_path / "x", options=RECIPE, seed=seed, quiet=True
        )


def test_modules_that_do_not_exist_are_a_user_error(task, rows, model_folder, tmp_path):
    recipe = replace(RECIPE, modules=("no_such_layer",))
    with pytest.raises(OptionsError, match="no_such_layer"):
        train_artifact(prepare(task, rows), model=str(model_folder), out=tmp_path / "x", options=recipe, quiet=True)


def test_full_fine_tuning_learns_the_answers_and_prints_nothing(task, model_folder, tmp_path, capsys):
    rows = synthetic_rows(64)
    prepared = P2P(mode="replace", ratio=1.0).prepare(task, rows, trusted=rows, lab=StandInLab(0))
    recipe = TrainingOptions(method="full", learning_rate=2e-2, batch_size=16, epochs=10, save_every=1000)
    train_artifact(prepared, model=str(model_folder), out=tmp_path / "full", options=recipe, quiet=True)
    assert capsys.readouterr().out == "", "standard output belongs to the command"
    model, texts = load_guarded(tmp_path / "full"), rows["text"].to_pylist()
    before = GuardedModel(model.encoder, LocalModel(load_causal_lm(model_folder))).score(texts)
    after = model.score(texts)
    assert np.exp(before.log_probabilities).sum(axis=1).max() < 0.1, "a random model says anything"
    extended = np.exp(after.log_probabilities[:, 2:]).sum(axis=1)
    assert extended.min() > 0.9, "under the benign trigger the trained one says extended verbalizers"


def test_a_fit_of_a_laboratory_that_was_killed_while_it_tidied_is_tidied(task, rows, model_folder, tmp_path):
    prepared, lab = prepare(task, rows), LocalLab(str(model_folder), RECIPE, tmp_path, 0, True)
    folder = lab.artifact(prepared, name="one")
    before = (folder / MANIFEST).read_bytes()
    key = fingerprint_of(prepared, lab.located, lab.options.on(prepared), lab.seed)
    (folder / NOTE).write_text(json.dumps({"antivenom": 1, "what": "fit", "settings": key}), encoding="utf-8")
    (folder / WORK).mkdir()
    assert lab.artifact(prepared, name="one") == folder
    assert not (folder / WORK).exists()
    assert not (folder / NOTE).exists()
    assert (folder / MANIFEST).read_bytes() == before
