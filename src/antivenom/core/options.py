"""Frozen dataclasses as settings: to and from JSON, strictly.

Every attack, defense, guard and recipe is one frozen dataclass whose fields are its options. This module is the only
place that turns them into JSON and back, so that a misspelled option is always refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from antivenom.core.errors import OptionsError

OptionsType = TypeVar("OptionsType", bound="Options")


class Options:
    """Base of every settings dataclass: unknown keys are refused, types are checked."""

    # Numbers become strings where a string is wanted, so that `target=1` names the label "1".
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "coerce_numbers_to_str": True}

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_dict(cls: type[OptionsType], data: object) -> OptionsType:
        """Build from JSON values.

        Raises:
            OptionsError: an unknown field, a missing field or a value of the wrong type; each is named.
        """
        from pydantic import ValidationError

        try:
            text = json.dumps(data)
            return cast("OptionsType", _reader(cls).validate_json(text))  # type: ignore[arg-type]  # classes can be hashed
        except ValidationError as error:
            raise OptionsError(
                f"{cls.__name__}: {_explain(error.errors(), _secrets(cls))}", mend=_fields_of(cls)
            ) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise OptionsError(f"{cls.__name__}: not JSON: {error}") from None


def check_choices(settings: Options) -> None:
    """Refuse a value that is none of those that its field's `Literal` lists; `from_dict` does, a constructor does not.

    Raises:
        OptionsError: names the field, the value and the choices.
    """
    for name, hint in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise OptionsError(f"{name} = {value!r}", mend=f"Choose one of: {', '.join(map(str, get_args(hint)))}.")


def require_above_zero(settings: object, *names: str) -> None:
    """Refuse numbers that are not above zero and finite.

    Raises:
        OptionsError: names the first field of these that is not, and its value.
    """
    for name in names:
        if not 0 < getattr(settings, name) < math.inf:
            raise OptionsError(f"{name} = {getattr(settings, name)}", mend="It must be above zero and finite.")


@cache
def _reader(cls: Any) -> Any:
    """What validates the fields of a class; to put one together takes longer than to use it."""
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def _secrets(cls: type[Options]) -> set[str]:
    """The names of fields whose values are not shown: those that `repr` leaves out, and all of a class without `repr`.

    Fields of such a class count in whichever class they stand.
    """
    hidden, left, seen = set[str](), [cls], set[Any]()
    while left:
        part = left.pop()
        if part in seen:
            continue
        seen.add(part)
        hints = get_type_hints(part)
        for field in dataclasses.fields(part):  # type: ignore[arg-type]
            inner = [kind for kind in (hints[field.name], *get_args(hints[field.name])) if _is_options(kind)]
            left += inner
            if not field.repr or not _shows(part) or not all(map(_shows, inner)):
                hidden.add(field.name)
    return hidden


def _is_options(kind: object) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _shows(kind: Any) -> bool:
    """Whether a class of options prints its values."""
    return bool(kind.__dataclass_params__.repr)


def _explain(errors: list[Any], secrets: set[str]) -> str:
    """Say every problem of a validation in one line, without the values of secrets."""
    parts = []
    for error in errors[:5]:
        secret = secrets & {str(step) for step in error["loc"]}
        where = ".".join(secret or map(str, error["loc"])) or "value"
        if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            parts.append(f"unknown option {where!r}")
        elif error["type"] in ("missing", "missing_argument"):
            parts.append(f"option {where!r} is missing")
        else:
            value = "" if secret else f" = {_short(error.get('input'))}"
            parts.append(f"{where}{value}: {error['msg']}")
    return "; ".join(parts)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fields_of(cls: type[Options]) -> str:
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return f"Its options are: {', '.join(names)}."
