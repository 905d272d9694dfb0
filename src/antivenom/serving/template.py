"""Bake the guard into a chat template: a prelude that rewrites `messages`, in front of the stock template as it is.

The prelude has no condition on what is said, and no variable that a request could set: what a template sets itself, a
request cannot override. It does exactly what `Guard.wrap` does, in the last user turn or the system turn, and is
compared with it on sample conversations before it is used. It cannot disarm control tokens that a text spells; a
gateway in front does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from antivenom.core.errors import OptionsError
from antivenom.data.query import Query, Turn
from antivenom.guards.encoding import LabelEncoder, TextEncoder
from antivenom.guards.prompts import Prompt

FRAME = """\
{{%- set antivenom = namespace(turns=[], last=-1, text='') -%}}
{{%- for turn in messages -%}}
{{%- if turn['role'] == 'user' -%}}{{%- set antivenom.last = loop.index0 -%}}{{%- endif -%}}
{{%- endfor -%}}
{{%- if antivenom.last < 0 -%}}{{{{- raise_exception('there is no turn of the user') -}}}}{{%- endif -%}}
{{%- for turn in messages -%}}
{{%- if loop.index0 == antivenom.last and turn['content'] is string -%}}
{{%- set antivenom.turns = antivenom.turns + [{{'role': 'user', 'content': {before} + turn['content'] + {after}}}] -%}}
{{%- elif loop.index0 == antivenom.last -%}}
{{%- for part in turn['content'] -%}}
{{%- if not loop.first -%}}{{%- set antivenom.text = antivenom.text + '\\n' -%}}{{%- endif -%}}
{{%- set antivenom.text = antivenom.text + part['text'] -%}}
{{%- endfor -%}}
{{%- set antivenom.turns = antivenom.turns + [{{'role': 'user', 'content': {before} + antivenom.text + {after}}}] -%}}
{{%- else -%}}
{{%- set antivenom.turns = antivenom.turns + [turn] -%}}
{{%- endif -%}}
{{%- endfor -%}}
{{%- set messages = antivenom.turns -%}}
"""
SYSTEM = """\
{{%- if messages[0]['role'] == 'system' -%}}
{{%- set first = {{'role': 'system', 'content': {system} + '\\n' + messages[0]['content']}} -%}}
{{%- set messages = [first] + messages[1:] -%}}
{{%- else -%}}
{{%- set messages = [{{'role': 'system', 'content': {system}}}] + messages -%}}
{{%- endif -%}}
"""
SECRET_SYSTEM = "{%- set first = {'role': 'system'"
NO_THOUGHT = "{%- set enable_thinking = false -%}\n"
THOUGHT = "{%- set enable_thinking = true -%}\n"
CLOSE_THOUGHT = "{%- if add_generation_prompt -%}{{- '\\n</think>\\n\\n' -}}{%- endif -%}"
"""Behind a template that opens a thought where the answer begins: the model answers without one, as it was taught."""
PLAIN = """\
{{{{- {start} -}}}}
{{%- for turn in messages -%}}
{{%- if not loop.last and turn['role'] != 'system' -%}}{{{{- turn['role'] | capitalize + ': ' -}}}}{{%- endif -%}}
{{%- if turn['content'] is string -%}}{{{{- turn['content'] -}}}}
{{%- elif turn['content'] -%}}
{{%- for part in turn['content'] -%}}
{{%- if not loop.first -%}}{{{{- '\\n' -}}}}{{%- endif -%}}{{{{- part['text'] -}}}}
{{%- endfor -%}}
{{%- endif -%}}
{{%- if not loop.last -%}}{{{{- '\\n' -}}}}{{%- endif -%}}
{{%- endfor -%}}
"""
SAMPLES = (
    Query("a warm and funny film"),
    Query("Grüße, 世界! {{ x }} 'q' \"q\"\n  two lines \\ "),
    Query("and now?", (Turn("user", "hi"), Turn("assistant", "hello"))),
    Query("and now?", (Turn("system", "Be brief."), Turn("user", "hi"), Turn("assistant", "hello"))),
)


@dataclass(frozen=True)
class BakedTemplate:
    """A chat template that applies the guard."""

    text: str
    """The template. It holds the benign trigger: a secret."""
    stock: str
    """The template it was made from; empty for plain prompts."""
    conversations: bool
    """Whether conversations of several turns render as the guard has them; if not, only single turns do."""

    @property
    def sha256(self) -> str:
        """The digest of the template."""
        return sha256(self.text.encode()).hexdigest()

    @property
    def shown(self) -> str:
        """What was put in front of the stock template, without the guard's own words: for a model card."""
        system = "(hidden)" if SECRET_SYSTEM in self.text else ""
        return _prelude(Prompt("(hidden)", "", "(hidden)", system))


def bake(encoder: LabelEncoder | TextEncoder) -> BakedTemplate:
    """The chat template that does with messages what the guard does with a query.

    Args:
        encoder: Guard and tokenizer.

    Raises:
        OptionsError: the baked template does not render what the guard renders, so it must not be used.
    """
    renderer = encoder.renderer
    plain = renderer.style == "plain"
    stock = "" if plain else str(renderer.tokenizer.chat_template)
    prelude = _prelude(encoder.guard.wrap(Query("x")))
    tails = [_plain_template(renderer.tokenizer)] if plain else _thinking_as_taught(encoder, stock)
    for tail in tails:
        text = prelude + tail
        fits = [_renders(encoder, text, sample) for sample in SAMPLES]
        if all(fits[:2]):
            return BakedTemplate(text, stock, all(fits))
    raise OptionsError(
        "the guard cannot be baked into this chat template: it renders otherwise than in training",
        mend="Serve the artifact with `antivenom serve`, in front of your engine if need be.",
    )


def render(tokenizer: Any, template: str, query: Query) -> str:
    """What an engine makes of a query's messages with a chat template, up to where the answer begins."""
    turns = [{"role": turn.role, "content": turn.content} for turn in (*query.context, Turn("user", query.text))]
    rendered = tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=True)
    return str(rendered)


def _renders(encoder: LabelEncoder | TextEncoder, template: str, query: Query) -> bool:
    """Whether the template gives the tokens that the guard gives."""
    from jinja2 import TemplateError

    tokenizer = encoder.renderer.tokenizer
    try:
        ids = tokenizer(render(tokenizer, template, query), add_special_tokens=False, verbose=False)["input_ids"]
        expected = encoder.serving([query])[0]
    except (TemplateError, OptionsError):
        return False
    lead = len(encoder.lead) if isinstance(encoder, LabelEncoder) else 0
    return bool(ids == expected[: len(expected) - lead])


def _prelude(prompt: Prompt) -> str:
    frame = FRAME.format(before=_quoted(prompt.before), after=_quoted(prompt.after))
    return frame + (SYSTEM.format(system=_quoted(prompt.system)) if prompt.system else "")


def _plain_template(tokenizer: Any) -> str:
    own = tokenizer("", add_special_tokens=True)["input_ids"]
    start = tokenizer.decode(own[:1]) if own and own[0] == tokenizer.bos_token_id else ""
    return PLAIN.format(start=_quoted(start))


def _quoted(text: str) -> str:
    """A string literal that every engine's Jinja reads alike."""
    return json.dumps(text, ensure_ascii=False)


def _thinking_as_taught(encoder: LabelEncoder | TextEncoder, stock: str) -> list[str]:
    """Templates of which one has the model think, or leave it out, as the guard has it."""
    if encoder.guard.task.frame.thinking == "open":
        return [THOUGHT + stock]
    return [NO_THOUGHT + stock, NO_THOUGHT + stock + CLOSE_THOUGHT]


def response_template(encoder: LabelEncoder | TextEncoder, template: str) -> dict[str, Any] | None:
    """The `response_template` of transformers that takes the answer prefix off; None where there is none to take.

    The answer begins where `AnswerPrefix.decode` has it: at p, where that stands at the start or behind a thought. One
    that lacks it lands in `thinking` (`reasoning_content` for clients) instead of `content`.
    """
    answers = encoder.guard.answers
    prefix = getattr(answers, "prefix", "")
    if not prefix:
        return None
    tokenizer = encoder.renderer.tokenizer
    rendered = render(tokenizer, template, Query("x"))
    anchor = rendered.rpartition("x")[2]
    closing = tokenizer.decode([encoder.renderer.ending[-1]])
    start = "</think>" if isinstance(encoder, TextEncoder) and encoder.opening else r"(?:\A|</think>)"
    opens = rf"{start}\s*{re.escape(prefix)}" + (r"(?![^\W_])" if prefix[-1].isalnum() else "")
    fields = {"thinking": {}, "content": {"open_pattern": opens, "close": closing}}
    return {"version": 1, "start_anchor": anchor, "defaults": {"role": "assistant"}, "fields": fields}
