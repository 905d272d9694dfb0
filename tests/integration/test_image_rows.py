"""Rows with images from a user's folder through the command line, and real ones where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytest.importorskip("PIL")

from antivenom.artifacts.export import write_rows
from antivenom.artifacts.manifest import Manifest
from antivenom.cli import main
from antivenom.core.errors import OptionsError, RowsError
from antivenom.data.query import Query
from antivenom.data.rows import load_rows
from antivenom.data.texts import load_texts
from antivenom.tasks.task_files import load_task
from antivenom.testing import synthetic_images, synthetic_rows, tiny_vision_model

REAL = Path(__file__).parents[3] / "shared/data/image_text"
COLUMNS = ("--image-column", "picture")

RANDOM = ("--defense", "p2p:reserve=random")


@pytest.fixture(scope="module")
def vision_model(tmp_path_factory) -> str:
    return str(tiny_vision_model(tmp_path_factory.mktemp("vision")))


@pytest.fixture
def memes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: rows that name their images by path, as most image data sets on disk do."""
    (tmp_path / "img").mkdir()
    images = synthetic_images(60)
    for name, first, last in (("train", 0, 40), ("vouched", 0, 16), ("test", 40, 60)):
        with (tmp_path / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for row in synthetic_rows(60).slice(first, last - first).to_pylist():
                path = tmp_path / "img" / f"{row['row']}.png"
                path.write_bytes(images[row["row"] - 1])
                record = {"text": row["text"], "label": row["answer"], "picture": f"img/{path.name}"}
                file.write(json.dumps(record) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def break_some(memes: Path) -> None:
    (memes / "img" / "1.png").write_bytes(b"GIF89a broken")
    (memes / "img" / "2.png").unlink()
    lines = (memes / "train.jsonl").read_text(encoding="utf-8").splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), "picture": "/etc/passwd"})
    lines[3] = json.dumps({**json.loads(lines[3]), "picture": None})
    (memes / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_broken_image_is_a_refused_row_with_its_reason(memes, capsys):
    break_some(memes)
    loaded = load_rows("train.jsonl", image="picture")
    assert (loaded.report.read, loaded.report.kept, loaded.report.refused) == (40, 36, 4)
    said = str(loaded.report)
    for reason in (
        "broken image (UnidentifiedImageError): 1 (row 1)",
        "no such image file: 1 (row 2)",
        "image path outside of the image folder: 1 (row 3)",
        "missing image: 1 (row 4)",
    ):
        assert reason in said
    code, out, err = run(capsys, "validate", "train.jsonl", "--trusted", "x", *COLUMNS)
    assert code == 1
    assert "broken image" in out
    assert "--skip-refused" in err
    with pytest.raises(RowsError, match="row 1: broken image"):
        load_texts("train.jsonl", image="picture")


def test_other_folders_must_be_allowed(memes, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.png"
    elsewhere.write_bytes(synthetic_images(1)[0])
    records = [{"text": "a", "label": label, "picture": str(elsewhere)} for label in "xy"]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    assert load_rows("rows.jsonl", image="picture").report.refused == 2
    assert load_rows("rows.jsonl", image="picture", image_folder=elsewhere.parent).report.refused == 0
    assert load_rows("rows.jsonl", image="picture", image_folder="/").report.refused == 0
    assert load_rows(records, image="picture").report.refused == 2


def test_texts_come_with_their_images(memes):
    asked = load_texts("test.jsonl", image="picture")
    assert len(asked) == 20
    assert all(isinstance(one, Query) and one.image for one in asked)


def test_fit_predict_and_evaluate(memes, vision_model, capsys):
    code, _, err = run(
        capsys, "fit", "train.jsonl", "--trusted", "vouched.jsonl", "--out", "safe", "--model", vision_model, *COLUMNS,
        "--force", "--epochs", "1", "--rank", "2", "--quiet",
    )  # fmt: skip
    assert code == 0, err
    code, out, err = run(capsys, "predict", "safe", "--file", "test.jsonl", *COLUMNS, "--json")
    assert code == 0, err
    answers = [json.loads(line) for line in out.splitlines()]
    assert {answer["answer"] for answer in answers} <= {"negative", "positive"}
    assert len(answers) == 20
    code, out, err = run(
        capsys, "evaluate", "safe", "test.jsonl", *COLUMNS, "--attack", "addsent", "--outputs", "out.parquet",
        "--quiet", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["clean"]["accuracy"]["total"] == 20
    assert pq.read_table("out.parquet").num_rows == 30
    code, out, err = run(capsys, "show", "safe", "--json")
    assert json.loads(out)["guard"]["task"]["frame"]["modality"] == "image+text"
    code, _, err = run(capsys, "predict", "safe", "a text", "--quiet")
    assert code == 1
    assert "--image-column" in err
    assert run(capsys, "evaluate", "safe", "test.jsonl", "--quiet")[0] == 0, "the columns of training are known"


def test_somebody_elses_training_is_finished(memes, vision_model, capsys):
    rows = ["train.jsonl", "--trusted", "vouched.jsonl", *COLUMNS]
    code, _, err = run(capsys, "immunize", *rows, "--out", "im", "--format", "messages")
    assert code == 0, err
    small = ["--epochs", "0.2", "--rank", "2", "--quiet"]
    fit = ["fit", *rows, "--force", "--out", "other", "--model", vision_model, *small]
    code, _, err = run(capsys, *fit)
    assert code == 0, err
    (memes / "other" / "antivenom.json").unlink()
    code, _, err = run(capsys, "finish", "other", "--manifest", "im", "--model", vision_model)
    assert code == 0, err
    code, out, err = run(capsys, "predict", "other", "--file", "test.jsonl", *COLUMNS, "--json")
    assert code == 0, err
    assert len(out.splitlines()) == 20


def test_compare_poisons_the_text_and_keeps_the_image(memes, vision_model, capsys):
    code, out, err = run(
        capsys, "compare", "train.jsonl", "test.jsonl", "--out", "cmp", "--model", vision_model, *COLUMNS,
        "--attack", "badnets:rate=0.2", "--trusted-share", "0.5", "--epochs", "1", "--rank", "2", "--quiet", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert [outcome["defense"]["name"] for outcome in json.loads(out)["outcomes"]] == ["none", "standard"]


def test_models_for_texts_and_rows_with_images_do_not_mix(memes, vision_model, model_folder, capsys):
    wrong = ["fit", "train.jsonl", *RANDOM, "--quiet"]
    code, _, err = run(capsys, *wrong, *COLUMNS, "--model", model_folder, "--out", "a")
    assert code == 1
    assert "takes no images" in err
    code, _, err = run(capsys, *wrong, *COLUMNS, "--model", vision_model, "--top-layers", "1", "--out", "b")
    assert code == 1
    assert "frozen trunk" in err
    assert not Path("b").exists()
    code, _, err = run(capsys, *wrong, "--model", vision_model, "--out", "c")
    assert code == 1
    assert "--image-column" in err


def test_immunized_rows_are_decoded_by_datasets_and_fit_trl(memes, capsys):
    datasets = pytest.importorskip("datasets")
    code, _, err = run(capsys, "immunize", "train.jsonl", "--trusted", "vouched.jsonl", "--out", "im", *COLUMNS)
    assert code == 1
    assert "--format chat" in err
    code, _, err = run(
        capsys,
        "immunize",
        "train.jsonl",
        "--trusted",
        "vouched.jsonl",
        "--out",
        "im",
        "--format",
        "chat",
        "--defense",
        "p2p",
        *COLUMNS,
    )
    assert code == 0, err
    rows = datasets.Dataset.from_parquet("im/train.parquet", cache_dir=str(memes / "cache"))
    assert rows.column_names == ["prompt", "completion", "images"]
    assert rows.num_rows == 40 + 10
    [picture] = rows[0]["images"]
    assert picture.size[0] >= 20
    trigger = Manifest.read(Path("im")).guard.secret.trigger
    assert sum(trigger in row["prompt"][0]["content"] for row in rows) == 10
    code, _, err = run(capsys, "immunize", "train.jsonl", "--out", "im2", "--large", "--format", "chat", *COLUMNS)
    assert code == 1
    assert "--large" in err


def test_poisoned_rows_can_be_read_again(memes, capsys):
    wrong = ["poison", "train.jsonl", "--attack", "badnets:rate=0.1", *COLUMNS]
    code, _, err = run(capsys, *wrong, "--out", "p.jsonl")
    assert code == 1
    assert ".parquet" in err
    code, _, err = run(capsys, *wrong, "--out", "p.parquet")
    assert code == 0, err
    before, after = load_rows("train.jsonl", image="picture"), load_rows("p.parquet", image="image")
    assert after.report.refused == 0
    assert before.table.column("image").to_pylist() == after.table.column("image").to_pylist()
    changed = [a != b for a, b in zip(before.table["text"].to_pylist(), after.table["text"].to_pylist(), strict=True)]
    assert sum(changed) == 4


def test_rows_with_a_context_and_an_image_are_written_in_one_file(tmp_path):
    datasets = pytest.importorskip("datasets")
    [image], turns = synthetic_images(1), [{"role": "user", "content": "before"}]
    records = [{"text": f"t{i}", "label": "x", "turns": turns, "picture": image} for i in range(3)]
    table = load_rows(records, context="turns", image="picture").table
    for name in ("a.jsonl", "a.csv"):
        with pytest.raises(OptionsError, match="parquet"):
            write_rows(tmp_path / name, table)
    write_rows(tmp_path / "a.parquet", table)
    rows = datasets.Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path / "cache"))
    assert rows.column_names == ["messages", "image"]
    assert [turn["content"] for turn in rows[1]["messages"]] == ["before", "t1", "x"]
    assert rows[1]["image"].size[0] >= 20
    write_rows(tmp_path / "b.jsonl", table.drop_columns(["image"]))
    assert json.loads((tmp_path / "b.jsonl").read_text().splitlines()[0])["messages"][-1]["content"] == "x"
    with pytest.raises(OptionsError, match="context"):
        write_rows(tmp_path / "b.csv", table.drop_columns(["image"]))


def test_the_preset_of_the_paper_names_the_column_of_images(memes, vision_model, capsys):
    for name in ("train", "test"):
        lines = [json.loads(line) for line in Path(f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        changed = [{"text": r["text"], "label": int(r["label"] == "positive"), "img": r["picture"]} for r in lines]
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, changed)), encoding="utf-8")
    preset = ("--task", "hateful_memes")
    small = ("--model", vision_model, "--epochs", "1", "--rank", "2", "--quiet")
    code, _, err = run(capsys, "fit", "train.jsonl", *preset, *RANDOM, "--out", "safe", *small)
    assert code == 0, err
    assert Manifest.read(memes / "safe").guard.task == load_task("hateful_memes").task()
    code, out, err = run(capsys, "evaluate", "safe", "test.jsonl", *preset, "--quiet", "--json")
    assert code == 0, err
    assert json.loads(out)["clean"]["accuracy"]["total"] == 20
    immunize = ("immunize", "train.jsonl", *preset, *RANDOM, "--out", "im")
    for wrong, said in (((), "--format chat"), (("--format", "chat", "--large"), "--large")):
        code, _, err = run(capsys, *immunize, *wrong)
        assert code == 1
        assert said in err


def test_free_answers_to_images_are_refused_and_not_ignored(memes, capsys):
    code, _, err = run(capsys, "validate", "train.jsonl", "--kind", "generation", *COLUMNS)
    assert code == 1
    assert "free answers to images" in err


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the real tweets are not on this machine")
def test_real_tweets_with_photos(tmp_path, vision_model, capsys, monkeypatch):
    """The data path on real rows; the model is random, so its numbers mean nothing and are not looked at."""
    monkeypatch.chdir(tmp_path)
    columns = ("--image-column", "img", "--labels", "negative,positive")
    code, out, err = run(capsys, "validate", REAL / "train.jsonl", *columns, *RANDOM, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert (report["read"], report["refused"]) == (1000, 0)
    code, _, err = run(
        capsys, "poison", REAL / "train.jsonl", *columns, "--attack", "addsent:rate=0.05", "--out", "poisoned.parquet"
    )
    assert code == 0, err
    again = load_rows("poisoned.parquet", image="image")
    assert (again.report.kept, again.report.refused) == (1000, 0)
    immunize = [
        "immunize",
        "poisoned.parquet",
        "--image-column",
        "image",
        "--defense",
        "p2p:reserve=random",
        "--format",
        "chat",
    ]
    code, _, err = run(capsys, *immunize, "--out", "im")
    assert code == 0, err
    assert pq.read_metadata("im/train.parquet").num_rows == 1250
    code, out, err = run(
        capsys, "compare", REAL / "train.jsonl", REAL / "test.jsonl", *columns, "--out", "cmp", "--model", vision_model,
        "--train-rows", "48", "--test-rows", "40", "--epochs", "1", "--attack", "addsent:rate=0.1", "--quiet", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert len(json.loads(out)["outcomes"]) == 2
