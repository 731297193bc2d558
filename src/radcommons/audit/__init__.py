"""Is a generator good, and does it leak? Inside the hospital, before anything is deposited.

::

    from radcommons import audit

    report = audit.run("runs/site-a", "stores/site-a", "audits/site-a", controls=True)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radcommons.audit.flow import run
    from radcommons.audit.settings import AuditSettings
    from radcommons.policy.settings import Policy

__all__ = ["AuditSettings", "Policy", "run"]

_HOMES = {
    "run": "radcommons.audit.flow",
    "AuditSettings": "radcommons.audit.settings",
    "Policy": "radcommons.policy.settings",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: its parts are also used on their own."""
    if name not in _HOMES:
        raise AttributeError(f"module 'radcommons.audit' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
