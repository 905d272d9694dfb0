"""Antivenom: fine-tune language models safely on rows you cannot vouch for.

Names are loaded when they are first used, so that `import antivenom` is light and loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antivenom.artifact import load_artifact, show
    from antivenom.attacks import Attack, attacks, parse_attack
    from antivenom.attacks.addsent import AddSent
    from antivenom.attacks.badnets import BadNets
    from antivenom.defenses import Defense, defenses, parse_defense
    from antivenom.defenses.none import NoDefense
    from antivenom.defenses.p2p import P2P
    from antivenom.defenses.standard import Standard
    from antivenom.errors import AntivenomError
    from antivenom.evaluation import evaluate
    from antivenom.fitting import fine_tune
    from antivenom.guard import Guard
    from antivenom.inference import GuardedModel, load_guarded, predict
    from antivenom.rows import load_rows
    from antivenom.task import Classification, Frame
    from antivenom.training import fit
    from antivenom.training_options import TrainingOptions

__all__ = [
    "P2P",
    "AddSent",
    "AntivenomError",
    "Attack",
    "BadNets",
    "Classification",
    "Defense",
    "Frame",
    "Guard",
    "GuardedModel",
    "NoDefense",
    "Standard",
    "TrainingOptions",
    "attacks",
    "defenses",
    "evaluate",
    "fine_tune",
    "fit",
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
    "AntivenomError": "errors",
    "Attack": "attacks",
    "BadNets": "attacks.badnets",
    "Classification": "task",
    "Defense": "defenses",
    "Frame": "task",
    "Guard": "guard",
    "GuardedModel": "inference",
    "NoDefense": "defenses.none",
    "Standard": "defenses.standard",
    "TrainingOptions": "training_options",
    "attacks": "attacks",
    "defenses": "defenses",
    "evaluate": "evaluation",
    "fine_tune": "fitting",
    "fit": "training",
    "load_artifact": "artifact",
    "load_guarded": "inference",
    "load_rows": "rows",
    "parse_attack": "attacks",
    "parse_defense": "defenses",
    "predict": "inference",
    "show": "artifact",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'antivenom' has no attribute {name!r}")
    return getattr(import_module(f"antivenom.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
