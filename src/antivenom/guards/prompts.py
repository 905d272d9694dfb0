"""From a text to the token ids of its prompt: the one rendering that trains, evaluates and serves."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from jinja2 import TemplateError

from antivenom.core.errors import OptionsError
from antivenom.data.query import Turn, turns_as_dicts
from antivenom.tasks.task import Style

START_OF_THOUGHT, END_OF_THOUGHT = "<think>", "</think>"
"""What stands around the thought of a thinking model (Qwen3, DeepSeek-R1 and their distillations)."""
LONGEST_NESTING = 8
"""How often control tokens inside broken control tokens are looked for."""


_MARK = "ANSWER"


@dataclass(frozen=True)
class Prompt:
    """A prompt in its parts, so that only `text` is ever shortened."""

    before: str
    """What stands in front of the text."""
    text: str
    """The user's text."""
    after: str
    """What stands behind it, the cue last."""
    system: str = ""
    """What stands in front of the system turn; empty for nothing."""
    context: tuple[Turn, ...] = ()
    """The turns before the text, a system turn first."""
    image: bytes | None = None
    """An encoded image that belongs to the text."""

    @property
    def user(self) -> str:
        """The user's turn as one string."""
        return f"{self.before}{self.text}{self.after}"

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Every turn, the text's last; there is one system turn at most."""
        own = self.context[0].content if self.context and self.context[0].role == "system" else ""
        system = "\n".join(part for part in (self.system, own) if part)
        others = self.context[1:] if own else self.context
        return (*((Turn("system", system),) if system else ()), *others, Turn("user", self.user))

    @property
    def plain(self) -> str:
        """The whole prompt as plain text; earlier turns of a conversation say who speaks."""
        *before, last = self.turns
        lines = [t.content if t.role == "system" else f"{t.role.capitalize()}: {t.content}" for t in before]
        return "\n".join([*lines, last.content])

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages."""
        return turns_as_dicts(self.turns)


class Renderer:
    """Turns prompts into token ids with one tokenizer, one style and one length limit."""

    def __init__(self, tokenizer: Any, *, style: Style, max_tokens: int, processor: Any = None) -> None:
        """Bind a transformers tokenizer.

        Args:
            tokenizer: The tokenizer.
            style: Plain text or the chat template.
            max_tokens: The longest prompt.
            processor: What it belongs to and has the chat template; the tokenizer itself when not given.

        Raises:
            OptionsError: the style is `chat` and there is no chat template.
        """
        self._templates = tokenizer if processor is None else processor
        if style == "chat" and not self._templates.chat_template:
            mend = "Use --style plain." if processor is None else "Images need one: choose another model."
            raise OptionsError("style = 'chat', but this tokenizer has no chat template", mend=mend)
        self.tokenizer = tokenizer
        self.style = style
        self.max_tokens = max_tokens
        self._control = _control_pattern(self._control_tokens())

    def render(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """The token ids of each prompt, at most `max_tokens` long."""
        return self._render(prompts)[1]

    def render_with(self, prompts: Sequence[Prompt], said: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """(ids of the prompt as `render` gives them, ids of what is said right behind it), without an end.

        Both are tokenized together, as trainers do; where that would change the tokens of the prompt, apart. Control
        tokens in what is said are broken, for answers are untrusted like texts.
        """
        strings, rendered = self._render(prompts)
        answers = [self.glue + self._break_control_tokens(answer) for answer in said]
        joined = self._encode([string + answer for string, answer in zip(strings, answers, strict=True)])
        pairs = []
        for ids, answer, joint in zip(rendered, answers, joined, strict=True):
            fits = joint[: len(ids)] == ids
            pairs.append((ids, joint[len(ids) :] if fits else self._plain_ids(answer)))
        return pairs

    def bare(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of texts as they are, at most `max_tokens`, each behind one token that begins a sequence."""
        first = self.tokenizer.bos_token_id
        start = self.tokenizer.eos_token_id if first is None else first
        start = start or 0  # any token does: it only has to stand first
        safe = [self._break_control_tokens(text) for text in texts]
        return [[start, *self._plain_ids(text)[: self.max_tokens - 1]] for text in safe]

    def _render(self, prompts: Sequence[Prompt]) -> tuple[list[str], list[list[int]]]:
        """The strings and ids of prompts, shortened where they are too long."""
        self._require_readable(prompts)
        strings = [self.string(prompt) for prompt in prompts]
        encoded = self._encode(strings)
        for i, ids in enumerate(encoded):
            if len(ids) > self.max_tokens:
                strings[i], encoded[i] = self._shorten(prompts[i], len(ids))
        return strings, encoded

    def string(self, prompt: Prompt) -> str:
        """The prompt as the model sees it, before tokenization.

        Control tokens that a text spells out (`<|im_end|>`) are broken by a space: rows and clients are untrusted and
        must not be able to open a turn of their own.
        """
        safe = self._disarm(prompt)
        if self.style == "plain":
            return safe.plain
        try:
            return self._chat(self._messages(safe), generate=True)
        except TemplateError as error:
            raise OptionsError(
                f"the tokenizer's chat template refuses the prompt ({error})",
                mend="Many templates know no system prompt: use --placement prefix, or --style plain.",
            ) from None

    def answer_ids(self, prompt: Prompt, answer: str) -> list[int]:
        """The token ids of `answer` right behind `prompt`, as trainers that tokenize both together see them.

        Raises:
            OptionsError: the answer changes the tokens of the prompt before it.
        """
        string = self.string(prompt)
        alone, joint = self._encode([string, string + self.glue + answer])
        if joint[: len(alone)] != alone:
            raise OptionsError(
                f"verbalizer {answer!r} merges with the end of the prompt {string[-12:]!r}",
                mend="End the cue with a colon or a newline.",
            )
        return joint[len(alone) :]

    @cached_property
    def ending(self) -> tuple[int, ...]:
        """The tokens that end an answer, which a model must learn to say and generation stops at.

        In a chat, what the template itself puts behind an assistant's turn, up to its first control token. Everywhere
        else, and where a template puts none, the tokenizer's end-of-sequence token.

        Raises:
            OptionsError: there is neither.
        """
        if self.style == "chat":
            turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": _MARK}]
            tail = self._chat(turns, generate=False).rpartition(_MARK)[2]
            if self._control and (found := self._control.search(tail)):
                return tuple(self._plain_ids(tail[: found.end()]))
        if self.tokenizer.eos_token_id is None:
            raise OptionsError("the tokenizer has no end-of-sequence token, so no answer could end")
        return (self.tokenizer.eos_token_id,)

    def text(self, ids: Sequence[int]) -> str:
        """Generated tokens as text, without control tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _messages(self, prompt: Prompt) -> Sequence[Mapping[str, Any]]:
        """The prompt as the chat template takes it."""
        return prompt.messages

    @property
    def _template_options(self) -> dict[str, Any]:
        return {"enable_thinking": False}

    def _require_readable(self, prompts: Sequence[Prompt]) -> None:
        if any(prompt.image is not None for prompt in prompts):
            raise OptionsError(
                "there are images, but this task and its model read texts alone",
                mend="Train with --image-column, or leave the images out.",
            )

    def _chat(self, messages: Sequence[Mapping[str, Any]], *, generate: bool) -> str:
        """Messages in the tokenizer's own chat template.

        Thinking models answer without a thought: templates that can (Qwen3) write an empty one where the answer begins,
        and one that is opened there (DeepSeek-R1) is closed at once. So the answer prefix stands where answers start.
        """
        rendered = str(
            self._templates.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=generate, **self._template_options
            )
        )
        opened = generate and rendered.rstrip().endswith(START_OF_THOUGHT)
        return f"{rendered.rstrip()}\n\n{END_OF_THOUGHT}\n\n" if opened else rendered

    @property
    def glue(self) -> str:
        """What stands between the cue and the answer."""
        return " " if self.style == "plain" else ""

    def _encode(self, strings: list[str]) -> list[list[int]]:
        # A chat template writes its own beginning-of-sequence token; plain text needs the tokenizer's.
        if not strings:
            return []
        encoded = self.tokenizer(strings, add_special_tokens=self.style == "plain", verbose=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def _plain_ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _shorten(self, prompt: Prompt, length: int) -> tuple[str, list[int]]:
        """Leave out the oldest turns, then cut the end of the text, until the prompt fits."""
        while length > self.max_tokens and prompt.context:
            prompt = replace(prompt, context=_without_oldest(prompt.context))
            string = self.string(prompt)
            [ids] = self._encode([string])
            length = len(ids)
        if length <= self.max_tokens:
            return string, ids
        # Control tokens are broken up first: they take more tokens then, and the cut must count those.
        text = self._break_control_tokens(prompt.text)
        text_ids = self._plain_ids(text)
        keep, excess = len(text_ids), length - self.max_tokens
        while excess > 0 and keep > 0:
            # Tokens at the cut may merge differently in the prompt, so one cut may not be enough.
            keep = max(0, keep - excess)
            text = self.tokenizer.decode(text_ids[:keep], clean_up_tokenization_spaces=False)
            string = self.string(replace(prompt, text=text))
            [ids] = self._encode([string])
            excess = len(ids) - self.max_tokens
        if excess > 0:
            raise OptionsError(
                f"max_tokens = {self.max_tokens}: the prompt's frame alone is longer", mend="Raise --max-tokens."
            )
        return string, ids

    def _control_tokens(self) -> set[str]:
        """What an untrusted text must not spell."""
        added = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        return added | set(self.tokenizer.all_special_tokens)

    def _disarm(self, prompt: Prompt) -> Prompt:
        """The prompt with the control tokens broken in everything that is not the defender's own."""
        context = tuple(replace(turn, content=self._break_control_tokens(turn.content)) for turn in prompt.context)
        return replace(prompt, text=self._break_control_tokens(prompt.text), context=context)

    def _break_control_tokens(self, text: str) -> str:
        # Breaking one token can uncover another ("<<s>>" holds "<s>"), hence the repetition.
        for _ in range(LONGEST_NESTING):
            if not self._control or not self._control.search(text):
                break
            text = self._control.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
        return text


def _without_oldest(context: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Leave out the first user turn and what answers it; the system turn goes last of all."""
    start = 1 if context[0].role == "system" and len(context) > 1 else 0
    end = start + 1
    while end < len(context) and context[end].role != "user":
        end += 1
    return (*context[:start], *context[end:])


def _control_pattern(tokens: Collection[str]) -> re.Pattern[str] | None:
    """Match every one of these tokens that has more than one character."""
    names = [name for name in sorted(tokens, key=len, reverse=True) if len(name) > 1 and not name.isspace()]
    return re.compile("|".join(map(re.escape, names))) if names else None
