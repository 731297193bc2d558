"""The versions of the software behind a result."""

from importlib.metadata import version

from radcommons import __version__


def versions(*packages: str) -> dict[str, str]:
    """RadCommons' own version and those of installed packages, by name."""
    return {"radcommons": __version__, **{package: version(package) for package in packages}}
