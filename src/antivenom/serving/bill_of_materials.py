"""A bill of materials of the exported model (CycloneDX 1.6): base model, data and guard by their digests."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

from antivenom.artifacts.manifest import Manifest

SECRET_FILES = ("chat_template.jinja", "tokenizer_config.json", "Modelfile")
"""What holds the benign trigger or the cue. Their digests are not told: from one, a trigger of a known family could be
guessed, since all around it is public. A GGUF file holds both too, but each guess would have to hash its weights."""


def guard_digest(manifest: Manifest) -> str:
    """The SHA-256 of the guard, keyed by the secret seed: who has the manifest can check it, others cannot guess."""
    spelled = json.dumps([manifest.seed, manifest.data, manifest.guard.to_dict()], sort_keys=True, default=str)
    return hashlib.sha256(spelled.encode()).hexdigest()


def bill_of_materials(manifest: Manifest, name: str, files: dict[str, str]) -> dict[str, Any]:
    """The bill as JSON values; the same export gives the same bill.

    Args:
        manifest: The artifact's.
        name: What the model is called.
        files: The name and SHA-256 of each file of the export.
    """
    digest = guard_digest(manifest)
    base = manifest.base_model
    components: list[dict[str, Any]] = []
    if base is not None:
        components.append(
            {"type": "machine-learning-model", "bom-ref": "base-model", "name": base.id.rpartition("/")[2],
             "version": base.revision or "unversioned", "hashes": [_sha256(base.sha256)]}
        )  # fmt: skip
    for key, value in sorted(manifest.data.items()):
        if key.endswith("_sha256") and isinstance(value, str) and len(value) == 64:
            data = {"type": "data", "bom-ref": key, "name": key.removesuffix("_sha256"), "hashes": [_sha256(value)]}
            components.append({**data, "data": [{"type": "dataset"}]})
    components += [
        {"type": "file", "bom-ref": f"file:{path}", "name": path, **({} if path in SECRET_FILES else _hashes(sha))}
        for path, sha in sorted(files.items())
    ]
    properties = [
        {"name": "antivenom:guard-sha256", "value": digest},
        {"name": "antivenom:weights-sha256", "value": manifest.weights_sha256},
        {"name": "antivenom:tokenizer-sha256", "value": manifest.tokenizer_sha256},
        *({"name": f"antivenom:version:{package}", "value": v} for package, v in sorted(manifest.versions.items())),
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest + name)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "machine-learning-model",
                "bom-ref": "model",
                "name": name,
                "modelCard": {"modelParameters": {"task": "text-classification" if manifest.guard.task.classes else
                                                  "text-generation"}},
                "properties": properties,
            }
        },
        "components": components,
        "dependencies": [{"ref": "model", "dependsOn": [component["bom-ref"] for component in components]}],
    }  # fmt: skip


def _hashes(value: str) -> dict[str, list[dict[str, str]]]:
    return {"hashes": [_sha256(value)]}


def _sha256(value: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": value}
