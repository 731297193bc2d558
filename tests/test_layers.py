"""The import ladder: base <- packages <- policy, metrics, models <- extractors, synthetic, packing <- pool, data <-
runs, gan <- classify <- audit, explain, federated <- experiments <- demo <- cli.

The code that publishes (`hub`) and the reader study (`study`) cannot import the code that reads patients' images.
Every import counts: absolute, relative, inside a function, under TYPE_CHECKING, through importlib with a literal.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import radcommons

PACKAGE = "radcommons"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE

BASE = frozenset(
    {
        "errors",
        "settings",
        "seeds",
        "findings",
        "records",
        "progress",
        "files",
        "threads",
        "folders",
        "resume",
        "signals",
        "pictures",
        "pages",
        "reader_study",
        "workers",
        "cluster",
        "versions",
        "precision",
    }
)
NETWORKS = frozenset({"models", "extractors", "synthetic"})
BELOW_DATA = BASE | NETWORKS | {"metrics", "policy"}
INSIDE = BELOW_DATA | {"data", "runs", "gan"}

# What each part may import of the package, besides itself.
MAY_IMPORT: dict[str, frozenset[str]] = {
    **dict.fromkeys(BASE, BASE),
    "errors": frozenset(),
    "policy": BASE,
    "metrics": BASE,
    "packages": BASE,
    "models": BASE | {"packages"},
    **dict.fromkeys(("extractors", "synthetic"), BASE | {"models"}),
    "pool": BASE | {"packages", "models", "synthetic", "policy"},
    "compare": BASE | {"packages", "models", "metrics"},
    "data": BELOW_DATA,
    "runs": BASE,
    "gan": BELOW_DATA | {"data", "runs"},
    "classify": INSIDE,
    **dict.fromkeys(("audit", "explain", "federated"), INSIDE | {"classify"}),
    "experiments": INSIDE | {"classify", "federated"},
    "demo": INSIDE
    | {"classify", "audit", "explain", "federated", "experiments", "packages", "packing", "pool"}
    | {"study", "study_films"},
    "packing": BASE | {"models", "packages", "policy"},
    "web": BASE,
    "hub": BASE | {"policy", "metrics", "models", "extractors", "packages", "web"},
    "study": BASE | {"metrics", "web"},
    "study_films": INSIDE | {"packages", "pool", "study"},
    "__main__": frozenset({"cli"}),
}
EVERYTHING = "cli"
WITHOUT_TORCH = frozenset({"errors", "records", "policy", "study"})
TORCH = frozenset({"torch", "torchmetrics", "monai"})
OF_METRICS = frozenset({"numpy", "scipy"})
ONLY_IN = {  # who may import what an extra brings
    "flwr": frozenset({"federated"}),
    "cryptography": frozenset({"packages", "hub", "federated"}),
    **dict.fromkeys(("model_signing", "huggingface_hub", "yaml"), frozenset({"packages", "hub"})),
    **dict.fromkeys(("django", "django_tasks", "django_tasks_db", "csp", "axes"), frozenset({"web", "hub", "study"})),
    **dict.fromkeys(("django_otp", "segno"), frozenset({"web", "hub"})),
    **dict.fromkeys(("gunicorn", "prometheus_client"), frozenset({"web", "hub"})),
}

# `radcommons/__init__.py` names these lazily, each from its part, and nothing else.
PUBLIC = {"Store": "data", "Generator": "models", "Pool": "pool", "SyntheticSet": "synthetic"}


@dataclass(frozen=True, order=True)
class Fault:
    """One forbidden import: where it stands and which rule it breaks."""

    file: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}"


def check(source: Path) -> list[Fault]:
    """Every import under `source`, a package folder named radcommons, that the ladder forbids."""
    faults = set()
    for path in sorted(source.rglob("*.py")):
        relative = path.relative_to(source)
        part = relative.parts[0].removesuffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, target in imports(tree, package_of(relative)):
            rule = broken_rule(part, target)
            if rule is not None:
                faults.add(Fault(relative.as_posix(), line, rule))
        if part != "__init__" and part != EVERYTHING and part not in MAY_IMPORT:
            faults.add(
                Fault(relative.as_posix(), 1, f"{part} has no place in the ladder; give it one in test_layers.py")
            )
    return sorted(faults)


def package_of(relative: Path) -> str:
    """The dotted package in which a module's relative imports count."""
    return ".".join((PACKAGE, *relative.parts[:-1]))


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything a module imports, wherever in it the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute("." * node.level + (node.module or ""), package)
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, absolute(name.value, package)


def called(node: ast.Call) -> str:
    """The last name of what is called: ``import_module`` of ``importlib.import_module(...)``."""
    return getattr(node.func, "attr", None) or getattr(node.func, "id", "")


def absolute(name: str, package: str) -> str:
    """``..data.store`` seen from radcommons.hub is ``radcommons.data.store``."""
    dots = len(name) - len(name.lstrip("."))
    if not dots:
        return name
    parents = package.split(".")
    return ".".join([*parents[: len(parents) - dots + 1], *filter(None, [name[dots:]])])


def broken_rule(part: str, target: str) -> str | None:
    """The rule that `part` of the package breaks by importing `target`, or None."""
    root, _, inner = target.partition(".")
    if root != PACKAGE:
        return _third_party(part, root)
    reached = PUBLIC.get(inner, inner.split(".")[0])
    if part == "__init__":
        named = PUBLIC.get(inner.rpartition(".")[2]) == reached
        return None if named else f"radcommons/__init__ only names its public classes, not {target}"
    if reached == "__version__" or part == EVERYTHING or reached == part:
        return None
    if reached in ("", "*"):
        return f"{part} imports the whole package; name the module it needs"
    if part in MAY_IMPORT and reached not in MAY_IMPORT[part]:
        return f"{part} may not import {reached} ({target})"
    return None


def _third_party(part: str, root: str) -> str | None:
    if root in TORCH and part in WITHOUT_TORCH:
        return f"{part} may not import {root}"
    if root in ONLY_IN and part not in ONLY_IN[root]:
        return f"only {' and '.join(sorted(ONLY_IN[root]))} imports {root}, not {part}"
    if part == "metrics" and root not in OF_METRICS and root not in sys.stdlib_module_names:
        return f"metrics imports numpy and scipy only, not {root}"
    return None


def circle(source: Path) -> list[str]:
    """Modules under `source` that import each other in a circle, the first again at the end; [] where none do.

    Imports inside functions and under TYPE_CHECKING count. `radcommons/__init__.py` does not: it imports its public
    classes when they are first asked for.
    """
    files = {".".join((PACKAGE, *p.relative_to(source).with_suffix("").parts)): p for p in source.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for name, path in files.items() if name != f"{PACKAGE}.__init__"}
    graph = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        reached = (target for _, target in imports(tree, package_of(path.relative_to(source))))
        found = {target if target in modules else target.rpartition(".")[0] for target in reached}
        graph[name] = {target for target in found if target in modules and target != name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        modules_in_circle: list[str] = error.args[1]
        return modules_in_circle
    return []


def test_no_module_imports_from_above_its_place_in_the_ladder() -> None:
    assert [str(fault) for fault in check(SOURCE)] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(SOURCE) == []


@pytest.mark.parametrize(
    "back",
    [
        "def late():\n    from radcommons.data.store import Store",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import store",
        "import radcommons.data.store",
    ],
)
def test_a_planted_circle_is_found_whatever_its_imports_look_like(tmp_path: Path, back: str) -> None:
    plant(tmp_path, "data/store.py", "from radcommons.data.split import split_of")
    assert circle(tmp_path / PACKAGE) == []
    plant(tmp_path, "data/split.py", back)
    assert set(circle(tmp_path / PACKAGE)) == {"radcommons.data.store", "radcommons.data.split"}


def test_the_checker_sees_the_package_it_is_meant_for() -> None:
    seen = {path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py")}
    assert {"errors.py", "models", "data", "gan", "cli"} <= seen
    tree = ast.parse((SOURCE / "gan" / "training.py").read_text(encoding="utf-8"))
    assert "radcommons.data.store.Store" in {target for _, target in imports(tree, "radcommons.gan")}


def test_the_lazy_public_names_are_the_ones_that_the_ladder_allows() -> None:
    assert {name: home.split(".")[1] for name, home in radcommons._HOMES.items()} == PUBLIC


PLANTED = [
    ("hub/pool.py", "from radcommons.data.store import Store", 1, "hub may not import data"),
    ("hub/pool.py", "import radcommons.data.store as shelf", 1, "hub may not import data"),
    ("hub/pool.py", "from radcommons import data", 1, "hub may not import data"),
    ("hub/pool.py", "from radcommons import Store", 1, "hub may not import data"),
    ("hub/pool.py", "from ..data import store", 1, "hub may not import data"),
    ("hub/pool.py", "from .. import gan", 1, "hub may not import gan"),
    ("hub/server/gate.py", "from ...audit.report import verdict", 1, "hub may not import audit"),
    ("hub/__init__.py", "from ..data import store", 1, "hub may not import data"),
    (
        "hub/client.py",
        "def push():\n    from radcommons.gan import training\n    training.train()",
        2,
        "hub may not import gan",
    ),
    (
        "hub/client.py",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from radcommons.data.listing import Listing",
        4,
        "hub may not import data",
    ),
    (
        "hub/client.py",
        'import importlib\n\nstore = importlib.import_module("radcommons.data.store")',
        3,
        "hub may not import data",
    ),
    (
        "hub/client.py",
        'from importlib import import_module\nstore = import_module("..data", "radcommons.hub")',
        2,
        "hub may not import data",
    ),
    ("hub/client.py", 'store = __import__("radcommons.data.store")', 1, "hub may not import data"),
    ("hub/client.py", "import radcommons", 1, "hub imports the whole package"),
    ("study/analysis.py", "import numpy\nimport torch", 2, "study may not import torch"),
    ("study/analysis.py", "from torch import Tensor", 1, "study may not import torch"),
    ("study/pages.py", "from radcommons.models.generator import Generator", 1, "study may not import models"),
    ("study/pages.py", "from radcommons.data.store import Store", 1, "study may not import data"),
    ("records.py", "def load():\n    import torch", 2, "records may not import torch"),
    ("records.py", "from radcommons.data.store import Store", 1, "records may not import data"),
    ("errors.py", "import torch", 1, "errors may not import torch"),
    ("errors.py", "from radcommons.settings import Settings", 1, "errors may not import settings"),
    ("settings.py", "from .models import progan", 1, "settings may not import models"),
    ("pages.py", "from radcommons.runs.log import read_log", 1, "pages may not import runs"),
    ("policy/judge.py", "from radcommons.audit.flow import run", 1, "policy may not import audit"),
    ("policy/judge.py", "from radcommons.data.training_patients import Seen", 1, "policy may not import data"),
    ("policy/privacy.py", "from ..metrics import power", 1, "policy may not import metrics"),
    ("policy/privacy.py", "import torch", 1, "policy may not import torch"),
    ("study/answers.py", "from radcommons.data.sources.csv_text import read_csv", 1, "study may not import data"),
    ("study/pages.py", "from radcommons.policy.judge import judge", 1, "study may not import policy"),
    ("models/generator.py", "from radcommons.policy.judge import judge", 1, "models may not import policy"),
    ("models/generator.py", "from radcommons.data.store import Store", 1, "models may not import data"),
    ("models/layers.py", "from ..metrics import kid", 1, "models may not import metrics"),
    ("metrics/kid.py", "import torch", 1, "metrics imports numpy and scipy only, not torch"),
    ("metrics/kid.py", "import sklearn.metrics", 1, "metrics imports numpy and scipy only, not sklearn"),
    ("metrics/kid.py", "from radcommons.models import progan", 1, "metrics may not import models"),
    ("data/store.py", "from radcommons.gan.settings import TrainSettings", 1, "data may not import gan"),
    ("gan/training.py", "from radcommons.audit import report", 1, "gan may not import audit"),
    ("gan/training.py", "from radcommons.cli.output import bar", 1, "gan may not import cli"),
    ("explain/interpolation.py", "from radcommons.audit import report", 1, "explain may not import audit"),
    ("packing.py", "from radcommons.data.store import Store", 1, "packing may not import data"),
    ("compare/page.py", "from radcommons.data.store import Store", 1, "compare may not import data"),
    ("packing.py", "from radcommons.audit.flow import audit", 1, "packing may not import audit"),
    ("packing.py", "from radcommons.synthetic.writing import write", 1, "packing may not import synthetic"),
    ("packages/card.py", "from radcommons.models.generator import Generator", 1, "packages may not import models"),
    ("cli/package.py", "import model_signing", 1, "only hub and packages imports model_signing, not cli"),
    ("pages.py", "def load():\n    import yaml", 2, "only hub and packages imports yaml, not pages"),
    ("gan/training.py", "import flwr", 1, "only federated imports flwr, not gan"),
    ("cli/federate.py", "def run():\n    from flwr.app import Context", 2, "only federated imports flwr, not cli"),
    (
        "__init__.py",
        "from radcommons.gan.training import train",
        1,
        "radcommons/__init__ only names its public classes",
    ),
    ("__main__.py", "from radcommons.data.store import Store", 1, "__main__ may not import data"),
    ("packages/hub_client.py", "from radcommons.hub import models", 1, "packages may not import hub"),
    ("packages/card.py", "import django", 1, "only hub and study and web imports django, not packages"),
    ("web/site.py", "from radcommons.hub import models", 1, "web may not import hub"),
    ("web/site.py", "from radcommons.models.generator import Generator", 1, "web may not import models"),
    ("hub/gate.py", "from radcommons.synthetic import writing", 1, "hub may not import synthetic"),
    ("helpers.py", "import json", 1, "helpers has no place in the ladder"),
]


@pytest.mark.parametrize(("module", "code", "line", "rule"), PLANTED)
def test_a_planted_violation_is_reported_with_file_line_and_rule(
    tmp_path: Path, module: str, code: str, line: int, rule: str
) -> None:
    plant(tmp_path, module, code)
    (fault,) = check(tmp_path / PACKAGE)
    assert (fault.file, fault.line) == (module, line)
    assert fault.rule.startswith(rule)
    assert str(fault).startswith(f"{module}:{line}: {rule}")


ALLOWED = [
    ("errors.py", "import difflib"),
    ("settings.py", "from radcommons.errors import BadInput"),
    ("seeds.py", "def stream():\n    import torch"),
    ("metrics/kid.py", "import math\nimport numpy as np\nfrom scipy import linalg\nfrom ..errors import TooFewImages"),
    (
        "models/generator.py",
        "import torch\nfrom .layers import PixelNorm\nfrom radcommons import __version__",
    ),
    ("data/sources/nih.py", "from ..film import sex\nfrom ...errors import PathMissing"),
    ("gan/training.py", "from radcommons.data.store import Store\nfrom radcommons.models import progan"),
    ("hub/pool.py", "from radcommons.models.generator import Generator\nfrom radcommons.records import Record"),
    ("hub/pool.py", "from radcommons import Generator"),
    ("hub/gate.py", "from radcommons.policy.judge import judge"),
    ("hub/gate.py", "from radcommons.packages.contents import open_package\nimport django"),
    ("packing.py", "from radcommons.models.generator import Generator\nfrom radcommons.packages.card import card"),
    ("models/generator.py", "from radcommons.packages.references import fetched\nimport torch"),
    ("packages/signatures.py", "import model_signing"),
    ("policy/judge.py", "from radcommons.records import AuditReport\nfrom radcommons.settings import Settings"),
    ("study/analysis.py", "from radcommons.metrics import agreement\nimport numpy"),
    ("federated/client_app.py", "from flwr.app import Context\nfrom radcommons.gan import steps"),
    ("cli/hub.py", "import radcommons.hub.client\nfrom radcommons.data.store import Store"),
    ("__init__.py", "if 1:\n    from radcommons.data.store import Store"),
    ("__main__.py", "from radcommons.cli import main"),
]


@pytest.mark.parametrize(("module", "code"), ALLOWED)
def test_an_import_that_points_down_is_left_alone(tmp_path: Path, module: str, code: str) -> None:
    plant(tmp_path, module, code)
    assert check(tmp_path / PACKAGE) == []


def test_every_fault_of_a_file_is_reported(tmp_path: Path) -> None:
    plant(tmp_path, "hub/pool.py", "import flwr\nfrom radcommons.data import store\nfrom radcommons.gan import gan")
    assert [fault.line for fault in check(tmp_path / PACKAGE)] == [1, 2, 3]


def test_records_and_errors_load_neither_torch_nor_the_store() -> None:
    probe = "import sys, radcommons.records, radcommons.errors; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    assert "radcommons.records" in loaded
    assert not {"torch", "radcommons.data", "radcommons.models"} & set(loaded)


def test_a_reader_study_is_analysed_without_torch() -> None:
    probe = "import sys, radcommons.study.analysis, radcommons.study.plan; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    assert "radcommons.metrics.readers" in loaded
    assert not (TORCH | {"radcommons.data", "radcommons.models"}) & set(loaded)


def test_the_command_line_loads_no_network_and_no_extra_before_a_command_needs_it() -> None:
    probe = "import sys, radcommons.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    assert not (TORCH | ONLY_IN.keys()) & set(loaded)


def plant(folder: Path, module: str, code: str) -> None:
    path = folder / PACKAGE / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code + "\n", encoding="utf-8")
