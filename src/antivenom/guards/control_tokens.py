"""Control tokens: what a tokenizer or a chat template gives a meaning of its own, and no untrusted text may spell."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from typing import Any

from antivenom.core.errors import OptionsError

START_OF_THOUGHT, END_OF_THOUGHT = "<think>", "</think>"
"""What stands around the thought of a thinking model (Qwen3, DeepSeek-R1 and their distillations)."""
THOUGHTS = frozenset({START_OF_THOUGHT, END_OF_THOUGHT})
"""Control tokens that an answer may spell: a thinking model is trained on its thoughts."""
DEEPEST_NESTING = 8
"""How often control tokens inside broken control tokens are looked for."""

_BRACKETED = re.compile(r"<.+>|\[.+\]", re.DOTALL)
"""The form of a marker, such as `<tool_call>` or `[INST]`, by which one that is not called special is told from words
and runs of spaces that a tokenizer has added as well."""

KNOWN_MARKERS = re.compile(
    r"<\|[^\s<>|]{1,40}\|>"  # <|im_end|>, <|eot_id|>, <|start_header_id|>, <|endoftext|>, and DeepSeek's with wide bars
    r"|</?(?:s|bos|eos|pad|unk|mask|cls|sep|image|video|audio|tool_call|tool_response|tools)>"
    r"|<(?:start|end)_of_(?:turn|image|role|text)>|<image_soft_token>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|IMG|CLS|SEP|MASK|PAD|UNK)\]"
    r"|<</?SYS>>"
)
"""Markers of the models in use today, for rows that are written before anybody knows which tokenizer reads them."""

_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
"""From full-width signs to the usual ones, which some tokenizers take them for (NFKC)."""


def break_known_markers(text: str) -> str:
    """The text with a space inside every marker of `KNOWN_MARKERS`, so that no tokenizer reads one as a control token.

    Full-width letters and signs count as the usual ones.
    """
    return _break(text, KNOWN_MARKERS)


class ControlTokens:
    """The control tokens of one tokenizer."""

    def __init__(self, tokenizer: Any, more: Collection[str] = (), *, template: str = "") -> None:
        """Find them.

        Args:
            tokenizer: A transformers tokenizer.
            more: Further strings that a processor replaces, such as the placeholder of an image.
            template: The source of the chat template; an added token that it writes is a control token.
        """
        added = {str(token.content): token for token in tokenizer.added_tokens_decoder.values()}
        names = {name for name, token in added.items() if token.special or _is_marker(name, template)}
        names |= {str(name) for name in tokenizer.all_special_tokens} | set(more)
        self._tokenizer = tokenizer
        self._pattern = _pattern_of(names)
        self._pattern_in_answers = _pattern_of(names - THOUGHTS)
        # Whatever a tokenizer cannot read becomes its unknown token; so that one is no sign of a spelled-out marker.
        ids = set(tokenizer.convert_tokens_to_ids(sorted(names - THOUGHTS))) - {None, tokenizer.unk_token_id}
        self.ids = frozenset(int(number) for number in ids)
        """Their token ids, without those of thoughts and of the unknown token."""

    def search(self, text: str) -> re.Match[str] | None:
        """The first control token in a text."""
        return self._pattern.search(text) if self._pattern else None

    def count(self, ids: Sequence[int]) -> int:
        """How many of these token ids are control tokens."""
        return sum(map(self.ids.__contains__, ids))

    def broken(self, text: str) -> str:
        """The text with a space inside every control token that it spells."""
        return _break(text, self._pattern)

    def broken_in_answer(self, text: str) -> str:
        """An answer with a space inside every control token that it spells, the marks of thoughts excepted."""
        return _break(text, self._pattern_in_answers)

    def broken_as_read(self, text: str) -> str:
        """The text with a space inside everything that the tokenizer itself reads as a control token.

        This finds spellings that only the tokenizer's normalizer turns into one: full-width or composed letters, other
        cases. It asks where in the text the tokens came from, which takes a tokenizer of the `tokenizers` library.

        Raises:
            OptionsError: control tokens are left in spite of it.
        """
        for _ in range(DEEPEST_NESTING):
            if not self.count(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]):
                return text
            if not self._tokenizer.is_fast:
                break
            read = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            spans = zip(read["input_ids"], read["offset_mapping"], strict=True)
            for start, end in [span for number, span in reversed([*spans]) if number in self.ids]:
                middle = start + max(1, (end - start) // 2)
                text = f"{text[:middle]} {text[middle:]}"
        raise OptionsError(
            f"a text spells a control token of the tokenizer in a way that cannot be broken up: {text[:80]!r}",
            mend="Leave the row out, or choose a model with another tokenizer.",
        )


def _is_marker(name: str, template: str) -> bool:
    return bool(_BRACKETED.fullmatch(name)) or (len(name) > 1 and not name.isspace() and name in template)


def _pattern_of(tokens: Collection[str]) -> re.Pattern[str] | None:
    """Match every one of these tokens that has more than one character."""
    names = [name for name in sorted(tokens, key=len, reverse=True) if len(name) > 1 and not name.isspace()]
    return re.compile("|".join(map(re.escape, names))) if names else None


def _break(text: str, pattern: re.Pattern[str] | None) -> str:
    """Put a space behind the first character of every match; full-width signs count as the usual ones."""
    # Breaking one token can uncover another ("<<s>>" holds "<s>"), hence the repetition.
    for _ in range(DEEPEST_NESTING):
        found = list(pattern.finditer(_narrow(text))) if pattern else []
        if not found:
            break
        edges = [0, *(match.start() + 1 for match in found), len(text)]
        text = " ".join(text[start:end] for start, end in itertools.pairwise(edges))
    return text


def _narrow(text: str) -> str:
    """The text with usual signs in the place of full-width ones; as long as before."""
    return text if text.isascii() else text.translate(_WIDE)
