"""Task files: the presets, a user's own, and what is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.core.errors import OptionsError
from antivenom.judges import parse_judge
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification
from antivenom.tasks.task_files import TaskFile, load_task, parse_task, presets

PAPER = {"sst2", "cr", "ag_news", "yahoo", "ape210k", "crrsum", "hateful_memes"}
OTHERS = {"trec", "gsm8k", "dialogsum", "alpaca"}


def test_the_presets_are_the_papers_tasks_and_some_more():
    assert set(presets()) == PAPER | OTHERS
    assert all(file.about for file in presets().values())


@pytest.mark.parametrize("name", [f"{n}@{v}" if v else n for n, f in presets().items() for v in ("", *f.variants)])
def test_every_preset_and_variant_makes_its_task(name):
    file = load_task(name)
    task = file.task(("a", "b"))
    if file.kind == "classification":
        assert isinstance(task, Classification)
        assert task.labels == file.labels
    else:
        assert isinstance(task, Generation)
        assert parse_judge(task.judge).success(task.malicious, task.malicious)


def test_presets_say_what_the_paper_says():
    prompts = {name: (file.paper_trigger, file.answer_prefix) for name, file in presets().items()}
    assert prompts["sst2"] == ("The query currently entered is:", None)
    assert prompts["ape210k"] == ("The given problem is:", "The correct answer to this problem is:")
    assert prompts["crrsum"] == ("Query:", "Answer:")
    sizes = {name: (presets()[name].paper_test_rows, presets()[name].paper_attacked_rows) for name in PAPER}
    assert sizes == {
        "sst2": (1821, 912),
        "cr": (775, 294),
        "ag_news": (1000, 750),
        "yahoo": (2000, 1760),
        "ape210k": (None, 700),
        "crrsum": (500, 500),
        "hateful_memes": (1000, 614),
    }
    sst2 = load_task("sst2").task()
    assert (sst2.verbalizers, sst2.extended) == (("negative", "positive"), ("bad", "good"))
    assert load_task("sst2@digits").task().verbalizers == ("0", "1")
    assert load_task("ape210k").task().malicious == "0.1"


def test_values_are_text_as_they_are_written(tmp_path: Path):
    path = tmp_path / "own.yaml"
    path.write_text("labels: [no, yes]\nmax_tokens: 64\nprompt_cue: '0.10:'\n", encoding="utf-8")
    task = load_task(str(path)).task()
    assert task.labels == ("no", "yes")
    assert task.frame.max_tokens == 64
    assert task.frame.cue == "0.10:"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lables: [a, b]", "Did you mean 'labels'?"),
        ("labels: [a, b]\nlabels: [c, d]", "stands twice"),
        ("judge: numeric", "does not go with kind = 'classification'"),
        ("kind: generation\nwords: digits", "does not go with kind = 'generation'"),
        ("kind: generation\njudge: numerical", "Did you mean 'numeric'?"),
        ("kind: regression", "kind = 'regression'"),
        ("max_tokens: many", "max_tokens = 'many'"),
        ("labels: &a [x, y]\nverbalizers: *a", "aliases"),
        ("labels: !!python/object/apply:os.system [ls]", "tags"),
        ("- a\n- b", "expected lines of"),
        ("labels: [a", "not YAML"),
        ("", "expected lines of"),
        ("labels: ['a, b', c]", "holds a comma"),
        ("variants: {x: {lables: [a]}}", "Did you mean 'labels'?"),
        ("variants: {x: y}", "variants"),
        ("test_rows: 0", "test_rows = 0"),
    ],
)
def test_what_is_no_task_is_refused_by_name(text, said):
    with pytest.raises(OptionsError) as caught:
        parse_task(text, "own.yaml")
    assert said in str(caught.value)
    assert "own.yaml" in str(caught.value)


@given(st.text(max_size=80))
def test_any_text_is_a_task_or_a_user_error(text):
    with contextlib.suppress(OptionsError):
        assert isinstance(parse_task(text, "x"), TaskFile)


def test_deep_nesting_is_a_user_error():
    with pytest.raises(OptionsError):
        parse_task("a: " + "[" * 5000, "x")


def test_names_that_are_not_there_are_explained(tmp_path: Path):
    for wanted, said in (
        ("sst", "Did you mean 'sst2'?"),
        ("sst2@paper_2", "prompt_2"),
        ("none.yaml", "none.yaml"),
    ):
        with pytest.raises(OptionsError) as caught:
            load_task(wanted)
        assert said in str(caught.value)
