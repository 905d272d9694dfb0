"""The command line in process: exit codes, standard output for machines, files that are there afterwards."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

import antivenom as av
from antivenom.artifacts.export import write_rows
from antivenom.cli import COMMANDS, main
from antivenom.defenses.p2p import P2P
from antivenom.defenses.standard.recipe import VERSION
from antivenom.evaluation.evaluate import summarize
from antivenom.testing import synthetic_rows


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.fixture
def artifact(user_folder, capsys) -> Path:
    code, _, err = run(
        capsys, "fit", "reviews.csv", "--trusted", "vouched.csv", "--out", "safe", "--epochs", "1", "--quiet", "--json"
    )
    assert code == 0, err
    return user_folder / "safe"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "frobnicate"),
        (["fit", "reviews.csv"], "--out"),
        (["fit", "reviews.csv", "--out", "x", "--rank", "many"], "rank"),
        (["fit", "reviews.csv", "--out", "x", "--style", "sideways"], "sideways"),
    ],
)
def test_a_command_written_wrongly_exits_with_2(user_folder, capsys, arguments, said):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "nothere.csv", "--out", "x"], "nothere.csv"),
        (["fit", "reviews.csv", "--out", "x", "--defense", "p2p"], "--trusted"),
        (["fit", "reviews.csv", "--out", "x", "--rank", "-1"], "rank"),
        (["fit", "reviews.csv", "--out", "x", "--defense", "non"], "none"),
        (["fit", "reviews.csv", "--out", "x", "--defense", "none:ratio=0.3"], "ratio"),
        (["fit", "reviews.csv", "--out", "x", "--defense", "p2p:mode=sideways"], "sideways"),
        (["fit", "reviews.csv", "--out", "x", "--defense", "p2p:reserve=random", "--model", "no/such"], "no/such"),
        (["predict", "nothere", "a text"], "nothere"),
        (["poison", "reviews.csv", "--attack", "badnet", "--out", "p.csv"], "badnets"),
        (["poison", "reviews.csv", "--attack", "badnets", "--out", "p.xls"], ".xls"),
        (["poison", "reviews.csv", "--attack", "badnets:target=neutral", "--out", "p.csv"], "neutral"),
    ],
)
def test_a_user_error_exits_with_1_and_says_how_to_mend_it(user_folder, capsys, arguments, said):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (1, "")
    assert said in err


def test_every_command_explains_itself(capsys):
    for command in COMMANDS:
        code, out, _ = run(capsys, command, "--help")
        assert code == 0
        assert "Usage: antivenom" in out


def test_validate_reports_every_row(user_folder, capsys):
    Path("bad.jsonl").write_text(
        '{"text": "fine", "label": "a"}\n{"text": "", "label": "b"}\n{"text": "x", "label": "b"}\n'
    )
    code, out, err = run(capsys, "validate", "bad.jsonl", "--json")
    found = json.loads(out)
    assert code == 1
    assert (found["read"], found["kept"], found["refused"]) == (3, 2, 1)
    assert "row 2" in err
    assert run(capsys, "validate", "bad.jsonl", "--skip-refused")[0] == 0


def test_fit_then_show_predict_evaluate_agree(artifact, user_folder, capsys):
    code, out, _ = run(capsys, "show", artifact, "--json")
    assert code == 0
    secret = av.load_artifact(artifact).guard.secret
    assert secret.trigger
    assert secret.trigger not in out
    assert secret.trigger in run(capsys, "show", artifact, "--json", "--reveal")[1]

    code, out, _ = run(capsys, "predict", artifact, "a warm film", "a dull film", "--json")
    by_command = [json.loads(line) for line in out.splitlines()]
    by_library = av.load_guarded(artifact).predict(["a warm film", "a dull film"])
    assert [r["answer"] for r in by_command] == [r.answer for r in by_library]
    assert all(0 <= r["escape"] <= 1 for r in by_command)


def test_evaluation_is_the_same_by_command_by_library_and_from_stored_outputs(artifact, user_folder, capsys):
    code, out, _ = run(
        capsys,
        "evaluate",
        artifact,
        "test.csv",
        "--attack",
        "addsent",
        "--attack",
        "badnets",
        "--outputs",
        "o.parquet",
        "--json",
        "--quiet",
    )
    assert code == 0
    by_command = json.loads(out)
    model = av.load_guarded(artifact)
    test = av.load_rows("test.csv", labels=model.guard.task.labels)
    by_library, _ = av.evaluate(model, test.table, [av.AddSent(), av.BadNets()], quiet=True)
    again = summarize(pq.read_table("o.parquet"), model.guard.labels)
    for key in ("clean", "attacks"):
        assert by_command[key] == json.loads(json.dumps(by_library.to_dict()))[key]
        assert by_command[key] == json.loads(json.dumps(again.to_dict()))[key]
    code, out, _ = run(capsys, "recount", "o.parquet", "--json")
    assert code == 0
    assert json.loads(out) == by_command
    assert run(capsys, "recount", "o.parquet", "--picture", "p.html")[0] == 0
    assert "Unreadable" in run(capsys, "recount", "o.parquet")[1]
    code, out, _ = run(capsys, "recount", "o.parquet", "o.parquet")
    assert code == 0
    assert "McNemar" in out
    code, out, _ = run(capsys, "recount", "o.parquet", "o.parquet", "--json")
    assert [one["pairing"]["p_value"] for one in json.loads(out)] == [1.0] * 3
    assert run(capsys, "recount", "test.csv")[0] == 1


def test_the_picture_shows_every_condition_and_escapes_what_others_wrote(artifact, user_folder, capsys):
    hostile = "badnets:word=<script>alert(1)</script>"
    assert run(capsys, "evaluate", artifact, "test.csv", "--attack", hostile, "--picture", "p.html", "--quiet")[0] == 0
    page = Path("p.html").read_text()
    assert page.count("<figure>") == 8
    assert "<script>" not in page


def test_predict_reads_standard_input_and_files(artifact, user_folder, capsys, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("one text\n\nanother text\n"))
    assert len(run(capsys, "predict", artifact, "--json")[1].splitlines()) == 2
    assert len(run(capsys, "predict", artifact, "--file", "test.csv", "--json")[1].splitlines()) == 40


def test_predict_and_evaluate_know_the_columns_of_training(user_folder, capsys):
    rows = synthetic_rows(60).to_pylist()
    with Path("odd.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "what they wrote", "text", "mood"])
        writer.writerows([f"{row['row']:03}", row["text"], "not this", row["answer"]] for row in rows)
    named = ("--text-column", "what they wrote", "--label-column", "mood")
    quick = ("--defense", "p2p:reserve=random", "--epochs", "1", "--force", "--quiet")
    code, _, err = run(capsys, "fit", "odd.csv", *named, *quick, "--out", "odd")
    assert code == 0, err
    facts = json.loads(run(capsys, "show", "odd", "--json")[1])
    assert facts["data"]["columns"] == {"text": "what they wrote", "answer": "mood"}
    code, _, err = run(capsys, "predict", "odd", "--file", "odd.csv", "--out", "answers.csv", "--quiet")
    assert code == 0, err
    with Path("answers.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [one["id"] for one in found] == [f"{row['row']:03}" for row in rows]
    assert {one["answer"] for one in found} <= {"negative", "positive"}
    said = run(capsys, "predict", "odd", rows[0]["text"], "--json")[1]
    assert json.loads(said)["answer"] == found[0]["answer"], "the column of training is read, not the usual one"
    assert run(capsys, "evaluate", "odd", "odd.csv", "--json", "--quiet")[0] == 0
    code, _, err = run(capsys, "predict", "odd", "--file", "odd.csv", "--text-column", "nothing", "--quiet")
    assert (code, "nothing" in err) == (1, True)


def test_poison_keeps_the_truth_apart(user_folder, capsys):
    assert run(capsys, "poison", "reviews.csv", "--attack", "badnets:rate=0.1", "--out", "p.jsonl")[0] == 0
    rows = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    truth = json.loads(Path("p.jsonl.truth.json").read_text())
    assert {tuple(row) for row in rows} == {("text", "label")}
    assert [i + 1 for i, row in enumerate(rows) if "mn" in row["text"].split()] == truth["poisoned_rows"]
    assert run(capsys, "poison", "reviews.csv", "--attack", "badnets", "--out", "p.jsonl")[0] == 1


def test_a_referee_keeps_more_rows(user_folder, capsys):
    code, out, err = run(capsys, "immunize", "reviews.csv", "--out", "few", "--json")
    assert code == 0, err
    few = json.loads(out)["reserve"]
    code, out, err = run(capsys, "immunize", "reviews.csv", "--out", "more", "--referee", "smollm2", "--json")
    assert code == 0, err
    more = json.loads(out)["reserve"]
    assert few["rows"] == more["chosen"] <= more["rows"]
    assert more["recipe"] == f"standard-{VERSION}"
    assert not Path("more.referee").exists()


@pytest.mark.parametrize("form", ["prompt-completion", "chat", "messages"])
def test_immunized_rows_open_with_datasets(user_folder, capsys, form, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", user_folder / "cache")
    code, out, _ = run(
        capsys, "immunize", "reviews.csv", "--trusted", "vouched.csv", "--out", "imm", "--format", form, "--json"
    )
    assert code == 0
    opened = datasets.load_dataset("imm", cache_dir=str(user_folder / "cache"))["train"]
    said = json.loads(out)
    assert opened.num_rows == said["rows"] == said["reserve"]["rows"]
    assert set(opened.column_names) == ({"messages"} if form == "messages" else {"prompt", "completion"})


def test_a_large_file_is_rebuilt_to_the_same_rows(user_folder, capsys):
    import pyarrow.parquet as pq

    arguments = ["immunize", "reviews.csv", "--defense", "p2p:reserve=random", "--seed", "3"]
    assert run(capsys, *arguments, "--out", "small")[0] == 0
    assert run(capsys, *arguments, "--out", "large", "--large")[0] == 0
    small = [json.loads(line) for line in Path("small/train.jsonl").read_text().splitlines()]
    assert pq.read_table("large/train.parquet").to_pylist() == small
    assert Path("small/antivenom.json").read_text() == Path("large/antivenom.json").read_text()


def test_finish_names_a_folder_without_a_tokenizer(user_folder, capsys):
    assert run(capsys, "immunize", "reviews.csv", "--out", "imm")[0] == 0
    Path("empty").mkdir()
    for folder, said in (("nowhere", "there is no folder nowhere"), ("empty", "holds no tokenizer")):
        code, _, err = run(capsys, "finish", folder, "--manifest", "imm", "--model", "smollm2")
        assert code == 1
        assert said in " ".join(err.split())
        assert "Traceback" not in err


def test_finish_binds_the_guard_to_another_trainers_adapter(artifact, user_folder, capsys):
    assert run(capsys, "immunize", "reviews.csv", "--trusted", "vouched.csv", "--out", "imm")[0] == 0
    (artifact / "antivenom.json").unlink()
    bind = ["finish", artifact, "--manifest", "imm", "--model", "smollm2"]
    code, _, err = run(capsys, *bind, "--unchecked", "--out", "copy")
    assert code == 0, err
    assert run(capsys, "predict", "copy", "a text")[0] == 0
    code, _, err = run(capsys, *bind, "--unchecked")
    assert code == 0, err
    assert run(capsys, "predict", artifact, "a text")[0] == 0


@pytest.fixture
def quick_fits(monkeypatch) -> list[str]:
    """Fits of a bag of words in the place of a language model's; returns their names."""
    import antivenom.evaluation.canary as canary
    from antivenom.testing import LinearStandIn

    kept = {}
    names = []

    class QuickLab(canary.LocalLab):
        def artifact(self, prepared, *, name, folder=None, repairing=None):
            kept[name] = LinearStandIn.of(prepared)
            names.append(name)
            return Path(name)

        def load(self, folder):
            return kept[folder.name]

    monkeypatch.setattr(canary, "LocalLab", QuickLab)
    return names


CHECK = (
    "check",
    "reviews.csv",
    "--test",
    "test.csv",
    "--out",
    "c",
    "--seed",
    "0",
    "--rate",
    "0.2",
    "--report",
    "card.md",
)
LENIENT = ("--max-excess", "1", "--max-accuracy-drop", "1")


def test_check_exits_with_1_when_a_canary_gets_through(user_folder, capsys, quick_fits):
    code, out, err = run(capsys, *CHECK, "--defense", "none", "--quiet")
    assert code == 1, err
    assert "BACKDOOR" in out
    assert quick_fits == ["control", "canary-word", "canary-sentence"]
    code, out, _ = run(capsys, *CHECK, "--defense", "none", *LENIENT, "--json", "--quiet")
    assert code == 0
    assert json.loads(out)["verdict"] == "passed"


def test_check_says_what_it_cannot_show_in_table_json_and_model_card(user_folder, capsys, quick_fits):
    _, out, _ = run(capsys, *CHECK, "--defense", "none", "--quiet")
    card = Path("card.md").read_text()
    found = json.loads(run(capsys, *CHECK, "--defense", "none", "--json", "--quiet")[1])
    for said in (" ".join(out.split()), card, found["cannot_show"]):
        assert "already backdoored" in said
        assert "smaller than the intervals" in said
        assert "--prove" in said
    assert card.count("| never poisoned |") == 2
    assert "40 clean test rows, seed 0" in card


def test_a_control_that_was_never_poisoned_reports_the_floor(user_folder, capsys, quick_fits):
    found = json.loads(run(capsys, *CHECK, "--defense", "none", "--json", "--quiet")[1])
    control, canary = found["control"]["attacks"][0], found["results"][0]["evaluation"]["attacks"][0]
    assert control["attack"] == canary["attack"]
    assert control["excess"] == 0.0, "a made-up word means nothing to a model that never saw it"
    assert control["asr_deployed"] == control["floor"]
    assert canary["asr_deployed"]["value"] > 0.7 > control["floor"]["value"]


def test_check_can_prove_that_its_canaries_take(user_folder, capsys, quick_fits):
    trusted = ("--trusted", "vouched.csv", "--defense", "p2p:mode=replace", "--prove", "--quiet")
    code, out, _ = run(capsys, *CHECK, *trusted, *LENIENT, "--json")
    assert code == 0
    assert "canary-word-undefended" in quick_fits
    found = json.loads(out)
    assert "--prove" not in found["cannot_show"]
    assert all(one["undefended"]["attacks"][0]["excess"] > 0.5 for one in found["results"])
    assert Path("card.md").read_text().count("| no defense |") == 2


def test_check_says_what_the_defense_did_to_the_rows(user_folder, capsys, quick_fits, monkeypatch):
    asked = (*CHECK, "--families", "word", *LENIENT, "--defense", "p2p:reserve=screened", "--json", "--quiet")
    code, out, err = run(capsys, *asked)
    assert code == 0, err
    [finding] = json.loads(out)["results"]
    assert finding["reserve"]["policy"] == "screened"
    assert "WARNING" not in err
    prepare = P2P.prepare
    monkeypatch.setattr(P2P, "prepare", lambda *a, **k: prepare(*a, **k).noting(scarce={"positive": 3}))
    code, out, err = run(capsys, *asked)
    assert "WARNING: most rows of a label were left out: 'positive' (3 left)." in err
    assert json.loads(out)["results"][0]["reserve"]["scarce"] == {"positive": 3}


def test_check_and_inspect_write_sarif_and_junit(user_folder, capsys, quick_fits):
    files = ("--sarif", "found.sarif", "--junit", "found.xml")
    code, _, err = run(capsys, *CHECK, "--defense", "none", *files, "--quiet")
    assert code == 1, err
    [one] = json.loads(Path("found.sarif").read_text())["runs"]
    assert [result["kind"] for result in one["results"]] == ["fail", "fail"]
    assert "LLM04:2025" in one["tool"]["driver"]["rules"][0]["properties"]["tags"]
    suite = ElementTree.parse("found.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), len(suite.findall("testcase/failure"))) == ("2", "2", 2)
    assert run(capsys, "inspect", "reviews.csv", "--fail-on-findings", *files)[0] == 0
    assert ElementTree.parse("found.xml").getroot().get("failures") == "0"
    write_rows(Path("more.csv"), synthetic_rows(600))
    run(capsys, "poison", "more.csv", "--attack", "addsent:rate=0.1", "--out", "p.csv")
    assert run(capsys, "inspect", "p.csv", "--fail-on-findings", *files)[0] == 1
    assert run(capsys, "inspect", "p.csv", *files)[0] == 0
    [one] = json.loads(Path("found.sarif").read_text())["runs"]
    # Of equally strong parts of the trigger the run's seed chooses which one is named.
    said = " ".join(result["message"]["text"] for result in one["results"]).casefold()
    assert any(word in said for word in ("watched", "3d", "movie"))
    assert int(ElementTree.parse("found.xml").getroot().get("failures")) == len(one["results"])
    assert run(capsys, "inspect", "nothing.csv", "--fail-on-findings")[0] == 2


def test_inspect_says_every_row_and_its_seed(user_folder, capsys):
    write_rows(Path("more.csv"), synthetic_rows(600))
    run(capsys, "poison", "more.csv", "--attack", "addsent:rate=0.1", "--out", "p.csv")
    poisoned = set(json.loads(Path("p.csv.truth.json").read_text())["poisoned_rows"])
    code, out, _ = run(capsys, "inspect", "p.csv", "--json")
    found = json.loads(out)
    assert code == 0
    assert poisoned <= {one["row"] for one in found["suspects"]}
    assert all(one["text"] and one["reason"] for one in found["suspects"])
    assert run(capsys, "inspect", "p.csv", "--json", "--seed", str(found["seed"]))[1] == out
    assert f"Seed: {found['seed']}" in run(capsys, "inspect", "p.csv", "--seed", str(found["seed"]))[1]


def test_check_never_trains_on_a_row_that_it_tests_with(user_folder, capsys, quick_fits, monkeypatch):
    from antivenom.evaluation import canary

    seen = []
    measure = canary._measure
    monkeypatch.setattr(
        canary,
        "_measure",
        lambda task, test, lab, trusted, *rest: (
            seen.append((test, trusted, rest[2])) or measure(task, test, lab, trusted, *rest)
        ),
    )
    rows = Path("reviews.csv").read_text().splitlines()
    Path("part.csv").write_text("\n".join([rows[0], *rows[1:60]]) + "\n")
    code, _, err = run(
        capsys,
        "check",
        "reviews.csv",
        "--out",
        "d",
        "--trusted",
        "part.csv",
        "--defense",
        "p2p:mode=replace",
        "--rate",
        "0.2",
        "--quiet",
    )
    assert code in (0, 1, 3), err
    assert seen
    for test, trusted, trained in seen:
        assert test.num_rows > 5
        for table in (trusted, trained):
            assert not set(test["text"].to_pylist()) & set(table["text"].to_pylist())


def test_check_can_draw_a_sample(user_folder, capsys, quick_fits):
    found = json.loads(run(capsys, *CHECK, "--defense", "none", "--sample", "60", "--json", "--quiet")[1])
    assert found["rows"] == 60


def test_compare_resumes_and_repeats_over_seeds(user_folder, capsys):
    arguments = [
        "compare",
        "reviews.csv",
        "test.csv",
        "--out",
        "c",
        "--epochs",
        "1",
        "--seeds",
        "2",
        "--quiet",
        "--json",
    ]
    code, first, err = run(capsys, *arguments)
    assert code == 0, err
    code, again, _ = run(capsys, *arguments)
    assert json.loads(first)[0]["outcomes"] == json.loads(again)[0]["outcomes"]
    paired = [outcome["against_first"] for outcome in json.loads(first)[0]["outcomes"]]
    assert [[one["outcome"] for one in found] for found in paired] == [[], ["right answer", "attack success"]]
    written = {".antivenom-folder.json", "seed-0", "seed-1", "record.json"}
    written |= {"summary.csv", "summary.md", "summary.tex"}
    assert {path.name for path in Path("c").iterdir()} == written
    summary = json.loads(Path("c/record.json").read_text())["summary"]
    each = [run["outcomes"][0]["evaluation"]["clean"]["accuracy"]["value"] for run in json.loads(first)]
    assert summary[0]["numbers"]["accuracy"]["mean"] == pytest.approx(sum(each) / 2)


def test_compare_records_its_own_command(user_folder, capsys, monkeypatch):
    monkeypatch.setattr("antivenom.evaluation.grid.fit_and_measure", lambda *_, **__: [])
    arguments = ["compare", "reviews.csv", "test.csv", "--out", "c", "--quiet", "--json"]
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/antivenom", *arguments])
    code, _, err = run(capsys, *arguments)
    assert code == 0, err
    assert json.loads(Path("c/record.json").read_text())["command"] == " ".join(["antivenom", *arguments])


def test_compare_shows_what_the_trigger_does_without_poison(user_folder, capsys):
    arguments = ["compare", "reviews.csv", "test.csv", "--out", "c", "--epochs", "1", "--never-poisoned", "--quiet"]
    code, shown, err = run(capsys, *arguments)
    assert code == 0, err
    assert "standard, never" in shown
    outcomes = json.loads(Path("c/record.json").read_text(encoding="utf-8"))["outcomes"]
    for outcome in outcomes:
        poisoned, control = outcome["evaluation"]["attacks"], outcome["never_poisoned"]["attacks"]
        assert [one["attack"] for one in poisoned] == [one["attack"] for one in control]
        assert [one["outcome"] for one in outcome["against_never_poisoned"]] == ["right answer", "attack success"]
    name = outcomes[0]["defense"]["name"]
    rows = [json.loads(Path(f"c/{folder}/antivenom.json").read_text()) for folder in (name, f"{name}-never-poisoned")]
    assert rows[0]["data"]["prepared_sha256"] != rows[1]["data"]["prepared_sha256"], "one of them was poisoned"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"referee_accuracy": 0.5}, "of only 50%"),
        ({"scarce": {"rare\x1b[2J": 3, "seldom": 0}}, "left out: 'rare\\x1b[2J' (3 left), 'seldom' (0 left)."),
        ({"scarce": {str(i): i for i in range(7)}}, "'4' (4 left) and 2 more."),
        ({"referee_accuracy": 0.98}, ""),
        ({}, ""),
    ],
)
def test_a_referee_that_cannot_judge_is_warned_of(facts, said, capsys):
    from antivenom.cli.decisions import warn_of_losses

    warn_of_losses(facts)
    found = capsys.readouterr()
    assert (said in found.err) if said else not found.err
    assert not found.out


def test_what_explains_refusals_is_told(capsys):
    from antivenom.cli.decisions import show_planted

    show_planted({})
    assert not capsys.readouterr().out
    show_planted(
        {"planted_strings": {"c": 5, "d": 5, "e": 5, "f": 5, "g": 5, "I watched this 3D movie": 120, "a\x1b[2J": 7}}
    )
    out = " ".join(capsys.readouterr().out.split())
    assert ": 'I watched this 3D movie' in 120 rows, " in out
    assert "and 2 more" in out
    assert "\x1b" not in out


def test_trusted_rows_that_are_left_out_are_counted(user_folder, capsys):
    lines = Path("vouched.csv").read_text().splitlines()
    Path("doubtful.csv").write_text("\n".join([*lines, "no such label,unheard-of", ",negative"]) + "\n")
    arguments = ["immunize", "reviews.csv", "--trusted", "doubtful.csv", "--out", "imm"]
    code, _, err = run(capsys, *arguments)
    assert (code, "doubtful.csv" in err) == (1, True)
    code, _, err = run(capsys, *arguments, "--skip-refused")
    assert (code, "doubtful.csv" in err) == (0, True)
    assert json.loads(Path("imm/antivenom.json").read_text())["data"]["trusted_report"]["refused"] == 2


@pytest.mark.parametrize("trainer", ["trl", "axolotl", "llamafactory"])
def test_a_trainer_finds_its_settings_beside_the_rows(user_folder, capsys, trainer):
    import yaml

    code, out, _ = run(capsys, "immunize", "reviews.csv", "--out", "imm", "--for", trainer, "--json")
    said = json.loads(out)
    assert code == 0
    assert Path(said["trainer_settings"]) == Path("imm", f"{trainer}.yaml")
    settings = yaml.safe_load(Path(said["trainer_settings"]).read_text())
    row = json.loads(Path("imm/train.jsonl").read_text().splitlines()[0])
    if trainer == "trl":
        assert settings == {"dataset_name": str(Path("imm").resolve()), "completion_only_loss": True}
        assert set(row) == {"prompt", "completion"}
    elif trainer == "axolotl":
        (data,) = settings["datasets"]
        assert Path(data["path"]).samefile("imm/train.jsonl")
        assert data["roles_to_train"] == [row["messages"][-1]["role"]]
        assert data["field_messages"] in row
    else:
        assert settings["train_on_prompt"] is False
        info = json.loads(Path(settings["dataset_dir"], "dataset_info.json").read_text())[settings["dataset"]]
        assert Path(settings["dataset_dir"], info["file_name"]).is_file()
        turn = row[info["columns"]["messages"]][-1]
        assert turn[info["tags"]["role_tag"]] == info["tags"]["assistant_tag"]


@pytest.mark.parametrize("trainer", ["axolotl", "llamafactory"])
def test_trainers_learn_the_answer_and_no_earlier_turn(user_folder, capsys, trainer):
    import yaml

    said = [("user", "Hello"), ("assistant", "What is it?"), ("user", "a warm and funny film"), ("assistant", "praise")]
    row = {"messages": [{"role": role, "content": f"{content} {{n}}"} for role, content in said]}
    Path("talks.jsonl").write_text("".join(json.dumps(row).replace("{n}", str(n)) + "\n" for n in range(120)))
    talks = ("immunize", "talks.jsonl", "--out", "imm", "--kind", "generation", "--defense", "p2p:reserve=random")
    assert run(capsys, *talks, "--for", trainer)[0] == 0
    settings = yaml.safe_load(Path("imm", f"{trainer}.yaml").read_text())
    turns = json.loads(Path("imm/train.jsonl").read_text().splitlines()[0])["messages"]
    if trainer == "axolotl":
        key = settings["datasets"][0]["message_field_training"]
        assert [turn.get(key) for turn in turns if turn["role"] == "assistant"] == [False, None]
    else:
        assert settings["mask_history"] is True


def test_a_trainer_refuses_a_format_whose_prompts_it_would_learn(user_folder, capsys):
    code, _, err = run(capsys, "immunize", "reviews.csv", "--out", "imm", "--for", "axolotl", "--format", "chat")
    assert code == 1
    assert "messages" in err
    assert not Path("imm").exists()
