"""What a user may do by mistake: nothing is lost or replaced, and what is said leads on."""

from __future__ import annotations

import io
import json
import os
import shutil
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import antivenom as av
from antivenom.cli import main
from antivenom.data.query import Query
from antivenom.testing import tiny_model

FIT = ("fit", "reviews.csv", "--trusted", "vouched.csv", "--epochs", "1", "--quiet")

RANDOM = ("--defense", "p2p:reserve=random")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, " ".join(captured.err.split())


@pytest.fixture
def artifact(user_folder, capsys) -> Path:
    code, _, err = run(capsys, *FIT, "--out", "safe")
    assert code == 0, err
    assert run(capsys, "immunize", "reviews.csv", "--out", "imm")[0] == 0
    return user_folder / "safe"


def test_finish_changes_no_artifact(artifact, capsys):
    before = (artifact / "antivenom.json").read_bytes()
    code, _, err = run(capsys, "finish", "safe", "--manifest", "imm", "--model", "smollm2")
    assert (code, "safe is an artifact already" in err) == (1, True)
    assert (artifact / "antivenom.json").read_bytes() == before


def test_finish_refuses_the_base_model_and_the_wrong_one(artifact, capsys, model_folder):
    shutil.copytree(model_folder, "copy")
    for folder in (model_folder, "copy"):
        code, _, err = run(capsys, "finish", folder, "--manifest", "imm", "--model", model_folder)
        assert (code, "the base model itself" in err) == (1, True)
        assert not (Path(folder) / "antivenom.json").exists()
    tiny_model(Path("wide"), width=96)
    (artifact / "antivenom.json").unlink()
    code, _, err = run(capsys, "finish", "safe", "--manifest", "imm", "--model", "wide")
    assert (code, "cannot load the adapter" in err) == (1, True)
    assert not (artifact / "antivenom.json").exists()


def test_options_of_p2p_stand_behind_its_name_alone(user_folder, capsys):
    code, _, err = run(capsys, "fit", "reviews.csv", "--out", "x", "--reserve", "screened")
    assert (code, "--reserve" in err) == (1, True)


def test_a_secret_comes_from_a_file_and_stays_with_the_recipe(user_folder, capsys):
    Path("secret.txt").write_text("say so:\nReply:\n", encoding="utf-8")
    assert run(capsys, "immunize", "reviews.csv", "--out", "imm", "--secret-file", "secret.txt")[0] == 0
    manifest = json.loads(Path("imm/antivenom.json").read_text(encoding="utf-8"))
    assert manifest["guard"]["secret"] == {"trigger": "say so:", "cue": "Reply:"}
    assert manifest["reserve"]["policy"] == "screened"
    code, _, err = run(capsys, "fit", "reviews.csv", "--out", "x", "--defense", 'p2p:secret={"trigger": "say so:"}')
    assert (code, "--secret-file" in err, "say so" in err) == (1, True, False)


def test_a_secret_in_a_comparison_is_refused(user_folder, capsys):
    defenses = ("--defense", "none", "--defense", 'p2p:secret={"trigger": "say so:"}')
    code, _, err = run(capsys, "compare", "reviews.csv", "test.csv", "--out", "c", *defenses)
    assert (code, "secret" in err, "say so" in err) == (1, True, False)
    assert not Path("c").exists()


def test_two_deployments_of_the_same_rows_share_neither_trigger_nor_seed(user_folder, capsys):
    for name in ("one", "two"):
        assert run(capsys, "immunize", "reviews.csv", "--out", name)[0] == 0
    one, two = (json.loads(Path(name, "antivenom.json").read_text(encoding="utf-8")) for name in ("one", "two"))
    assert one["guard"]["secret"]["trigger"] != two["guard"]["secret"]["trigger"]
    assert one["seed"] != two["seed"]


def test_an_artifact_works_from_another_folder_and_with_a_moved_base(user_folder, capsys, model_folder):
    shutil.copytree(model_folder, "base")
    assert run(capsys, *FIT, "--model", "base", "--out", "safe")[0] == 0
    Path("sub").mkdir()
    os.chdir("sub")
    assert run(capsys, "predict", "../safe", "a text")[0] == 0
    shutil.move("../base", "../moved")
    code, _, err = run(capsys, "predict", "../safe", "a text")
    assert (code, "needs its base model" in err, "--model" in err) == (1, True, True)
    assert run(capsys, "predict", "../safe", "a text", "--model", "../moved")[0] == 0
    assert run(capsys, "show", "../safe", "--model", "../moved")[0] == 0
    assert run(capsys, "evaluate", "../safe", "../test.csv", "--model", "../moved")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["immunize", "reviews.csv", "--out", "reviews.csv/x"],
        ["fit", "reviews.csv", "--out", "reviews.csv/x", "--defense", "p2p:reserve=random"],
        ["poison", "reviews.csv", "--attack", "badnets", "--out", "reviews.csv/p.jsonl"],
    ],
)
def test_what_cannot_be_written_is_a_user_error(user_folder, capsys, arguments):
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert "reviews.csv" in err


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["evaluate", "nothere", "test.csv"], "--outputs"),
        (["evaluate", "nothere", "test.csv"], "--picture"),
        (["recount", "nothere.parquet"], "--picture"),
        (["inspect", "reviews.csv"], "--sarif"),
        (["inspect", "reviews.csv"], "--junit"),
        (["check", "nothere.csv", "--out", "x"], "--report"),
        (["compare", "nothere.csv", "test.csv", "--out", "x"], "--plot"),
    ],
)
def test_a_foreign_file_is_refused_before_any_work(user_folder, capsys, command, option):
    Path("mine.png").write_text("precious", encoding="utf-8")
    os.mkfifo("pipe.png")
    for name in ("mine.png", "pipe.png"):
        code, out, err = run(capsys, *command, option, name)
        assert (code, out) == (2 if command[0] == "check" else 1, "")
        assert name in err
        assert "nothere" not in err
    assert Path("mine.png").read_text(encoding="utf-8") == "precious"
    assert run(capsys, "inspect", "reviews.csv", "--sarif", "mine.png", "--force")[0] == 0
    assert run(capsys, "inspect", "reviews.csv", "--sarif", "mine.png")[0] == 0, "it is ours now"


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("--lr", "--learning-rate"),
        ("--bs", "--batch-size"),
        ("--epoch", "--epochs"),
        ("--learning-rat", "--learning-rate"),
    ],
)
def test_likely_options_are_suggested_and_values_are_not_shown(user_folder, capsys, option, meant):
    code, _, err = run(capsys, "fit", "reviews.csv", "--out", "x", f"{option}=orchid lantern")
    assert code == 2
    assert meant in err
    assert "orchid" not in err


def test_every_method_is_explained_with_each_option(capsys):
    listed = json.loads(run(capsys, "methods", "--json")[1])
    for kind, methods in listed.items():
        for name, facts in methods.items():
            code, out, _ = run(capsys, "methods", name, "--json")
            assert code == 0
            assert json.loads(out)[kind] == facts
    assert {"stages", "costs", "needs", "presets"} <= set(listed["defense"]["p2p"])
    shown = " ".join(run(capsys, "methods", "standard")[1].split())
    assert all(option in shown for option in ("least_rows", "refusal_limit", "24", "a pass over the rows"))
    code, _, err = run(capsys, "methods", "standrd")
    assert code == 1
    assert "'standard'" in err


def test_unlikely_options_are_not_suggested(user_folder, capsys):
    err = run(capsys, "fit", "reviews.csv", "--out", "x", "--lrx", "3")[2]
    assert "Did you mean" not in err


def test_an_interrupt_says_how_to_go_on(user_folder, capsys, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("antivenom.training.fine_tuning.fit", stop)
    code, _, err = run(capsys, *FIT, "--out", "x")
    assert (code, "repeat the command to go on" in err) == (130, True)


def test_a_refused_option_does_not_block_the_folder(user_folder, capsys):
    code, _, err = run(capsys, *FIT, "--out", "x", "--modules", "no_such_layer")
    assert (code, "no_such_layer" in err) == (1, True)
    assert run(capsys, *FIT, "--out", "x")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "reviews.csv", "test.csv", "--out", "c", "--seeds", "0"],
        ["compare", "reviews.csv", "test.csv", "--out", "c", "--test-rows", "-5"],
        ["compare", "reviews.csv", "test.csv", "--out", "c", "--trusted-share", "2"],
        ["check", "reviews.csv", "--out", "c", "--sample", "0"],
        ["demo", "--train-rows", "-5"],
    ],
)
def test_senseless_counts_are_refused_before_any_work(user_folder, capsys, arguments):
    code, _, err = run(capsys, *arguments)
    assert (code, "Must be" in err) == (2, True)
    assert not Path("c").exists()


@pytest.mark.parametrize("spec", ["badnets:word=", "addsent:sentence= "])
def test_a_trigger_of_nothing_is_refused(user_folder, capsys, spec):
    code, _, err = run(capsys, "poison", "reviews.csv", "--attack", spec, "--out", "p.csv")
    assert (code, "at least one character" in err) == (1, True)


def test_a_check_without_canaries_is_refused(user_folder, capsys):
    code, _, err = run(capsys, "check", "reviews.csv", "--out", "c", "--rate", "0")
    assert (code, "rate = 0" in err) == (2, True)


def test_standard_input_is_read_like_a_file(artifact, capsys, monkeypatch):
    said = []
    for given in ("a text\n", "\ufeffa text\r\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(given, newline=""))
        said.append(run(capsys, "predict", "safe", "--json")[1])
    assert said[0] == said[1]
    monkeypatch.setattr("sys.stdin", io.StringIO("caf\udce9\n"))
    code, _, err = run(capsys, "predict", "safe")
    assert (code, "is not UTF-8" in err) == (1, True)


def test_answers_to_a_file_are_counted_for_machines(artifact, capsys):
    out = run(capsys, "predict", "safe", "--file", "test.csv", "--out", "a.jsonl", "--json", "--quiet")[1]
    assert json.loads(out) == {"answers": 40, "out": "a.jsonl"}


def test_one_text_is_not_read_letter_by_letter(artifact):
    with pytest.raises(TypeError, match="list of texts"):
        av.load_guarded(artifact).predict("a text")
    assert len(av.load_guarded(artifact).predict([Query("a text")])) == 1


def test_free_answers_read_as_labels_are_noticed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"text": f"question {n}", "label": f"answer {n}"} for n in range(100)]
    Path("free.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    _, out, _ = run(capsys, "validate", "free.jsonl")
    assert "--kind generation" in " ".join(out.split())
    assert out.count("label 'answer") == 20
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    Path("chat.jsonl").write_text(json.dumps({"messages": turns}), encoding="utf-8")
    assert "--kind generation" in run(capsys, "validate", "chat.jsonl")[2]


def test_answers_that_are_cut_are_warned_of(user_folder, capsys):
    rows = [{"prompt": f"add {n}", "completion": "a long answer " * 5} for n in range(40)]
    Path("free.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    options = (
        "--kind",
        "generation",
        "--max-new-tokens",
        "4",
        "--epochs",
        "0.2",
        "--defense",
        "p2p:reserve=random",
        "--quiet",
    )
    code, _, err = run(capsys, "fit", "free.jsonl", "--out", "x", *options)
    assert code == 0, err
    assert "WARNING: 50 of 50 answers" in err


def test_methods_name_their_presets(capsys):
    assert "@paper_code" in run(capsys, "methods")[1]
    assert set(json.loads(run(capsys, "methods", "--json")[1])["defense"]["p2p"]["presets"]) == {"paper", "paper_code"}


def test_a_broken_package_is_named(capsys, monkeypatch):
    from antivenom.attacks import attacks

    broken = EntryPoint("echo", "no_such_package:Echo", "antivenom.attacks")
    monkeypatch.setattr("antivenom.core.registry.entry_points", lambda group: [broken] if "attacks" in group else [])
    attacks.cache_clear()
    try:
        code, _, err = run(capsys, "methods")
        assert (code, "'echo'" in err, "Repair or uninstall" in err) == (1, True, True)
    finally:
        attacks.cache_clear()
