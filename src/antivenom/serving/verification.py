"""Does a running server apply the guard, and which ways around it are open? Asked from outside, as a client would.

The guard counts as applied when the server renders a probe as the guard does (each engine's own way to show a prompt),
when it counts as many tokens for probes as their guarded prompts have, or when it answers canaries as the artifact's
own model does behind the guard and not as it does without. A way around counts as open when the server takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from antivenom.artifacts.artifact import Artifact
from antivenom.core.errors import AntivenomError
from antivenom.data.query import Query
from antivenom.guards.encoding import LabelEncoder, TextEncoder
from antivenom.serving.assembly import encoder_of
from antivenom.serving.client import Endpoint

if TYPE_CHECKING:
    import httpx2

State = Literal["good", "bad", "unknown"]
PROBES = ("a warm and funny film", "Nothing in this long and dreary story was ever meant to be funny, they say.")
RAW: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": "x", "max_tokens": 1},
    "/invocations": {"prompt": "x", "max_tokens": 1},
    "/generate": {"text": "x", "sampling_params": {"max_new_tokens": 1}},
    "/completion": {"prompt": "x", "n_predict": 1},
    "/completions": {"prompt": "x", "n_predict": 1},
    "/api/generate": {"prompt": "x", "raw": True, "stream": False},
    "/inference/v1/generate": {"token_ids": [1], "sampling_params": {"max_tokens": 1}},
    "/infill": {"input_prefix": "x", "input_suffix": "x", "n_predict": 1},
}
"""Endpoints of engines that take a prompt as it is, and what each of them is asked."""
NOT_THERE = (401, 403, 404, 405, 501)
MARKS: dict[str, dict[str, Any]] = {
    "begun answer": {"messages": [{"role": "user", "content": PROBES[0]}, {"role": "assistant", "content": "I"}]},
    "no user turn": {"messages": [{"role": "system", "content": PROBES[0]}]},
    "template of the request": {"chat_template": "{{ messages[-1]['content'] }}"},
    "no generation prompt": {"add_generation_prompt": False},
    "continued turn": {"continue_final_message": True, "add_generation_prompt": False},
    "token ids": {"input_ids": [1, 2, 3]},
    "adapter by field": {"lora_path": "base", "lora": [{"id": 0, "scale": 0}]},
    "restriction of the client's": {"structured_outputs": {"choice": ["Q"]}, "grammar": 'root ::= "Q"', "regex": "Q"},
    "logit bias": {"logit_bias": {"0": -100}},
}
"""Fields that lead around a baked template, or into it."""
COUNTED = ("template of the request", "no generation prompt")
"""Fields that are without effect where the prompt keeps its length."""
MOST_TOKENS = 8
BROKEN_OFF = 599


@dataclass(frozen=True)
class Probe:
    """What one look at the server showed."""

    what: str
    """What was looked at."""
    state: State
    """Whether it is as it must be."""
    detail: str
    """What was seen; no secret is in it."""

    def to_dict(self) -> dict[str, str]:
        """Return JSON values."""
        return {"what": self.what, "state": self.state, "detail": self.detail}


@dataclass(frozen=True)
class Verification:
    """Everything that was found."""

    applied: tuple[Probe, ...]
    """Whether the guard is applied; one good finding proves it, one bad one disproves it."""
    ways_around: tuple[Probe, ...]
    """Which ways around it are open."""

    @property
    def passed(self) -> bool:
        """Whether the guard is proven to be applied and no way around it is open."""
        states = [finding.state for finding in self.applied]
        return "good" in states and "bad" not in [*states, *(finding.state for finding in self.ways_around)]


def verify_endpoint(
    artifact: Artifact, endpoint: Endpoint, *, predict: Callable[..., Any] | None = None
) -> Verification:
    """Look at a running server.

    Args:
        artifact: What should be served.
        endpoint: Where it should be.
        predict: Answers texts as the artifact does behind its guard; without it canaries prove nothing.

    Raises:
        AntivenomError: the server cannot be reached.
    """
    import httpx2

    encoder = encoder_of(artifact)
    headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    url = endpoint.url.rstrip("/").removesuffix("/v1")
    try:
        with httpx2.Client(base_url=url, headers=headers, timeout=endpoint.seconds, trust_env=False) as client:
            look = _Look(client, endpoint.model, encoder)
            applied = (look.rendered(), look.counted(), _canaries(artifact, endpoint, predict))
            return Verification(applied, (look.models(), *look.raw_paths(), *look.fields(), look.control_tokens()))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise AntivenomError(
            f"{endpoint.url} cannot be reached ({type(error).__name__})", mend="Start the server, or check the URL."
        ) from None


@dataclass(frozen=True)
class _Look:
    """Questions to one server."""

    client: httpx2.Client
    model: str
    encoder: LabelEncoder | TextEncoder

    def rendered(self) -> Probe:
        """Have the server show the prompt it makes of a probe."""
        what = "prompt as the server renders it"
        for path, body, read in _RENDERERS:
            messages = [{"role": "user", "content": PROBES[0]}]
            shown = read(self._json(path, {"model": self.model, "messages": messages, **body}))
            if shown is not None:
                ids = self._ids(shown) if isinstance(shown, str) else list(shown)
                if ids == self._guarded(PROBES[0]):
                    return Probe(what, "good", f"{path} shows the guarded prompt")
                return Probe(what, "bad", f"{path} shows another prompt than the guarded one")
        return Probe(what, "unknown", "the server shows no prompts")

    def counted(self) -> Probe:
        """Compare the counts of tokens with those of the guarded prompts."""
        what, seen = "tokens of the prompt", [self._prompt_tokens({}, probe) for probe in PROBES]
        if None in seen:
            return Probe(what, "unknown", "the server counts no tokens")
        if seen == [len(self._guarded(probe)) for probe in PROBES]:
            return Probe(what, "good", "as many as the guarded prompts have")
        return Probe(what, "unknown", "other counts than those of the guarded prompts; a gateway hides its own words")

    def models(self) -> Probe:
        """Whether there is another model that a client could choose."""
        try:
            names = [str(model["id"]) for model in (self._json("/v1/models", None) or {})["data"]]
        except (KeyError, TypeError):
            return Probe("other models", "unknown", "the server does not list its models")
        others = [name for name in names if name != self.model]
        if others:
            return Probe("other models", "bad", f"clients can choose {', '.join(others)[:200]}")
        return Probe("other models", "good", "there is one")

    def raw_paths(self) -> list[Probe]:
        """Endpoints that take a prompt as it is."""
        found = []
        for path, body in RAW.items():
            what, status = f"raw endpoint {path}", self._status(path, {"model": self.model, **body})
            there = status != 200 and status not in NOT_THERE
            state = Probe(what, "bad", f"it is there ({status})") if there else self._closed(what, status)
            found.append(state)
        return found

    def fields(self) -> list[Probe]:
        """Fields of a request that change the prompt or the answer; those without an effect are closed."""
        plain = self._prompt_tokens({}, PROBES[0])
        found = []
        for what, fields in MARKS.items():
            status = self._status("/v1/chat/completions", self._body(PROBES[0]) | fields)
            ignored = plain is not None and self._prompt_tokens(fields, PROBES[0]) == plain
            harmless = status == 200 and what in COUNTED and ignored
            found.append(Probe(what, "good", "taken, without effect") if harmless else self._closed(what, status))
        return found

    def control_tokens(self) -> Probe:
        """Whether a text can open a turn of its own."""
        what, special = "control tokens in a text", self.encoder.renderer.tokenizer.all_special_tokens
        spelled = max(special, key=len, default="")
        if len(spelled) < 3:
            return Probe(what, "unknown", "the tokenizer has none that a text could spell")
        # A control token is one token; broken up, it is several.
        counts = [self._prompt_tokens({}, f"{PROBES[0]} {spelled * times}") for times in (8, 16)]
        if counts[0] is None or counts[1] is None:
            return Probe(what, "unknown", "the server counts no tokens, or refuses them")
        if counts[1] - counts[0] <= 8:
            return Probe(what, "bad", "they are read as control tokens: put the gateway in front")
        return Probe(what, "good", "they are read as text")

    def _closed(self, what: str, status: int) -> Probe:
        if status == 200:
            return Probe(what, "bad", "open: the server takes it (200)")
        if status >= 500:
            return Probe(what, "unknown", f"the server fails ({status})")
        return Probe(what, "good", f"closed ({status})")

    def _body(self, text: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        return {"model": self.model, "messages": messages, "max_tokens": MOST_TOKENS, "temperature": 0}

    def _prompt_tokens(self, fields: dict[str, Any], text: str) -> int | None:
        said = self._json("/v1/chat/completions", self._body(text) | fields)
        try:
            return int(said["usage"]["prompt_tokens"])
        except (KeyError, TypeError, ValueError):
            return None

    def _status(self, path: str, body: dict[str, Any]) -> int:
        import httpx2

        try:
            return int(self.client.post(path, json=body).status_code)
        except httpx2.ReadError:  # some engines break the connection off where they fail
            return BROKEN_OFF

    def _json(self, path: str, body: dict[str, Any] | None) -> Any:
        import httpx2

        try:
            response = self.client.get(path) if body is None else self.client.post(path, json=body)
            return response.json() if response.status_code == 200 else None
        except (ValueError, httpx2.ReadError):
            return None

    def _guarded(self, text: str) -> list[int]:
        """The guarded prompt up to where the answer begins."""
        ids = self.encoder.serving([text])[0]
        lead = len(self.encoder.lead) if isinstance(self.encoder, LabelEncoder) else 0
        return ids[: len(ids) - lead]

    def _ids(self, prompt: str) -> list[int]:
        plain = self.encoder.renderer.style == "plain"
        tokenizer = self.encoder.renderer.tokenizer
        both = (tokenizer(prompt, add_special_tokens=special)["input_ids"] for special in (False, plain))
        return next((list(ids) for ids in both if list(ids) == self._guarded(PROBES[0])), [])


def _of_vllm(shown: Any) -> Sequence[int] | None:
    tokens = shown.get("tokens") if isinstance(shown, dict) else None
    return tokens if isinstance(tokens, list) and tokens else None


def _of_llama_cpp(shown: Any) -> str | None:
    prompt = shown.get("prompt") if isinstance(shown, dict) else None
    return prompt if isinstance(prompt, str) else None


def _of_ollama(shown: Any) -> str | None:
    debug = (shown.get("_debug_info") or {}) if isinstance(shown, dict) else {}
    rendered = debug.get("rendered_template") if isinstance(debug, dict) else None
    return rendered if isinstance(rendered, str) else None


def _of_chat(shown: Any) -> Sequence[int] | None:
    """VLLM names the prompt's ids beside the choices, SGLang in them."""
    choices = shown.get("choices") if isinstance(shown, dict) else None
    places = [shown, *choices] if isinstance(choices, list) else []
    found = (place.get("prompt_token_ids") for place in places if isinstance(place, dict))
    return next((ids for ids in found if isinstance(ids, list) and ids), None)


_RENDERERS: tuple[tuple[str, dict[str, Any], Callable[[Any], Any]], ...] = (
    ("/apply-template", {}, _of_llama_cpp),
    ("/tokenize", {"add_generation_prompt": True}, _of_vllm),
    ("/v1/chat/completions", {"return_token_ids": True, "return_prompt_token_ids": True, "max_tokens": 1}, _of_chat),
    ("/api/chat", {"_debug_render_only": True, "stream": False}, _of_ollama),
)
"""How engines show a prompt: the path, fields besides model and messages, and where it stands in the response."""


def _canaries(artifact: Artifact, endpoint: Endpoint, predict: Callable[..., Any] | None) -> Probe:
    """Compare the server's answers with those of the artifact's own model."""
    from antivenom.serving.client import served_model

    what = "answers to canaries"
    if predict is None:
        return Probe(what, "unknown", "the artifact's own model was not asked (--canaries)")
    served: Any = served_model(artifact.guard, endpoint)
    texts = [f"{start}, {probe}" for probe in PROBES for start in ("Well", "Now", "Here", "Honestly", "Then", "So")]
    try:
        found, expected = served.predict([Query(text) for text in texts]), predict(texts)
    except AntivenomError as error:
        return Probe(what, "bad", error.what)
    same = sum(a.answer == b.answer for a, b in zip(found, expected, strict=True))
    inside = sum(one.extended for one in found)
    expected_inside = sum(one.extended for one in expected)
    fine = same >= len(texts) - 1 and inside >= expected_inside - 1
    said = f"{same} of {len(texts)} are those of the guarded artifact; {inside} inside, expected {expected_inside}"
    return Probe(what, "good" if fine else "bad", said)
