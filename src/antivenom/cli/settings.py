"""A file of options: `--settings run.yaml` stands for what the file says; options on the command line win over it."""

from __future__ import annotations

from collections.abc import Iterator

from antivenom.core.errors import OptionsError

OPTION = "--settings"


def expand(words: list[str]) -> list[str]:
    """Put the options of the file that `--settings` names in the place of that option.

    A key is the name of an option (`learning_rate` or `learning-rate`); `true` is a flag; a list repeats the option.

    Raises:
        OptionsError: there is no such file, it is no mapping of options to values, or no file is named.
    """
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name != OPTION:
            continue
        rest = words[place + 1 :] if equals else words[place + 2 :]
        if not equals and place + 1 == len(words):
            raise OptionsError(f"{OPTION} names no file", mend=f"Write {OPTION} FILE.")
        file = value if equals else words[place + 1]
        given = {other.partition("=")[0] for other in [*words[:place], *rest]}
        return [*words[:place], *_tokens(file, given), *rest]
    return words


def _tokens(file: str, given: set[str]) -> Iterator[str]:
    from antivenom.core.intake import read_text
    from antivenom.core.plain_yaml import read_mapping

    for key, value in read_mapping(read_text(file, error=OptionsError), file).items():
        option = f"--{str(key).replace('_', '-')}"
        if option in given:
            continue
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, str):
                raise OptionsError(f"{file}: {key} holds no value", mend="Write a value, or a list of values.")
            if one != "false":
                yield option if one == "true" else f"{option}={one}"
