"""A Ray cluster: on this machine alone, or one that shares its folders with this machine."""

from __future__ import annotations

from antivenom.core.errors import MissingPackageError


def connect(where: str) -> None:
    """Join a cluster, unless this process belongs to one.

    Args:
        where: `local` (one is started on this machine), `auto` (the one that this machine belongs to), or an address.

    Raises:
        MissingPackageError: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise MissingPackageError("Ray is not installed", mend='pip install "antivenom[ray]"') from None
    if not ray.is_initialized():
        address = None if where == "local" else where
        ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level="warning")
