"""The recipe `standard` and what only it needs."""

from antivenom.defenses.standard.recipe import VERSION, Standard

__all__ = ["VERSION", "Standard"]
