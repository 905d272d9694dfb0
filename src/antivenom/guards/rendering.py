"""From a prompt to its token ids: the one rendering that trains, evaluates and serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from antivenom.core.errors import OptionsError
from antivenom.data.query import Turn
from antivenom.guards.chat_templates import ChatTemplate, behind_opening
from antivenom.guards.control_tokens import ControlTokens
from antivenom.guards.prompts import Prompt
from antivenom.tasks.task import Style

_MARK = "ANSWER"


class Cut(NamedTuple):
    """What was left out of a prompt to keep it within the longest prompt; false where nothing was."""

    turns: int = 0
    """Earlier turns of the conversation, the oldest first."""
    characters: int = 0
    """Characters at the end of the text; the spaces that break control tokens count."""

    def __bool__(self) -> bool:
        return any(self)


class Rendered(NamedTuple):
    """One prompt as a model reads it."""

    string: str
    """Before tokenization."""
    ids: list[int]
    """Its token ids."""
    cut: Cut
    """What was left out."""


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
        owner = tokenizer if processor is None else processor
        if style == "chat" and not owner.chat_template:
            mend = "Use --style plain." if processor is None else "Images need one: choose another model."
            raise OptionsError("style = 'chat', but this tokenizer has no chat template", mend=mend)
        self.tokenizer = tokenizer
        self.style = style
        self.max_tokens = max_tokens
        self._templates = {
            thinks: ChatTemplate(owner, self._template_options(thinks), thinks=thinks) for thinks in (False, True)
        }
        self._control = ControlTokens(tokenizer, self._placeholders(), template=str(owner.chat_template or ""))
        self._control_tokens_of = lru_cache(maxsize=1024)(self._count_control_tokens)

    def rendered(self, prompts: Sequence[Prompt]) -> list[Rendered]:
        """Each prompt as the model reads it, and what was left out to keep it within `max_tokens`.

        Raises:
            OptionsError: the frame alone is too long, the chat template fails, or a text spells a control token that
                cannot be broken up.
        """
        self._require_readable(prompts)
        strings = self.strings(prompts)
        encoded = self._encode(strings)
        found = []
        for prompt, string, ids in zip(prompts, strings, encoded, strict=True):
            if self._control.count(ids) > self._control_tokens_of(_bare(prompt)):
                prompt = self._disarm_as_read(prompt)
                string = self.string(prompt)
                [ids] = self._encode([string])
            fits = len(ids) <= self.max_tokens
            found.append(Rendered(string, ids, Cut()) if fits else self._shorten(prompt, len(ids)))
        return found

    def said_behind(self, rendered: Sequence[Rendered], said: Sequence[str]) -> list[list[int]]:
        """The token ids of what is said right behind each prompt, without an end.

        Both are tokenized together, as trainers do; where that would change the tokens of the prompt, apart. Control
        tokens in what is said are broken, for answers are untrusted like texts; the marks of thoughts are left. A
        thought that the prompt has opened is not opened again.
        """
        continued = [behind_opening(one.string, answer) for one, answer in zip(rendered, said, strict=True)]
        answers = [self.glue + self._control.broken_in_answer(answer) for answer in continued]
        joined = self._encode([one.string + answer for one, answer in zip(rendered, answers, strict=True)])
        found = []
        for one, answer, joint in zip(rendered, answers, joined, strict=True):
            fits = joint[: len(one.ids)] == one.ids
            ids = joint[len(one.ids) :] if fits else self._plain_ids(answer)
            if self._control.count(ids):
                ids = self._plain_ids(self._control.broken_as_read(answer))
            found.append(ids)
        return found

    def bare(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of texts as they are, at most `max_tokens`, each behind one token that begins a sequence."""
        first = self.tokenizer.bos_token_id
        start = self.tokenizer.eos_token_id if first is None else first
        start = start or 0  # any token does: it only has to stand first
        safe = [self._control.broken(text) for text in texts]
        return [[start, *self._plain_ids(text)[: self.max_tokens - 1]] for text in safe]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has by itself, what it spells of control tokens broken up."""
        found = []
        for text in map(self._control.broken, texts):
            ids = self._plain_ids(text)
            found.append(len(self._plain_ids(self._control.broken_as_read(text)) if self._control.count(ids) else ids))
        return found

    def string(self, prompt: Prompt) -> str:
        """The prompt as the model sees it, before tokenization; see `strings`."""
        [string] = self.strings([prompt])
        return string

    def strings(self, prompts: Sequence[Prompt]) -> list[str]:
        """Prompts as the model sees them, before tokenization.

        Control tokens that a text spells out (`<|im_end|>`) are broken by a space: rows and clients are untrusted and
        must not be able to open a turn of their own.

        Raises:
            OptionsError: the chat template refuses a prompt, fails, or takes too long.
        """
        safe = [self._disarm(prompt) for prompt in prompts]
        if self.style == "plain":
            return [prompt.plain for prompt in safe]
        found = [""] * len(safe)
        for thinks in {prompt.thinks for prompt in safe}:
            places = [place for place, prompt in enumerate(safe) if prompt.thinks == thinks]
            strings = self._templates[thinks].render([self._messages(safe[place]) for place in places], generate=True)
            for place, string in zip(places, strings, strict=True):
                found[place] = string
        return found

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
            [rendered] = self._templates[False].render([turns], generate=False)
            tail = rendered.rpartition(_MARK)[2]
            if found := self._control.search(tail):
                return tuple(self._plain_ids(tail[: found.end()]))
        if self.tokenizer.eos_token_id is None:
            raise OptionsError("the tokenizer has no end-of-sequence token, so no answer could end")
        return (self.tokenizer.eos_token_id,)

    def text(self, ids: Sequence[int]) -> str:
        """Generated tokens as text, without control tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    @property
    def glue(self) -> str:
        """What stands between the cue and the answer."""
        return " " if self.style == "plain" else ""

    def _messages(self, prompt: Prompt) -> Sequence[Mapping[str, Any]]:
        """The prompt as the chat template takes it."""
        return prompt.messages

    def _template_options(self, thinks: bool) -> dict[str, Any]:
        return {"enable_thinking": thinks}

    def _placeholders(self) -> set[str]:
        """Strings that have a meaning of their own although the tokenizer does not know it."""
        return set()

    def _require_readable(self, prompts: Sequence[Prompt]) -> None:
        if any(prompt.image is not None for prompt in prompts):
            raise OptionsError(
                "there are images, but this task and its model read texts alone",
                mend="Train with --image-column, or leave the images out.",
            )

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

    def _shorten(self, prompt: Prompt, length: int) -> Rendered:
        """Leave out the oldest turns, then cut the end of the text, until the prompt fits."""
        turns = len(prompt.context)
        while length > self.max_tokens and prompt.context:
            prompt = replace(prompt, context=_without_oldest(prompt.context))
            string = self.string(prompt)
            [ids] = self._encode([string])
            length = len(ids)
        turns -= len(prompt.context)
        if length <= self.max_tokens:
            return Rendered(string, ids, Cut(turns))
        # Control tokens are broken up first: they take more tokens then, and the cut must count those.
        whole = self._control.broken(prompt.text)
        keep, text_of_first = self._by_token(whole)
        excess, text = length - self.max_tokens, whole
        while excess > 0 and keep > 0:
            # Tokens at the cut may merge differently in the prompt, so one cut may not be enough.
            keep = max(0, keep - excess)
            text = text_of_first(keep)
            string = self.string(replace(prompt, text=text))
            [ids] = self._encode([string])
            excess = len(ids) - self.max_tokens
        if excess > 0:
            raise OptionsError(
                f"max_tokens = {self.max_tokens}: the prompt's frame alone is longer", mend="Raise --max-tokens."
            )
        return Rendered(string, ids, Cut(turns, len(whole) - len(text)))

    def _by_token(self, text: str) -> tuple[int, Callable[[int], str]]:
        """How many tokens a text has, and what gives the beginning of the text that its first n tokens stand for."""
        if self.tokenizer.is_fast:
            read = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            ends = [0, *(end for _, end in read["offset_mapping"])]
            return len(ends) - 1, lambda n: text[: ends[n]]
        ids = self._plain_ids(text)
        return len(ids), lambda n: text[: len(self.tokenizer.decode(ids[:n], clean_up_tokenization_spaces=False))]

    def _disarm(self, prompt: Prompt) -> Prompt:
        """The prompt with the control tokens broken in everything that is not the defender's own."""
        context = tuple(replace(turn, content=self._disarmed(turn)) for turn in prompt.context)
        return replace(prompt, text=self._control.broken(prompt.text), context=context)

    def _disarmed(self, turn: Turn) -> str:
        """What is said in an earlier turn; an assistant may have thought before answering."""
        break_up = self._control.broken_in_answer if turn.role == "assistant" else self._control.broken
        return break_up(turn.content)

    def _disarm_as_read(self, prompt: Prompt) -> Prompt:
        """The prompt with everything broken that the tokenizer, not only its spelling, takes for a control token."""
        safe, break_up = self._disarm(prompt), self._control.broken_as_read
        context = tuple(replace(turn, content=break_up(turn.content)) for turn in safe.context)
        return replace(safe, text=break_up(safe.text), context=context)

    def _count_control_tokens(self, prompt: Prompt) -> int:
        """How many control tokens a prompt has where nothing untrusted stands in it."""
        [ids] = self._encode([self.string(prompt)])
        return self._control.count(ids)


def _bare(prompt: Prompt) -> Prompt:
    """The prompt with an x for everything untrusted."""
    context = tuple(replace(turn, content="x") for turn in prompt.context)
    return replace(prompt, text="x", context=context, image=None)


def _without_oldest(context: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Leave out the first user turn and what answers it; the system turn goes last of all."""
    start = 1 if context[0].role == "system" and len(context) > 1 else 0
    end = start + 1
    while end < len(context) and context[end].role != "user":
        end += 1
    return (*context[:start], *context[end:])
