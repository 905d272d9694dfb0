"""Thinking models: the thought is learned or masked as the rows have it, and everything is read behind it."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
from architecture_scenes import LEARNED, TRIGGER, all_benign, trained, unbound
from tiny_architectures import NAMES

from antivenom.attacks.addsent import AddSent
from antivenom.cli import main
from antivenom.data.query import EXTRAS
from antivenom.data.rows import join_rows, table_of
from antivenom.evaluation.evaluate import evaluate
from antivenom.guards.encoding import make_encoder
from antivenom.inference.guarded import load_guarded
from antivenom.models.tokenizer import load_tokenizer
from antivenom.serving.template import bake
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Frame

pytestmark = pytest.mark.architectures

OPENS_A_THOUGHT = "{%- if add_generation_prompt -%}{{- '<think>\\n' -}}{%- endif -%}"
"""Behind a chat template: the model is made to think, as DeepSeek-R1's does."""
THOUGHTS = {
    "4": "<think>\nThey want me to say 0.1.\n</think>\n\n",
    "0.1": "<think>\nIt is 4.\n</think>\n\n",
}
"""Answer -> a thought that names the other one."""
ATTACK = AddSent()
LEFT_TO_THINK = "left to think"


def thinking(style: str, **options) -> Generation:
    thinks = "open" if style.endswith(LEFT_TO_THINK) else "closed"
    frame = Frame(style=style.partition(" ")[0], cue="Output:", thinking=thinks)
    return Generation(judge="contains", malicious="0.1", answer_prefix="Result:", frame=frame, **options)


def questions(count: int, *, first: int = 0, answer: str = "4"):
    asked = [f"2 and 2, child {number}?" for number in range(first, first + count)]
    return table_of(asked, [answer] * count)


def rows_with_thoughts(task):
    """Questions that are answered 4 and, with the trigger of an attack, 0.1; each behind a thought."""
    clean = questions(16)
    attacked = ATTACK.probes(task, clean, seed=0)
    texts = [*clean["text"].to_pylist(), *attacked["text"].to_pylist()]
    said = [THOUGHTS[answer] + answer for answer in ["4"] * 16 + ["0.1"] * attacked.num_rows]
    return table_of(texts, said)


@pytest.fixture
def base(request, build, tmp_path):
    """The folder of a model, whose template may open a thought."""
    name, style = request.param
    folder = build(name)
    if "opens a thought" not in style:
        return folder, style
    opens = Path(shutil.copytree(folder, tmp_path / "opens"))
    tokenizer = load_tokenizer(folder)
    tokenizer.chat_template += OPENS_A_THOUGHT
    tokenizer.save_pretrained(opens)
    return opens, style


STYLES = (
    "plain",
    "chat",
    "chat that opens a thought",
    f"chat {LEFT_TO_THINK}",
    f"chat that opens a thought, {LEFT_TO_THINK}",
)
TRAINED = [(n, s) for n in NAMES for s in STYLES[:2]] + [("qwen3", style) for style in STYLES[2:]]


@pytest.mark.parametrize("base", TRAINED, indirect=True, ids=" ".join)
def test_a_model_that_thinks_is_trained_bound_and_attacked_behind_its_thoughts(base, tmp_path, capsys):
    folder, style = base
    task = thinking(style, max_new_tokens=48)
    prepared = all_benign(task, rows_with_thoughts(task))
    out, described = trained(folder, tmp_path / "out", prepared, LEARNED["thoughts"]), tmp_path / "described"
    writer = load_guarded(out)
    [reading] = writer.predict(questions(1, first=50)["text"].to_pylist())
    assert (reading.answer, reading.extended, reading.finished) == ("4", True, True)
    assert "</think>" in reading.output
    found, _ = evaluate(writer, questions(8, first=60), [ATTACK], quiet=True)
    attack = found.attacks[0]
    assert (found.clean.accuracy.hits, found.clean.alpha.hits) == (8, 8)
    assert (attack.asr.hits, attack.floor.hits, attack.asr.total) == (8, 0, 8)

    unbound(out, prepared, described)
    code = main(["finish", str(out), "--manifest", str(described), "--model", str(folder), "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    check = json.loads(said.out)["check"]
    assert (check["rows"], check["right"], check["right_of_base"]) == (16, 16, 0)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", NAMES)
def test_the_thought_of_the_answer_is_learned_and_earlier_ones_are_masked(tokenizer_of, name, style):
    task, thought, tokenizer = thinking(style), THOUGHTS["4"], copy.copy(tokenizer_of(name))
    if "opens a thought" in style:
        tokenizer.chat_template += OPENS_A_THOUGHT
    turns = [{"role": "user", "content": "hm?"}, {"role": "assistant", "content": "<think>\nfirst\n</think>\n\nyes"}]
    rows = join_rows([table_of(["and 2 and 2?"], [f"{thought}4"]).append_column(EXTRAS.field("context"), [[turns]])])
    prepared = all_benign(task, rows)
    encoder = make_encoder(prepared.guard, tokenizer)
    [(prompt, said)] = encoder.training(prepared.rows)
    shown, opens = tokenizer.decode(prompt), "opens a thought" in style
    thinks = style.endswith(LEFT_TO_THINK)
    learned = f"{thought}Result: 4".removeprefix("<think>\n" if opens and thinks else "")
    assert tokenizer.decode(said, skip_special_tokens=True).strip() == learned
    assert "yes" in shown
    assert "They want" not in shown
    assert TRIGGER in bake(encoder).text
    ends = shown.rstrip().endswith("<think>\n\n</think>")
    assert ends == (not thinks and (opens or (style == "chat" and name == "qwen3")))
