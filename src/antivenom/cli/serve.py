"""Commands that bring an artifact to its clients."""

from __future__ import annotations

import ipaddress
import itertools
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from antivenom.cli.endpoints import EndpointOptions
from antivenom.cli.options import Json
from antivenom.core.console import say, say_json, say_table
from antivenom.core.errors import OptionsError
from antivenom.core.intake import read_text
from antivenom.data.query import Query, as_query
from antivenom.serving.engines import EngineName
from antivenom.serving.launch import ExportFormat
from antivenom.serving.options import Policy, ServiceLimits


def serve(
    artifact: str,
    /,
    *,
    host: Annotated[str, Parameter(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="The port to listen on.")] = 8000,
    name: Annotated[str, Parameter(help="What clients call the model; the name of the folder.")] = "",
    upstream: Annotated[str | None, Parameter(help="Stand in front of the engine at this URL.", group="Engine")] = None,
    engine: Annotated[EngineName, Parameter(help="What kind of engine that is.", group="Engine")] = "vllm",
    upstream_model: Annotated[
        str, Parameter(help="The model's name there; the only one it lists.", group="Engine")
    ] = "",
    key_file: Annotated[
        str | None, Parameter(help="API keys, NAME:KEY one a line; else those in $ANTIVENOM_API_KEYS.")
    ] = None,
    open_to_all: Annotated[
        bool, Parameter(name="--open", help="Listen on other addresses than this machine's without keys.", negative="")
    ] = False,
    held_out: Annotated[
        str | None, Parameter(help="Clean rows the model was not trained on: the alarm's band is measured on them.")
    ] = None,
    held_out_rows: Annotated[int, Parameter(help="How many of them.")] = 200,
    allow_unguarded: Annotated[
        bool, Parameter(help="Serve an artifact that was trained without a defense.", negative="")
    ] = False,
    base: Annotated[
        str | None, Parameter(name="--model", help="Where the base model is, if not where it was when it was trained.")
    ] = None,
    policy: Annotated[Policy, Parameter(name="*", group="Policy")] = Policy(),
    limits: Annotated[ServiceLimits, Parameter(name="*", group="Limits")] = ServiceLimits(),
) -> int:
    """Serve an artifact with OpenAI's interface; the guard is applied to every request and cannot be turned off.

    Parameters
    ----------
    artifact
        The folder that fit, demo or finish made.
    """
    from antivenom.serving.assembly import Upstream, make_service, read_keys, require_packages
    from antivenom.serving.running import run

    require_packages("starlette", "uvicorn")
    keys = read_keys(key_file)
    _require_a_door(host, bool(keys.digests or open_to_all))
    service = make_service(
        artifact,
        upstream=None if upstream is None else Upstream(upstream, engine, upstream_model),
        base=base,
        name=name,
        limits=limits,
        policy=policy,
        keys=keys,
        allow_unguarded=allow_unguarded,
    )
    rows = [] if held_out is None else _queries(held_out, held_out_rows, free=not service.accepts.labels)
    run(service, host, port, held_out=rows)
    return 0


def _queries(source: str, most: int, *, free: bool) -> list[Query]:
    """What the first rows of a file ask."""
    from antivenom.data.dialogs import iterate_queries
    from antivenom.data.texts import iterate_texts

    asked = iterate_queries(source) if free else iterate_texts(source)
    return [as_query(one) for one in itertools.islice(asked, most)]


def _require_a_door(host: str, guarded: bool) -> None:
    if not (guarded or _is_loopback(host)):
        raise OptionsError(
            f"--host {host} lets other machines ask, and there are no API keys",
            mend="Give --key-file, or --open if something else guards the door.",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def export(
    engine: ExportFormat,
    artifact: str,
    /,
    *,
    out: Annotated[str, Parameter(help="A new folder.")],
    name: Annotated[str, Parameter(help="What clients call the model; the name of the artifact's folder.")] = "",
    adapter: Annotated[
        bool, Parameter(help="Leave the adapter apart instead of merging it into the base model.", negative="")
    ] = False,
    llama_cpp: Annotated[
        str | None, Parameter(help="A llama.cpp checkout; its converter makes the GGUF file.", group="GGUF")
    ] = None,
    gguf: Annotated[
        str | None, Parameter(help="A GGUF file of these merged weights; it only gets the template.", group="GGUF")
    ] = None,
    figures: Annotated[str | None, Parameter(help="A Markdown file of measurements for the model card.")] = None,
    base: Annotated[
        str | None, Parameter(name="--model", help="Where the base model is, if not where it was when it was trained.")
    ] = None,
    json: Json = False,
) -> int:
    """Write merged weights whose chat template applies the guard, and the line that serves them.

    Parameters
    ----------
    engine
        What will serve it.
    artifact
        The folder that fit, demo or finish made.
    """
    from antivenom.serving.export import export as export_artifact

    found = export_artifact(
        artifact,
        out,
        engine,
        name=name,
        base=base,
        adapter=adapter,
        llama_cpp=None if llama_cpp is None else Path(llama_cpp),
        gguf=None if gguf is None else Path(gguf),
        figures="" if figures is None else read_text(figures),
    )
    if json:
        say_json({"out": str(found.folder), "launch": found.launch, "notes": list(found.notes)})
        return 0
    say(f"{found.folder} is ready. Serve it:", "", f"  {found.launch}", *(f"- {note}" for note in found.notes))
    return 0


def verify_url(artifact: str, endpoint: EndpointOptions, *, canaries: bool, base: str | None, json: bool) -> int:
    """`antivenom verify RUN --base-url URL`: 0 where the guard is applied and nothing leads around it, else 1."""
    from antivenom.artifacts.artifact import load_artifact
    from antivenom.inference.guarded import load_guarded
    from antivenom.serving.assembly import require_packages
    from antivenom.serving.verification import verify_endpoint

    require_packages("httpx2")
    opened = load_artifact(artifact)
    predict = load_guarded(opened, model=base).predict if canaries else None
    found = verify_endpoint(opened, endpoint.of(opened.folder), predict=predict)
    if json:
        groups = {"applied": found.applied, "ways_around": found.ways_around}
        say_json({"passed": found.passed, **{k: [one.to_dict() for one in v] for k, v in groups.items()}})
    else:
        for title, findings in (("Is the guard applied?", found.applied), ("Ways around it", found.ways_around)):
            say_table(title, ["", "", ""], [[one.what, one.state, one.detail] for one in findings], left=3)
        say("PASSED" if found.passed else "FAILED: the guard is not proven to be applied, or something leads around it")
    return 0 if found.passed else 1
