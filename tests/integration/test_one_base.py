"""The base model is hashed once and loaded once in a run, however many models are fitted on it."""

import pytest

from antivenom.defenses import parse_defense
from antivenom.defenses.standard import Standard
from antivenom.models import base_store, loading
from antivenom.testing import synthetic_rows
from antivenom.training.fine_tuning import fit
from antivenom.training.training_options import TrainingOptions

RECIPE = TrainingOptions(rank=2, learning_rate=1e-2, batch_size=16, epochs=0.2)


@pytest.mark.parametrize("named", ["by its path", "from here", "by its name on the hub"])
def test_a_run_of_the_recipe_loads_and_hashes_the_base_once(named, task, model_folder, tmp_path, monkeypatch):
    loaded, located, model = [], [], str(model_folder)
    if named == "from here":
        monkeypatch.chdir(model_folder.parent)
        model = model_folder.name
    elif named == "by its name on the hub":
        monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(model_folder))
        model = "somebody/model"
    load, locate = loading.load_causal_lm, base_store.locate_model
    monkeypatch.setattr(loading, "load_causal_lm", lambda folder, *more: loaded.append(folder) or load(folder, *more))
    monkeypatch.setattr(base_store, "locate_model", lambda name: located.append(name) or locate(name))
    rows = synthetic_rows(120)
    fit(task, rows, model=model, out=tmp_path / "x", defense=Standard(), options=RECIPE, quiet=True)
    assert len(loaded) == 1
    assert len(located) == 1


def test_progress_counts_the_fits_of_the_run(task, model_folder, tmp_path, capsys):
    defense = parse_defense("cube+p2p:reserve=random")
    fit(task, synthetic_rows(120), model=str(model_folder), out=tmp_path / "x", defense=defense, options=RECIPE)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fit ")]
    numbered = [line.partition(" (")[0] for line in said]
    assert numbered == ["fit 1 of 2: a model that learns all rows", "fit 2 of 2: model"]
    assert "left" in said[-1]
