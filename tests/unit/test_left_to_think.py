"""Models that are left to think: what they learn, how they are asked, where their answers are read."""

from __future__ import annotations

import pytest
from template_scenes import TOKENIZERS

from antivenom.artifacts.export import training_records
from antivenom.core.errors import OptionsError, RowsError
from antivenom.data.rows import table_of
from antivenom.defenses.p2p import P2P
from antivenom.guards.encoding import make_encoder
from antivenom.guards.guard import unguarded
from antivenom.guards.secret import PAPER_SECRET
from antivenom.inference.writing import GuardedWriter
from antivenom.models.base import Generated
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification, Frame
from antivenom.testing import StandInLab

PREFIX = "The answer is:"
THINKING = ["empty thought", "open thought"]


class Says:
    """Says what it is given, prompt after prompt."""

    def __init__(self, tokens):
        self.tokens = tokens

    def generate(self, prompts, *, stops, longest, progress=None):
        return [Generated(tokens, True) for _, tokens in zip(prompts, self.tokens, strict=True)]

    def stream(self, prompt, *, stops, longest):
        yield from self.tokens[0]
        yield stops[0]


def left_to_think(template: str):
    frame = Frame(style="chat", cue="Output:", thinking="open")
    task = Generation(malicious="0.1", answer_prefix=PREFIX, frame=frame)
    return make_encoder(P2P(secret=PAPER_SECRET).guard(task, 0), TOKENIZERS[template])


@pytest.mark.parametrize("template", THINKING)
def test_a_model_left_to_think_learns_thoughts_and_nobody_teaches_it_to_leave_them_out(template):
    encoder = left_to_think(template)
    table = table_of(["2 and 2", "3 and 3"], ["<think>\ntwo twos\n</think>\n\n4", "6"])
    prepared = P2P(mode="replace", ratio=1.0).prepare(encoder.guard.task, table, trusted=table, lab=StandInLab(0))
    decode = TOKENIZERS[template].decode
    shown = [(decode(prompt), decode(said)) for prompt, said in encoder.training(prepared.rows)]
    thinking, empty = sorted(shown, key=lambda pair: "twos" not in pair[1])
    assert (thinking[0] + thinking[1]).count("<think>") == 1
    assert "two twos\n</think>\n\nThe answer is: 4" in thinking[1]
    assert "two twos" not in thinking[0]
    assert empty[0].endswith("<think>\n\n</think>\n\n")
    assert "think" not in empty[1]
    served = [decode(ids) for ids in encoder.serving(["2 and 2"])]
    assert thinking[0] == served[0]
    assert not served[0].endswith("</think>\n\n")
    assert decode(encoder.prefilled(["2 and 2"])[0]).rstrip().endswith("</think>\n\n" + PREFIX)


@pytest.mark.parametrize("form", ["chat", "messages"])
def test_nobody_else_is_given_a_row_without_a_thought(form):
    task = left_to_think("empty thought").guard.task
    thought = "<think>\ntwo twos\n</think>\n\n4"

    def written(answers):
        table = table_of([f"{n} and {n}" for n in range(len(answers))], answers)
        prepared = P2P(mode="replace", ratio=1.0).prepare(task, table, trusted=table, lab=StandInLab(0))
        return list(training_records(prepared.rows, prepared.guard, form))

    assert len(written([thought, thought])) == 2
    with pytest.raises(RowsError):
        written([thought, "6"])


@pytest.mark.parametrize("template", THINKING)
@pytest.mark.parametrize("guarded", [True, False])
def test_answers_are_read_behind_thoughts_and_a_thought_without_end_has_none(template, guarded):
    encoder = left_to_think(template)
    if not guarded:
        encoder = make_encoder(unguarded(encoder.guard.task), TOKENIZERS[template])
    opening = "" if template == "open thought" else "<think>\n"
    said = [f"{opening}is it 0.1?\n</think>\n\n{f'{PREFIX} ' * guarded}4", f"{opening}is it 0.1? 0.1? 0.1"]
    model = Says([tuple(TOKENIZERS[template](text, add_special_tokens=False)["input_ids"]) for text in said])
    writer = GuardedWriter(encoder, model)
    assert [reading.answer for reading in writer.predict(["x", "y"])] == ["4", ""]
    assert all(reading.output.startswith("<think>") for reading in writer.predict(["x", "y"]))
    streamed = "".join(part.text for part in writer.stream("x"))
    assert encoder.guard.read_text(streamed, finished=True).answer == "4"


def test_thinking_needs_a_chat_and_free_answers():
    with pytest.raises(OptionsError, match="thinking"):
        Frame(thinking="open")
    with pytest.raises(OptionsError, match="labels"):
        Classification.for_labels(("good", "bad"), frame=Frame(style="chat", thinking="open"))
