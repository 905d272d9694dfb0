"""Chat templates: programs of others, rendered so that they can neither hang nor fail in a way of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.core.intake import foreign
from antivenom.core.time_limits import time_limit
from antivenom.guards.control_tokens import END_OF_THOUGHT, START_OF_THOUGHT

SECONDS = 10.0
"""The time that rendering may take in any case; a usual template takes a tenth of a millisecond a prompt."""
SECONDS_PER_PROMPT = 0.05
MOST_CHARACTERS, MOST_TIMES = 200_000, 8
"""What a template may write for one prompt: so many characters, and so many times the prompt's own."""

Messages = Sequence[Mapping[str, Any]]


class ChatTemplate:
    """The chat template of a tokenizer or a processor."""

    def __init__(self, owner: Any, options: Mapping[str, Any], *, thinks: bool = False) -> None:
        """Bind it.

        Args:
            owner: A tokenizer or processor of transformers that has a chat template.
            options: Variables for the template.
            thinks: Whether a thinking model thinks before it answers.
        """
        self._owner = owner
        self._options = options
        self._thinks = thinks

    def render(self, conversations: Sequence[Messages], *, generate: bool) -> list[str]:
        """Write conversations as strings.

        A thinking model that is not to think answers without a thought: templates that can (Qwen3) write an empty one
        where the answer begins, and one that is opened there (DeepSeek-R1) is closed at once. So the answer prefix
        stands where answers start.

        Args:
            conversations: Chat messages.
            generate: Whether each ends where the assistant's answer begins.

        Raises:
            OptionsError: the template refuses the messages, fails, or takes too long.
        """
        seconds = SECONDS + SECONDS_PER_PROMPT * len(conversations)
        mend = "Use a model with another chat template, or --style plain."
        with (
            time_limit(seconds, "the tokenizer's chat template", error=OptionsError, mend=mend),
            foreign("the tokenizer's chat template fails", error=OptionsError, mend=mend),
        ):
            return [self._rendered(messages, generate) for messages in conversations]

    def _rendered(self, messages: Messages, generate: bool) -> str:
        try:
            rendered = str(
                self._owner.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=generate, **self._options
                )
            )
        except AntivenomError:
            raise
        except Exception as error:
            raise OptionsError(
                f"the tokenizer's chat template refuses the prompt ({self._reason(error)})",
                mend="Many templates know no system prompt: use --placement prefix, or --style plain.",
            ) from None
        if len(rendered) > MOST_CHARACTERS + MOST_TIMES * len(str(messages)):
            raise OptionsError(
                f"the tokenizer's chat template writes {len(rendered)} characters for one prompt",
                mend="Use a model with another chat template, or --style plain.",
            )
        opened = generate and not self._thinks and rendered.rstrip().endswith(START_OF_THOUGHT)
        return f"{rendered.rstrip()}\n\n{END_OF_THOUGHT}\n\n" if opened else rendered

    def _reason(self, error: Exception) -> str:
        """What a template says, where it says it of itself: what it puts together may quote the prompt, a secret."""
        said, template = str(error), self._owner.chat_template
        sources = template.values() if isinstance(template, dict) else [template]
        is_its_own = bool(said) and any(said in str(source) for source in sources)
        return said if is_its_own else f"{type(error).__name__}; its words are left out, for they may quote the prompt"


def opened_thought(string: str) -> str:
    """The beginning of a thought that a rendered prompt ends with; empty where there is none."""
    return string[string.rindex(START_OF_THOUGHT) :] if string.rstrip().endswith(START_OF_THOUGHT) else ""


def behind_opening(string: str, said: str) -> str:
    """What is said behind a rendered prompt, without the beginning of a thought where the prompt ends with one."""
    answer = said.lstrip()
    if not opened_thought(string) or not answer.startswith(START_OF_THOUGHT):
        return said
    return answer.removeprefix(START_OF_THOUGHT).lstrip("\n")
