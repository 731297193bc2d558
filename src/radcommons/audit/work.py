"""The folder of an audit: its files, and the results that a stopped one has kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radcommons.folders import claim
from radcommons.resume import Kept

REPORT = "audit.json"
PAGE = "report.html"


class Work(Kept):
    """Results of an audit's stages, until it is finished."""

    @classmethod
    def open(cls, out: Path, request: Mapping[str, Any]) -> "Work":
        """Begin or continue the audit of a request in `out`; raises PathInUse if it holds anything else."""
        claim(out, request, file=".audit/request.json")
        out.chmod(0o700)  # films will be seen on its page, and the folder may have been there
        return cls(out / ".audit")
