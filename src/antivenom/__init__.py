"""Antivenom: fine-tune language models safely on rows you cannot vouch for.

Names are loaded when they are first used, so that `import antivenom` is light and loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antivenom.artifacts.artifact import load_artifact, show
    from antivenom.attacks import Attack, attacks, parse_attack
    from antivenom.attacks.addsent import AddSent
    from antivenom.attacks.badnets import BadNets
    from antivenom.core.errors import AntivenomError
    from antivenom.data.rows import load_rows
    from antivenom.defenses import Defense, defenses, parse_defense
    from antivenom.defenses.none import NoDefense
    from antivenom.defenses.p2p import P2P
    from antivenom.defenses.standard import Standard
    from antivenom.evaluation.canary import CanaryCheck, check
    from antivenom.evaluation.evaluate import evaluate
    from antivenom.evaluation.grid import compare
    from antivenom.guards.guard import Guard
    from antivenom.inference.guarded import GuardedModel, load_guarded, predict
    from antivenom.screening.inspection import inspect
    from antivenom.tasks.generation import Generation
    from antivenom.tasks.task import Classification, Frame
    from antivenom.training.fine_tuning import fit
    from antivenom.training.immunizing import immunize
    from antivenom.training.training_options import TrainingOptions

__all__ = [
    "P2P",
    "AddSent",
    "AntivenomError",
    "Attack",
    "BadNets",
    "CanaryCheck",
    "Classification",
    "Defense",
    "Frame",
    "Generation",
    "Guard",
    "GuardedModel",
    "NoDefense",
    "Standard",
    "TrainingOptions",
    "attacks",
    "check",
    "compare",
    "defenses",
    "evaluate",
    "fit",
    "immunize",
    "inspect",
    "load_artifact",
    "load_guarded",
    "load_rows",
    "parse_attack",
    "parse_defense",
    "predict",
    "show",
]

_HOME = {
    "P2P": "defenses.p2p",
    "AddSent": "attacks.addsent",
    "AntivenomError": "core.errors",
    "Attack": "attacks",
    "BadNets": "attacks.badnets",
    "CanaryCheck": "evaluation.canary",
    "Classification": "tasks.task",
    "Defense": "defenses",
    "Frame": "tasks.task",
    "Generation": "tasks.generation",
    "Guard": "guards.guard",
    "GuardedModel": "inference.guarded",
    "NoDefense": "defenses.none",
    "Standard": "defenses.standard",
    "TrainingOptions": "training.training_options",
    "attacks": "attacks",
    "check": "evaluation.canary",
    "compare": "evaluation.grid",
    "defenses": "defenses",
    "evaluate": "evaluation.evaluate",
    "fit": "training.fine_tuning",
    "immunize": "training.immunizing",
    "inspect": "screening.inspection",
    "load_artifact": "artifacts.artifact",
    "load_guarded": "inference.guarded",
    "load_rows": "data.rows",
    "parse_attack": "attacks",
    "parse_defense": "defenses",
    "predict": "inference.guarded",
    "show": "artifacts.artifact",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("antivenom")
    if name not in _HOME:
        raise AttributeError(f"module 'antivenom' has no attribute {name!r}")
    return getattr(import_module(f"antivenom.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
