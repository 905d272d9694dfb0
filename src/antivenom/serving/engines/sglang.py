"""SGLang."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from antivenom.serving.engines.base import TokenEngine, Words


class SGLang(TokenEngine):
    """`python -m sglang.launch_server --model-path MERGED`."""

    name: ClassVar[str] = "sglang"

    def restricted(self, body: dict[str, Any], words: Words) -> dict[str, Any]:
        """Restrict by `regex`."""
        return {**body, "regex": f"({'|'.join(map(re.escape, words.tokens))})"}
