"""Put a service together: an artifact, what answers, and what was compared before."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antivenom.artifacts.artifact import Artifact, load_artifact
from antivenom.core.errors import AntivenomError, ArtifactError, MissingPackageError, OptionsError
from antivenom.core.intake import read_text
from antivenom.data.query import Query
from antivenom.guards.encoding import LabelEncoder, TextEncoder, make_encoder
from antivenom.guards.guard import Guard
from antivenom.serving.backend import Backend
from antivenom.serving.chat_request import ChatRequest
from antivenom.serving.engines import ENGINES, EngineName
from antivenom.serving.escapes import Band
from antivenom.serving.keys import Keys
from antivenom.serving.options import Policy, ServiceLimits
from antivenom.serving.service import Service

KEYS_VARIABLE = "ANTIVENOM_API_KEYS"
"""API keys from the environment, one a line or separated by commas."""
ENGINE_KEY_VARIABLE = "ANTIVENOM_ENGINE_KEY"
"""The key that the engine asks for, if it asks for one."""
IDLE = 32
"""Idle connections to an engine; looking through many costs more than opening one. They are given up before the
engine gives them up."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Upstream:
    """An engine that serves the artifact's merged weights."""

    url: str
    """Where it is, such as `http://127.0.0.1:8001`."""
    engine: EngineName
    """What kind of engine it is."""
    model: str = ""
    """The model's name there; the only one it lists when empty."""


def make_service(
    run: Path | str,
    *,
    upstream: Upstream | None = None,
    base: str | None = None,
    name: str = "",
    limits: ServiceLimits = ServiceLimits(),
    policy: Policy = Policy(),
    keys: Keys = Keys(),
    allow_unguarded: bool = False,
) -> Service:
    """Verify an artifact and put the service together.

    Args:
        run: The artifact's folder.
        upstream: The engine; without one the model is loaded here.
        base: Where the base model is, if not where it was when the artifact was made.
        name: What clients call the model; the name of the folder when empty.
        limits: What the service bears.
        policy: What clients get.
        keys: Who may ask.
        allow_unguarded: Serve an artifact that has no guard.

    Raises:
        AntivenomError: the artifact does not match its manifest or has no guard, or the engine cannot be reached.
    """
    artifact = load_artifact(run)
    name = require_name(name or Path(run).resolve().name)
    if not allow_unguarded and not is_guarded(artifact.guard):
        raise OptionsError(
            f"{run} has no guard: it was trained without a defense",
            mend="Serving it as it is needs --allow-unguarded.",
        )
    backend, verified = _backend(artifact, upstream, base, policy, limits)
    return Service(backend, name, verified, limits, policy, keys)


def require_name(name: str) -> str:
    """Return what clients call a model, which becomes a part of addresses and of the names of files.

    Raises:
        OptionsError: it has other signs than letters, digits, dots, dashes and underscores.
    """
    if not NAME.fullmatch(name):
        raise OptionsError(f"name = {name!r}", mend="Give --name with letters, digits, dots, dashes and underscores.")
    return name


def is_guarded(guard: Guard) -> bool:
    """Whether what is served differs from the prompt of ordinary rows."""
    return guard.wrap("x") != guard.ordinary("x")


def _backend(
    artifact: Artifact, upstream: Upstream | None, base: str | None, policy: Policy, limits: ServiceLimits
) -> tuple[Backend, str]:
    from antivenom.serving.local import LocalBackend
    from antivenom.serving.upstream import UpstreamBackend

    if upstream is None:
        from antivenom.inference.guarded import load_guarded

        model = load_guarded(artifact, model=base)
        verified = "weights, tokenizer and base model have the digests of the manifest"
        return LocalBackend(model, cut=policy.cut_long_texts), verified
    encoder = encoder_of(artifact)
    link = connect(upstream, most_requests=limits.most_requests)
    verified = "the prompts: they are written here. Which weights the engine has, `antivenom verify` tells"
    return UpstreamBackend(encoder, link, cut=policy.cut_long_texts), verified


def encoder_of(artifact: Artifact) -> LabelEncoder | TextEncoder:
    """Guard and tokenizer of an artifact that nobody changed, without its model.

    Raises:
        ArtifactError: something was changed; or the task has images, whose prompts only the model's own processor can
            write; or the guard has steps that need the model.
    """
    from antivenom.models.loading import load_codec

    artifact.require_unchanged()
    guard = artifact.guard
    if guard.purifiers or guard.monitors:
        raise ArtifactError(
            "the guard purifies or watches inputs, for which it needs the model itself",
            mend="Serve the model here, without --upstream; it cannot be exported.",
        )
    if guard.task.frame.modality != "text":
        raise ArtifactError("images cannot be sent on to an engine", mend="Serve the model here, without --upstream.")
    return make_encoder(guard, load_codec(artifact.folder, "text", model=artifact.folder))


def connect(upstream: Upstream, *, most_requests: int) -> Any:
    """A link to an engine.

    Raises:
        AntivenomError: nothing answers there, or it lists several models and none was named.
    """
    from antivenom.serving.upstream import Link

    require_packages("httpx2")
    import httpx2

    if not re.match(r"https?://[^/]+", upstream.url):
        raise OptionsError(f"--upstream {upstream.url}", mend="Write http://HOST:PORT.")
    key = os.environ.get(ENGINE_KEY_VARIABLE, "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = upstream.url.rstrip("/").removesuffix("/v1")
    model = upstream.model or _only_model(url, headers)
    connections = httpx2.Limits(max_connections=2 * most_requests, max_keepalive_connections=IDLE, keepalive_expiry=2.0)
    timeout = httpx2.Timeout(None, connect=5.0)  # the service has a time for every stage
    client = httpx2.AsyncClient(base_url=url, headers=headers, limits=connections, timeout=timeout, trust_env=False)
    return Link(client, ENGINES[upstream.engine], model)


def _only_model(url: str, headers: dict[str, str]) -> str:
    import httpx2

    try:
        response = httpx2.get(f"{url}/v1/models", headers=headers, timeout=10.0, trust_env=False)
        names = [str(model["id"]) for model in response.json()["data"]]
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise AntivenomError(
            f"{url} does not list its models ({type(error).__name__})",
            mend=f"Start the engine first, or name its model: --upstream-model. A key goes in {ENGINE_KEY_VARIABLE}.",
        ) from None
    if len(names) != 1:
        raise AntivenomError(
            f"{url} has {len(names)} models: {', '.join(names)[:200]}",
            mend="Say which with --upstream-model. Clients that reach the engine can choose the others.",
        )
    return names[0]


async def measured_band(service: Service, held_out: Sequence[Query]) -> Band:
    """The band in which the share of escapes lies, measured with held-out rows through the service's own backend."""
    import asyncio

    from antivenom.serving.answering import AnswerOutcome, TextAnswer, answer_label

    gate = asyncio.Semaphore(16)

    async def escaped(query: Query) -> bool:
        outcome, request = AnswerOutcome(), ChatRequest(query, False, False, None, (), False, 0)
        async with gate:
            if service.accepts.labels:
                await answer_label(service.backend, request, service.limits, outcome)
            else:
                async for _ in TextAnswer(service.backend, request, service.limits, "withhold", outcome).pieces():
                    pass
        return bool(outcome.escaped)

    found = await asyncio.gather(*map(escaped, held_out))
    return Band.measured(sum(found), len(found))


def read_keys(path: str | None) -> Keys:
    """API keys from a file or, without one, from the environment; none where there are none.

    Raises:
        OptionsError: the file holds no keys.
    """
    if path is not None:
        return Keys.read(read_text(path).splitlines())
    lines = os.environ.get(KEYS_VARIABLE, "")
    return Keys.read(re.split(r"[\n,]", lines)) if lines.strip() else Keys()


def require_packages(*names: str) -> None:
    """Raise if the packages of the extra `serve` are not there."""
    from importlib.util import find_spec

    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise MissingPackageError(f"serving needs {', '.join(missing)}", mend="Run `pip install 'antivenom[serve]'`.")
