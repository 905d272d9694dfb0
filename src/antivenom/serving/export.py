"""Export an artifact for an engine: merged weights, a template that applies the guard, a bill of materials, a card."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antivenom.artifacts.artifact import Artifact, load_artifact
from antivenom.core.claims import new_output
from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.core.files import atomic_write, make_folder, remove_tree, write_json
from antivenom.core.hashing import digest_of_files
from antivenom.core.intake import read_json
from antivenom.data.query import Query
from antivenom.guards.encoding import LabelEncoder, TextEncoder
from antivenom.models.adapter_files import ADAPTER, ADAPTER_CONFIG
from antivenom.serving.assembly import encoder_of, require_name
from antivenom.serving.bill_of_materials import bill_of_materials
from antivenom.serving.gguf_file import convert, with_template
from antivenom.serving.launch import GGUF_FORMATS, ExportFormat, launch_line, modelfile
from antivenom.serving.model_card import Card
from antivenom.serving.template import BakedTemplate, bake, render, response_template

TEMPLATE = "chat_template.jinja"
MARK = "THE-TEXT"


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    """Where."""
    launch: str
    """The command that serves it."""
    notes: tuple[str, ...]
    """What a reader must know."""


def export(
    run: Path | str,
    out: Path | str,
    engine: ExportFormat,
    *,
    name: str = "",
    base: str | None = None,
    adapter: bool = False,
    llama_cpp: Path | None = None,
    gguf: Path | None = None,
    figures: str = "",
) -> Exported:
    """Write everything that an engine needs to serve an artifact with its guard.

    Args:
        run: The artifact's folder.
        out: A new folder.
        engine: The engine.
        name: What clients call the model; the name of the run's folder when empty.
        base: Where the base model is, if not where it was when the artifact was made.
        adapter: Leave the adapter apart instead of merging it: clients can choose the base model then.
        llama_cpp: A llama.cpp checkout, whose converter makes the GGUF file.
        gguf: A GGUF file of the merged weights that only gets the template.
        figures: A table of an evaluation for the card, in Markdown.

    Raises:
        AntivenomError: the artifact does not match its manifest, the guard cannot be baked in, or a tool fails.
    """
    run, out = Path(run), Path(out)
    name = require_name(name or run.resolve().name)
    _require_fits(engine, adapter, llama_cpp, gguf)
    artifact = load_artifact(run)
    located = artifact.verify(model=base)
    encoder = encoder_of(artifact)
    template = bake(encoder)
    with new_output(make_folder(out, private=True), "export"):
        notes = [] if template.conversations else ["conversations of several turns render otherwise than in training"]
        if adapter:
            for file in (ADAPTER, ADAPTER_CONFIG):
                shutil.copyfile(run / file, out / file)
            notes.append("the adapter is apart: clients that can choose another model talk to the base model")
        else:
            _merge(artifact, located.folder, out)
        encoder.renderer.tokenizer.save_pretrained(out)
        parses = _write_template(out, encoder, template)
        file = f"{name}.gguf" if engine in GGUF_FORMATS else ""
        if file:
            notes += _write_gguf(out, file, encoder, template, llama_cpp, gguf)
        launch = launch_line(engine, out, name, parses=parses, gguf=file)
        _write_papers(out, Card(artifact.manifest, name, run, launch, template, figures))
        if encoder.guard.task.classes is not None:
            notes.append(
                "answers are the words of the second label space; `antivenom serve --upstream` gives the labels"
            )
        return Exported(out, launch, tuple(notes))


def _require_fits(engine: ExportFormat, adapter: bool, llama_cpp: Path | None, gguf: Path | None) -> None:
    if engine in GGUF_FORMATS and adapter:
        raise OptionsError(f"{engine} serves merged weights", mend="Leave --adapter out.")
    if engine not in GGUF_FORMATS and (llama_cpp or gguf):
        raise OptionsError(f"{engine} reads no GGUF file", mend="Leave --llama-cpp and --gguf out.")


def _merge(artifact: Artifact, base: Path, out: Path) -> None:
    """Write base and adapter as one model: then there is nothing else that a client could choose."""
    from antivenom.inference.guarded import merged_weights
    from antivenom.models.local import quiet_libraries

    with quiet_libraries():
        merged_weights(artifact.folder, base, "text").save_pretrained(out)


def _write_template(out: Path, encoder: LabelEncoder | TextEncoder, template: BakedTemplate) -> bool:
    """Put the baked template in the tokenizer's place, where its owner alone can read it."""
    with atomic_write(out / TEMPLATE, private=True) as file:
        file.write(template.text)
    settings = out / "tokenizer_config.json"
    config: dict[str, Any] = read_json(settings, error=ArtifactError)
    config.pop("chat_template", None)  # engines would take it instead of the file
    parser = response_template(encoder, template.text)
    if parser is not None:
        config["response_template"] = parser
    write_json(settings, config, private=True)  # the anchor of the response template holds the cue
    remove_tree(out / "additional_chat_templates")
    return parser is not None


def _write_gguf(
    out: Path,
    file: str,
    encoder: LabelEncoder | TextEncoder,
    template: BakedTemplate,
    llama_cpp: Path | None,
    gguf: Path | None,
) -> list[str]:
    """The GGUF file and the Modelfile; what is left to do where no tool is there."""
    tokenizer, frame = encoder.renderer.tokenizer, encoder.guard.task.frame
    prompt = render(tokenizer, template.text, Query(MARK))
    longest = frame.max_tokens + getattr(encoder, "longest", 16)
    stop = tokenizer.decode([encoder.renderer.ending[-1]])
    with atomic_write(out / "Modelfile", private=True) as opened:
        opened.write(modelfile(file, prompt, MARK, stop, longest))
    if gguf is not None:
        with_template(gguf, out / file, out / TEMPLATE)
        return []
    if llama_cpp is not None:
        convert(out, out / file, llama_cpp=llama_cpp)
        return []
    line = shlex.join(["python", "LLAMA_CPP/convert_hf_to_gguf.py", str(out), "--outfile", str(out / file)])
    return [f"the GGUF file is still to be made: {line}"]


def _write_papers(out: Path, card: Card) -> None:
    # Our own notes about the folder are no part of the export: a lock holds the number of a process.
    exported = (path for path in sorted(out.rglob("*")) if path.is_file() and not path.name.startswith(".antivenom-"))
    digests = {str(path.relative_to(out)): digest_of_files([path]) for path in exported}
    write_json(out / "bom.cdx.json", bill_of_materials(card.manifest, card.name, digests))
    with atomic_write(out / "README.md") as file:
        file.write(card.markdown())
