"""`python -m antivenom` is the `antivenom` command."""

from antivenom.cli import entry_point

entry_point()
