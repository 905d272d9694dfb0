"""Options of commands that can ask a served endpoint instead of loading the model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

if TYPE_CHECKING:
    from antivenom.serving.client import Endpoint

KEY_VARIABLE = "ANTIVENOM_API_KEY"


@Parameter(name="*", group="Endpoint")
@dataclass(frozen=True)
class EndpointOptions:
    """A served endpoint. Its API key, if it asks for one, is read from $ANTIVENOM_API_KEY."""

    base_url: str | None = None
    """Ask the server at this URL (OpenAI's interface) instead of loading the model."""
    served_name: str = ""
    """The model's name there; the name of the artifact's folder when empty."""
    concurrency: int = 16
    """Requests at a time."""

    def __bool__(self) -> bool:
        return self.base_url is not None

    def of(self, folder: Path) -> Endpoint:
        """The endpoint that serves the artifact in a folder."""
        from antivenom.serving.client import Endpoint

        name = self.served_name or folder.resolve().name
        return Endpoint(str(self.base_url), name, os.environ.get(KEY_VARIABLE, ""), self.concurrency)
