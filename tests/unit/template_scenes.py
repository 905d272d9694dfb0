"""Tokenizers with the chat templates that there are: without system turns, with empty or opened thoughts."""

from __future__ import annotations

import copy

from antivenom.testing import tiny_tokenizer
from antivenom.testing.tiny_models import CHAT_TEMPLATE

NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% if m.role == 'user' %}<|im_start|>user: {{ m.content | trim }} {% else %}<|im_start|>model: "
    "{{ m.content | trim }}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>model:{% endif %}"
)
# Like Qwen3: the generation prompt closes an empty thought when thinking is off.
EMPTY_THOUGHT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>"
    "\n\n{% endif %}{{ m.content.split('</think>')[-1].lstrip('\n') if m.role == 'assistant' else m.content }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
# Like the DeepSeek-R1 distillations: the generation prompt opens a thought whatever is asked.
OPEN_THOUGHT = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}"
    "<|im_start|>{{ m.content }}{% else %}<|im_end|>{{ m.content.split('</think>')[-1] }}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_end|><think>\n{% endif %}"
)
TEMPLATES = {
    "base": None,
    "chat": CHAT_TEMPLATE,
    "no system": NO_SYSTEM,
    "empty thought": EMPTY_THOUGHT,
    "open thought": OPEN_THOUGHT,
}


def tokenizer_with(template):
    found = copy.deepcopy(BASE)
    found.chat_template = template or CHAT_TEMPLATE
    return found


BASE = tiny_tokenizer()
TOKENIZERS = {name: tokenizer_with(template) for name, template in TEMPLATES.items()}


def ids_of(renderer, prompts):
    """The token ids of prompts."""
    return [one.ids for one in renderer.rendered(prompts)]
