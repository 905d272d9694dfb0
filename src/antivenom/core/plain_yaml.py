"""YAML from people who are not trusted: plain text values, no tags, no aliases, no key twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

from antivenom.core.errors import OptionsError


def read_mapping(text: str, where: str) -> dict[str, Any]:
    """Read one mapping; every scalar is a string as it is written, so `no` stays a word.

    Raises:
        OptionsError: it is not YAML, no mapping, names a key twice, or uses aliases (which can grow without bound).
    """
    import yaml

    class Loader(yaml.BaseLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise OptionsError(f"{where}: aliases (*name) are not allowed", mend="Write it out.")
            if getattr(self.peek_event(), "tag", None):
                raise OptionsError(f"{where}: tags (!name) are not allowed", mend="Leave it out.")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value]
            repeated = [key for key, count in Counter(map(str, keys)).items() if count > 1]
            if repeated:
                raise OptionsError(f"{where}: {repeated[0][:60]!r} stands twice")
            found: dict[Any, Any] = super().construct_mapping(node, deep)
            return found

    try:
        data = yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())
        raise OptionsError(f"{where}: not YAML ({said[:200]})") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise OptionsError(f"{where}: expected lines of `setting: value`")
    return data
