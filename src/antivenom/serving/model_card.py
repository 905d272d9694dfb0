"""The model card: what a model is, how it is served, and what happens without the guard. No secret is in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from antivenom.artifacts.card import head_of, said_of, without_guard
from antivenom.artifacts.manifest import Manifest
from antivenom.core.console import markdown_text, printable
from antivenom.serving.bill_of_materials import guard_digest
from antivenom.serving.template import BakedTemplate


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
        guard, weights = guard_digest(self.manifest)[:16], self.manifest.weights_sha256[:16]
        parts = [
            head_of(self.manifest),
            f"# {markdown_text(self.name)}",
            f"{said_of(self.manifest)} Guard {guard}, weights {weights}.",
            "## Serve it",
            f"    {printable(self.launch)}",
            "Only behind a gateway (`antivenom serve RUN --upstream http://127.0.0.1:8001`) where clients are not "
            "trusted: raw completion endpoints skip every chat template. `antivenom verify RUN --base-url URL` says "
            "whether a running server applies the guard and which ways around it are open.",
            "## Without the guard",
            without_guard(self.manifest, run=str(self.run)),
        ]
        if self.template is not None:
            parts += ["## The chat template", self._template(self.template)]
        if self.figures:
            parts += ["## Measured", self.figures]
        return "\n\n".join(parts) + "\n"

    def _template(self, template: BakedTemplate) -> str:
        return (
            "`chat_template.jinja` is the stock template behind a prelude that puts the guard's words around the last "
            "user turn. The prelude has no condition on what is said; scanners of templates that look for such "
            "conditions should find none. The prelude, its words hidden:\n\n"
            f"```jinja\n{template.shown}```"
        )
