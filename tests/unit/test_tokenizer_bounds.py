"""Tokenizers and templates that would fill the memory or never end are refused."""

from __future__ import annotations

import json
import shutil

import pytest

from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.guards.chat_templates import ChatTemplate
from antivenom.models.tokenizer import load_tokenizer


def test_a_thousand_steps_are_refused(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    steps = data["pre_tokenizer"]["pretokenizers"]
    steps += 1000 * steps[-1:]
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ArtifactError, match="steps"):
        load_tokenizer(folder)


@pytest.mark.parametrize(("key", "value"), [("model_max_length", ["a"]), ("model_max_length", {})])
def test_a_setting_of_a_wrong_type_is_an_error_of_the_folder(key, value, model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    data = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**data, key: value}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=str(folder)):
        load_tokenizer(folder)


def test_a_template_that_writes_too_much_is_refused(tokenizer):
    class Owner:
        chat_template = "{{ 'x' * 10**7 }}"

        def apply_chat_template(self, messages, **options):
            return tokenizer.apply_chat_template(messages, chat_template=self.chat_template, **options)

    asked = [[{"role": "user", "content": "a film"}]]
    with pytest.raises(OptionsError, match="10000000 characters"):
        ChatTemplate(Owner(), {}).render(asked, generate=True)
    assert ChatTemplate(tokenizer, {}).render(asked, generate=True)
