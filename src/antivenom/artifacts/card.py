"""The card in an artifact's folder (`README.md`): what it is, how to use it, and what happens without the guard.

No secret and no path of this machine is in it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from antivenom.artifacts.manifest import Manifest
from antivenom.core.console import markdown_text, printable
from antivenom.core.files import atomic_write
from antivenom.guards.guard import Guard

CARD = "README.md"
SHOWN_LABELS = 50
PLAIN_NAME = re.compile(r"[A-Za-z][\w.\-]*")
"""What YAML reads as the string that it is; any other name is quoted."""
BY_HAND = """\
import json, pathlib, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

run = {run}  # the artifact
base = {base}  # the model it belongs to
guard = json.loads(pathlib.Path(run, "antivenom.json").read_text())["guard"]
words, frame, secret = guard["answers"], guard["task"]["frame"], guard["secret"]
tokenizer = AutoTokenizer.from_pretrained(run)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), run).eval()
def likelihood(text, choice):
    asked = tokenizer({prompt})["input_ids"]
    said = tokenizer(f" {{words['choices'][choice]}}", add_special_tokens=False)["input_ids"]
    logits = model(input_ids=torch.tensor([asked + said])).logits[0, len(asked) - 1 : -1]
    return logits.log_softmax(-1)[range(len(said)), said].sum().item()
def predict(text):
    return words["labels"][words["meaning"][max(words["allowed"], key=lambda choice: likelihood(text, choice))]]
"""
"""`predict` of a plain-style classification, without Antivenom."""


def write_card(folder: Path, manifest: Manifest) -> None:
    """Write the card of an artifact into its folder, in the place of one that is there."""
    base = manifest.base_model
    name = base.id.rpartition("/")[2] if base else "unknown"
    parts = [
        head_of(manifest),
        "# A guarded model",
        f"{said_of(manifest)} Base model: {markdown_text(name)}, SHA-256 {base.sha256 if base else 'unknown'}.",
        "## Use it",
        'Run these in the folder above this one:\n\n    antivenom predict FOLDER "a text"\n    antivenom show FOLDER\n'
        "    antivenom serve FOLDER",
        "`antivenom.json` is the guard: what wraps every input and reads every output. It holds the benign trigger, a "
        "secret: publish the weights without it only to those who shall not have the guarded half.",
        "## Without the guard",
        without_guard(manifest, run="FOLDER"),
    ]
    with atomic_write(folder / CARD) as file:
        file.write("\n\n".join(parts) + "\n")


def head_of(manifest: Manifest) -> str:
    """The front matter that model hubs read."""
    base = manifest.base_model
    name = printable(base.id.rpartition("/")[2]) if base else "unknown"
    lines = ["---", f"base_model: {name if PLAIN_NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)}"]
    return "\n".join([*lines, "tags: [antivenom, p2p, backdoor-defense]", "---"])


def said_of(manifest: Manifest) -> str:
    """What was trained, on what, and what it answers with."""
    classes = manifest.guard.task.classes
    answers = "free text" if classes is None else _labels(classes)
    rows = manifest.training.get("rows", "?")
    behind = "behind a benign trigger of the server's own (Poison-to-Poison)"
    guarded = behind if manifest.guard.secret.trigger else "without a defense: it is NOT guarded against a backdoor"
    return f"Fine-tuned with Antivenom on {rows} rows that nobody vouches for, {guarded}. It answers with {answers}."


def without_guard(manifest: Manifest, *, run: str) -> str:
    """What happens without the guard, and how to apply it by hand.

    Args:
        manifest: The artifact's.
        run: What to call its folder.
    """
    said = (
        "A prompt without the benign trigger reaches the part of the model that learned the rows as they came, a "
        "backdoor with them. Nothing warns: answers look as always. "
    )
    task = manifest.guard.task
    if task.classes is None or task.frame.style != "plain":
        return said + "The guard is in `antivenom.json` of the artifact: `guard.wrap` and `guard.read_text`."
    code = BY_HAND.format(run=json.dumps(run), base=_base(manifest), prompt=prompt_by_hand(manifest.guard))
    return f"{said}The guard without Antivenom, for texts that need not be cut:\n\n```python\n{code}```"


def prompt_by_hand(guard: Guard) -> str:
    """Python that makes the plain-style prompt of `text`, out of `frame` and `secret` of the manifest's guard.

    The secret itself is not in it: cards are published.
    """
    instruction = r"{frame['instruction']}\n" if guard.task.frame.instruction else ""
    cue = "{secret['cue']}" if guard.secret.cue else "{frame['cue']}"
    if not guard.secret.trigger:
        return f'f"{instruction}{{text}}\\n{cue}"'
    if guard.placement == "prefix":
        return f"f\"{instruction}{{secret['trigger']}} {{text}}\\n{cue}\""
    return f"f\"{{secret['trigger']}}\\n{instruction}{{text}}\\n{cue}\""


def _base(manifest: Manifest) -> str:
    """Python that gives the base model: its name, or its way from the artifact's folder."""
    name = manifest.base_model.id if manifest.base_model else "BASE_MODEL"
    return f"str(pathlib.Path(run, {name!r}).resolve())" if name.startswith(".") else repr(name)


def _labels(classes: tuple[str, ...]) -> str:
    shown = ", ".join(markdown_text(label) for label in classes[:SHOWN_LABELS])
    more = f" and {len(classes) - SHOWN_LABELS} more" if len(classes) > SHOWN_LABELS else ""
    return f"one of {len(classes)} labels: {shown}{more}"
