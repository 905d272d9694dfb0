"""docs/adding_a_defense.md, followed to the letter as a package of one's own: a toy for each stage, and a chain."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/adding_a_defense.md").read_text(encoding="utf-8")
LONGEST = 60

USE = """
import json, sys
from dataclasses import replace
from pathlib import Path
from antivenom.artifacts.artifact import load_artifact
from antivenom.data.rows import table_of
from antivenom.defenses import defenses, parse_defense, purifiers
from antivenom.inference.guarded import load_guarded
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions

model, out = sys.argv[1:]
task = Classification.for_labels(("negative", "positive"))
rows = table_of(["dull", "GOOD film"] * 4 + synthetic_rows(32)["text"].to_pylist(),
                ["negative", "positive"] * 4 + synthetic_rows(32)["answer"].to_pylist())
recipe = TrainingOptions(rank=2, learning_rate=1e-2, batch_size=8, epochs=1)
lab = LocalLab(model, recipe, Path(out), seed=1, quiet=True)
found = {}
for spec in ("none", "short_texts", "smoothing:amount=0.5", "calm", "shrink:factor=0", "short_texts+calm"):
    prepared, folder, _ = lab.defended(parse_defense(spec), task, rows, trusted=None, name=spec.partition(":")[0])
    manifest = load_artifact(folder).manifest
    scores = load_guarded(folder).score(["a FINE FILM", "a fine film"]).log_probabilities
    found[spec] = {
        "rows": prepared.rows.num_rows, "steps": manifest.training["steps"],
        "loss": manifest.training["losses"][0]["loss"],
        "purifiers": [step.name for step in manifest.guard.purifiers], "scores": scores.tolist(),
    }
base = lab.base(prepared.guard).score(["a FINE FILM", "a fine film"]).log_probabilities
told = {"found": found, "base": base.tolist(), "known": sorted(defenses()), "purifiers": sorted(purifiers())}
print(json.dumps(told))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_a_stranger_adds_a_defense_of_each_stage_and_chains_two(tmp_path, model_folder):
    package = tmp_path / "toys"
    package.mkdir()
    (package / "__init__.py").touch()
    names = ("short_texts", "smoothing", "calm", "shrink")
    for name, code in zip(names, blocks("python"), strict=True):
        assert code.count("\n") <= LONGEST
        (package / f"{name}.py").write_text(code, encoding="utf-8")
    [toml] = blocks("toml")
    points = tomllib.loads(re.sub(r"^  ", "", toml, flags=re.MULTILINE))["project"]["entry-points"]
    info = tmp_path / "toys-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1\n")
    lines = (
        [f"[{group}]", *(f"{key} = {value}" for key, value in points[group].items())]
        if (group := "antivenom.defenses")
        else []
    )
    (info / "entry_points.txt").write_text("\n".join([*lines, ""]))
    path = os.pathsep.join([str(tmp_path), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", USE, str(model_folder), str(tmp_path / "fits")],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    judge_toys(done.stdout)


def judge_toys(printed: str) -> None:
    import json

    told = json.loads(printed.splitlines()[-1])
    found, plain = told["found"], told["found"]["none"]
    assert {"calm", "short_texts", "shrink", "smoothing"} <= set(told["known"])
    assert "calm_texts" in told["purifiers"]
    assert (plain["rows"], found["short_texts"]["rows"]) == (40, 32)
    assert found["short_texts"]["steps"] == plain["steps"], "as long as over all rows"
    assert found["smoothing:amount=0.5"]["loss"] != plain["loss"]
    for spec in ("calm", "short_texts+calm"):
        loud, calm = found[spec]["scores"]
        assert loud == calm, "both are read as the same text"
        assert found[spec]["purifiers"] == ["calm_texts"]
    assert plain["scores"][0] != plain["scores"][1]
    assert found["short_texts+calm"]["rows"] == 32
    assert all(
        abs(a - b) < 1e-3
        for row, other in zip(found["shrink:factor=0"]["scores"], told["base"], strict=True)
        for a, b in zip(row, other, strict=True)
    ), "nothing of the adapters is left"
