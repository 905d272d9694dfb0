"""Commands that prove whose artifact it is."""

from __future__ import annotations

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from antivenom.cli.endpoints import EndpointOptions
from antivenom.cli.options import Json
from antivenom.core.console import say, say_json, warn
from antivenom.core.errors import OptionsError
from antivenom.core.locks import locked

PASSWORD = "ANTIVENOM_KEY_PASSWORD"


def sign(
    artifact: str,
    /,
    *,
    key: Annotated[str, Parameter(help="Your secret key, as minisign makes it (minisign -G).")],
    new_key: Annotated[bool, Parameter(negative=(), help="Make KEY and its public key first.")] = False,
    comment: Annotated[str, Parameter(help="One line that is signed as well.")] = "",
    model: Annotated[str | None, Parameter(help="Where the base model is, if not where it was.")] = None,
    json: Json = False,
) -> int:
    """Sign an artifact after verifying it: who has your public key knows that it is yours and unchanged.

    The signature is antivenom.json.minisig, in the format of minisign. Needs the extra `sign`. A key's password is
    asked for, or read from ANTIVENOM_KEY_PASSWORD.

    Parameters
    ----------
    artifact
        The folder that fit, demo or finish made.
    """
    from antivenom.artifacts import signature
    from antivenom.artifacts.artifact import load_artifact

    load_artifact(artifact).verify(model=model)
    with locked(Path(artifact), "sign"):
        if new_key:
            public = signature.new_key(Path(key))
            warn(f"The public key is in {public}: give it to those who use the artifact, and keep {key}.")
        path = signature.sign(Path(artifact), signature.SecretKey.read(Path(key), _password), comment=comment)
    if json:
        say_json({"signature": str(path)})
    else:
        say(f"{path} signs the artifact. To check it: antivenom verify {artifact} --key PUBLIC_KEY")
    return 0


def verify(
    artifact: str,
    /,
    *,
    key: Annotated[str | None, Parameter(help="The public key of whoever made it, as minisign makes it.")] = None,
    endpoint: EndpointOptions = EndpointOptions(),
    canaries: Annotated[
        bool, Parameter(help="With --base-url: compare the server's answers with those of the artifact's own model.")
    ] = True,
    model: Annotated[str | None, Parameter(help="Where the base model is, if not where it was.")] = None,
    json: Json = False,
) -> int:
    """Check that an artifact is unchanged and signed with a key, or that a running server applies its guard.

    The exit code is 0 only then. A server is looked at from outside: whether it applies the guard, and which ways
    around it are open (raw completions, other models, template variables, begun answers).

    Parameters
    ----------
    artifact
        The folder that was signed, or that should be served.
    """
    if (key is None) == (not endpoint):
        raise OptionsError("verify needs --key or --base-url", mend="Give one of them.")
    if key is None:
        from antivenom.cli.serve import verify_url

        return verify_url(artifact, endpoint, canaries=canaries, base=model, json=json)
    from antivenom.artifacts.artifact import load_artifact
    from antivenom.artifacts.signature import require_signed

    said = require_signed(Path(artifact), Path(key))
    load_artifact(artifact).verify(model=model)
    if json:
        say_json({"artifact": artifact, "signed": True, "comment": said})
    else:
        say(f"{artifact}: signed with this key, and unchanged ({said})")
    return 0


def _password() -> str:
    given = os.environ.get(PASSWORD)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise OptionsError("the key has a password", mend=f"Put it into {PASSWORD}.")
    return getpass("Password of the key: ")
