"""Is a generator good, and does it leak? Inside the hospital, before anything is deposited.

::

    from radcommons import audit

    report = audit.run("runs/site-a", "stores/site-a", "audits/site-a", controls=True)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radcommons.audit.flow import run

__all__ = ["run"]


def __getattr__(name: str) -> Any:
    """Import `run` when it is first asked for: the parts of an audit are also used on their own."""
    if name != "run":
        raise AttributeError(f"module 'radcommons.audit' has no attribute '{name}'")
    from radcommons.audit import flow

    return flow.run
