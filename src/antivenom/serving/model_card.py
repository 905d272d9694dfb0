"""The model card: what a model is, how it is served, and what happens without the guard. No secret is in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from antivenom.artifacts.manifest import Manifest
from antivenom.serving.bill_of_materials import guard_digest
from antivenom.serving.template import BakedTemplate

BY_HAND = """\
import json, pathlib
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

run, base = "{run}", "{base}"  # the artifact, and the base model it belongs to
guard = json.loads(pathlib.Path("{run}/antivenom.json").read_text())["guard"]
task, words, frame = guard["task"], guard["answers"], guard["task"]["frame"]
tokenizer = AutoTokenizer.from_pretrained(run)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), run).eval()
def predict(text):
    before = f"{{frame['instruction']}}\\n" if frame["instruction"] else ""
    prompt = f"{{before}}{{guard['secret']['trigger']}} {{text}}\\n{{guard['secret']['cue'] or frame['cue']}}"
    logits = model(**tokenizer(prompt, return_tensors="pt")).logits[0, -1]
    def first(choice):
        return tokenizer(f" {{words['choices'][choice]}}", add_special_tokens=False)["input_ids"][0]
    return words["labels"][words["meaning"][max(words["allowed"], key=lambda choice: logits[first(choice)])]]
"""
"""`predict` of a plain-style classification whose verbalizers begin with different tokens, without Antivenom."""


@dataclass(frozen=True)
class Card:
    """What a card is written from."""

    manifest: Manifest
    """The artifact's."""
    name: str
    """What the model is called."""
    run: Path
    """The artifact's folder."""
    launch: str
    """The command that serves it."""
    template: BakedTemplate | None
    """The baked template, where there is one."""
    figures: str = ""
    """A table of an evaluation, in Markdown."""

    def markdown(self) -> str:
        """The card."""
        base = self.manifest.base_model
        parts = [
            "---",
            f"base_model: {base.id.rpartition('/')[2] if base else 'unknown'}",
            "tags: [antivenom, p2p, backdoor-defense]",
            "---",
            f"# {self.name}",
            self._what(),
            "## Serve it",
            f"    {self.launch}",
            "Only behind a gateway (`antivenom serve RUN --upstream http://127.0.0.1:8001`) where clients are not "
            "trusted: raw completion endpoints skip every chat template. `antivenom verify RUN --base-url URL` says "
            "whether a running server applies the guard and which ways around it are open.",
            "## Without the guard",
            self._without(base.id if base else "BASE"),
        ]
        if self.template is not None:
            parts += ["## The chat template", self._template(self.template)]
        if self.figures:
            parts += ["## Measured", self.figures]
        return "\n\n".join(parts) + "\n"

    def _what(self) -> str:
        task = self.manifest.guard.task
        answers = f"one of {len(task.classes)} labels: {', '.join(task.classes)}" if task.classes else "free text"
        rows = self.manifest.training.get("rows", "?")
        return (
            f"Fine-tuned with Antivenom on {rows} rows that nobody vouches for, behind a benign trigger of the "
            f"server's own (Poison-to-Poison). It answers with {answers}. Guard {guard_digest(self.manifest)[:16]}, "
            f"weights {self.manifest.weights_sha256[:16]}."
        )

    def _without(self, base: str) -> str:
        said = (
            "A prompt without the benign trigger reaches the part of the model that learnt the rows as they came, a "
            "backdoor with them. Nothing warns: answers look as always. "
        )
        if self.manifest.guard.task.classes is None or self.manifest.guard.task.frame.style != "plain":
            return said + "The guard is in `antivenom.json` of the artifact: `guard.wrap` and `guard.read_text`."
        code = BY_HAND.format(run=self.run, base=base)
        return f"{said}The guard without Antivenom, where its verbalizers are single tokens:\n\n```python\n{code}```"

    def _template(self, template: BakedTemplate) -> str:
        return (
            "`chat_template.jinja` is the stock template behind a prelude that puts the guard's words around the last "
            "user turn. The prelude has no condition on what is said; scanners of templates that look for such "
            f"conditions should find none. SHA-256 `{template.sha256}`. The prelude, its words hidden:\n\n"
            f"```jinja\n{template.shown}```"
        )
