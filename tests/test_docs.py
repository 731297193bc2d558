"""The docs against the program: commands, options, settings, presets, links, and what may not be said."""

import ast
import json
import re
import shlex
from collections.abc import Container, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TypeGuard, get_args, get_origin

import click
import numpy as np
import polars as pl
import pytest
import tomli_w
import typer
from PIL import Image
from pydantic.fields import FieldInfo

from radcommons.audit.settings import AuditSettings
from radcommons.classify.settings import ClassifierSettings
from radcommons.cli import app, run
from radcommons.data.sources.labels import Uncertain
from radcommons.errors import RadCommonsError
from radcommons.experiments.federated.settings import FederatedExperimentSettings
from radcommons.experiments.settings import EnrichSettings, MergeSettings, TransferSettings
from radcommons.federated.settings import SimulationSettings
from radcommons.findings import canonical
from radcommons.gan.plan import choose_settings
from radcommons.gan.recipes import RECIPES, parse_settings
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.gan.settings import TrainSettings
from radcommons.hub.gate_settings import GateRules
from radcommons.policy.settings import Policy
from radcommons.pool.settings import PoolSettings
from radcommons.settings import Settings, read_toml
from radcommons.study.design import StudySettings

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*DOCS, README]
ALL_PAGES = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
CONFIGS = sorted((ROOT / "configs").rglob("*.toml"))
SETTINGS_OF: dict[str, type[Settings]] = {  # folder of configs/ to the class that reads it
    "train": TrainSettings,
    "audit": AuditSettings,
    "audit-policy": Policy,
    "classify": ClassifierSettings,
    "enrich": EnrichSettings,
    "merge": MergeSettings,
    "transfer": TransferSettings,
    "gate": GateRules,
    "pool": PoolSettings,
    "study": StudySettings,
    "federate": SimulationSettings,
    "federated": FederatedExperimentSettings,
}
PAGE_OF = {"train": "train.md", "audit": "audit.md", "audit-policy": "audit.md"} | {
    "classify": "classify.md",
    "enrich": "experiment.md",
    "merge": "experiment.md",
    "transfer": "experiment.md",
    "gate": "gate.md",
    "pool": "pool.md",
    "study": "study.md",
    "federate": "federation.md",
    "federated": "experiment.md",
}
NEEDED = {  # what a preset leaves to the user
    "enrich": {"store": "stores/a", "generators": ["runs/b"]},
    "merge": {"store": "stores/a", "generator_a": "runs/a", "generator_b": "runs/b"},
    "transfer": {"store": "stores/a", "generator": "runs/a"},
    "federate": {"stores": ["stores/a"]},
    "federated": {"stores": ["stores/a"]},
}

CLOSED_CHOICES = {
    "fit": ("crop", "pad"),
    "format": ("png", "dicom", "npz"),
    "uncertain": get_args(Uncertain),
}
SAID_ONLY_IN_THE_NEGATIVE = re.compile(r"\banonym(?:ous|ously|i[sz]ed|i[sz]ation|i[sz]e)\b", re.IGNORECASE)
NEGATION = re.compile(r"\b(?:not|never|no|nothing|neither|nor|without)\b", re.IGNORECASE)
OF_ONE_MACHINE = re.compile(r"(?<![\w.])/(?:work|tmp|home|root|Users)\b")


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---- the command tree ----


def root_command() -> click.Group:
    command = typer.main.get_command(app)
    assert isinstance(command, click.Group)
    return command


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group below `command`, with its words; the root has none."""
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from walk(inner, (*path, name))


COMMANDS = {" ".join(("radcommons", *path)): command for path, command in walk(root_command())}


PAGE_OF_VERB = {
    "radcommons": "guide",
    "verify": "package",
    "compare": "audit",
    "keys": "package",
    "federate": "federation",
}  # others have a page of their own


def page_of(name: str) -> Path:
    """The docs page of a command: the one of its verb, the guide for the root."""
    verb = name.split()[:2][-1]
    return ROOT / "docs" / f"{PAGE_OF_VERB.get(verb, verb)}.md"


def undocumented(name: str, command: click.Command, text: str) -> list[str]:
    """The command's name and the options of it that `text` does not mention."""
    options = [option for p in command.params if isinstance(p, click.Option) for option in (*p.opts, *p.secondary_opts)]
    wanted = [name, *(option for option in options if option not in ("--help", "-h"))]
    return [word for word in wanted if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_and_argument_of_it_has_help(name: str) -> None:
    command = COMMANDS[name]
    assert (command.help or "").strip(), f"{name} has no help text"
    silent = [p.name for p in command.params if not (getattr(p, "help", None) or "").strip()]
    assert silent == [], f"{name}: options or arguments without help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_of_it_stands_in_its_docs_page(name: str) -> None:
    page = page_of(name)
    assert page.is_file(), f"{name} has no docs page: {page_id(page)} does not exist"
    assert undocumented(name, COMMANDS[name], page.read_text(encoding="utf-8")) == [], f"missing in {page_id(page)}"


def test_an_undocumented_command_or_option_is_noticed() -> None:
    @click.command()
    @click.option("--resolution")
    @click.option("--resolution-limit")
    def planted(resolution: str, resolution_limit: str) -> None: ...

    assert undocumented("radcommons planted", planted, "use --resolution-limit") == [
        "radcommons planted",
        "--resolution",
    ]


# ---- the command lines in the docs ----


def blocks(text: str, *languages: str) -> Iterator[tuple[int, str]]:
    """First line number and content of every fenced block in one of `languages`."""
    for match in re.finditer(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if match[1] in languages:
            yield text.count("\n", 0, match.start()) + 2, match[2]


def command_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and arguments of every radcommons command in a shell block, the word radcommons left out."""
    for first, block in blocks(text, "console", "bash", "sh"):
        joined = re.sub(r"\\\n", lambda _: "\0", block)  # a continued line stays one line
        number = first
        for line in joined.split("\n"):
            arguments = _of_radcommons(line.replace("\0", " "))
            if arguments is not None:
                yield number, arguments
            number += 1 + line.count("\0")


def _of_radcommons(line: str) -> list[str] | None:
    """The arguments of a line that runs radcommons, itself or through python -m or torchrun; None for others."""
    try:
        words = shlex.split(line.removeprefix("$ "), comments=True)
    except ValueError:  # output with a lone quotation mark
        return None
    words = words[: next((i for i, word in enumerate(words) if word in ("|", "&&", ";", ">", "2>", "&")), len(words))]
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    if not words:
        return None
    runner = words[0].rpartition("/")[2]
    if runner == "radcommons":
        return words[1:]
    if runner in ("python", "python3", "torchrun") and "-m" in words:
        module = words.index("-m") + 1
        return words[module + 1 :] if words[module : module + 1] == ["radcommons"] else None
    return None


def fault(arguments: list[str]) -> str | None:
    """What the program would refuse in a command line before it opens a file, or None."""
    command: click.Command = root_command()
    context, left = None, list(arguments)
    name = "radcommons"
    try:
        while True:
            context = command.make_context(name, left, parent=context)
            if not isinstance(command, click.Group):
                break
            rest = [*context._protected_args, *context.args]
            found, inner, left = command.resolve_command(context, rest)
            assert inner is not None
            name, command = str(found), inner
    except click.exceptions.Exit:  # --help, --version
        return None
    except click.UsageError as error:
        return error.format_message()
    return _refused_later(command, context.params)


def _refused_later(command: click.Command, values: dict[str, Any]) -> str | None:
    """Values that the command line takes as text and a command checks on its own."""
    for name, choices in CLOSED_CHOICES.items():
        if name in values and values[name] not in choices:
            return f"--{name} is '{values[name]}'; it must be one of {', '.join(choices)}"
    try:
        for finding in filter(None, (values.get("findings") or "").split(",")):
            canonical(finding.strip())
        for label in values.get("label", ()):
            canonical(label.rpartition("=")[0])
        if command.name == "train" and values.get("config") is None:
            choose_settings(ROOT / "no such run", preset=values["preset"], overrides=values["set_"])
    except RadCommonsError as error:
        return str(error)
    return None


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_line_in_a_page_is_one_that_the_program_takes(page: Path) -> None:
    lines = command_lines(page.read_text(encoding="utf-8"))
    faults = [f"{page_id(page)}:{n}: radcommons {shlex.join(words)}: {f}" for n, words in lines if (f := fault(words))]
    assert faults == []


def test_command_lines_are_found_at_all() -> None:
    found = {words[0] for page in DOCS for _, words in command_lines(page.read_text(encoding="utf-8")) if words}
    assert {"demo", "data", "train", "generate"} <= found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("radcommons trian stores/a --out runs/a", "trian"),
        ("radcommons data impotr nih ChestX-ray14 --out stores/nih", "impotr"),
        ("radcommons data import nih ChestX-ray14 --out stores/nih --resolutoin 128", "--resolutoin"),
        ("radcommons data import nih ChestX-ray14 --out stores/nih --uncertain paper", "--uncertain"),
        ("radcommons data import nih ChestX-ray14 --out stores/nih --fit stretch", "stretch"),
        ("radcommons data import nih ChestX-ray14", "--out"),
        ("radcommons data import table labels.csv --out stores/own --findings Cardiomegalie", "Cardiomegaly"),
        ("radcommons data phantom --out stores/a --patients many", "many"),
        ("radcommons train stores/a --out runs/a --preset smal-64", "small-64"),
        ("radcommons train stores/a --out runs/a --preset small-64 --set sead=1", "seed"),
        ("$ .venv/bin/radcommons generate runs/a --out s -n 5 --lable Effusion=1", "--lable"),
        ("OMP_NUM_THREADS=1 python -m radcommons generate runs/a --out s", "--number"),
        ("torchrun --nproc-per-node 8 -m radcommons train --out runs/a", "STORE"),
        ("radcommons generate runs/a --out s -n 5 \\\n  --label Efusion=1", "Effusion"),
    ],
)
def test_a_wrong_command_line_is_noticed(line: str, said: str) -> None:
    text = f"Words.\n\n```console\n{line}\nsome output\n```\n"
    ((number, words),) = command_lines(text)
    assert number == 4
    assert said in str(fault(words))


@pytest.mark.parametrize(
    "line",
    [
        "radcommons --version",
        "radcommons data --help",
        "radcommons data import chexpert A B --out stores/c --uncertain u-ones --split a.csv --split b.csv",
        "radcommons generate runs/a --out s -n 5 --label 'Pleural_Thickening=0.5' --json > result.json",
        "radcommons train stores/a --out runs/a --preset progan-64 --set batch_size.64=8  # a comment",
    ],
)
def test_a_right_command_line_is_let_through(line: str) -> None:
    ((_, words),) = command_lines(f"```bash\n{line}\n```\n")
    assert fault(words) is None


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_python_in_a_page_compiles_and_imports_what_exists(page: Path) -> None:
    for _, block in blocks(page.read_text(encoding="utf-8"), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("radcommons"):
                module = import_module(node.module or "")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


# ---- settings and presets ----


def settings_table(settings: type[Settings], *, without: Container[str] = ()) -> str:
    """The Markdown table of a settings class: name, default, limits, meaning, as docs/train.md holds it."""
    rows = ["| Setting | Default | Limits | Meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{name}` | {_default(field)} | {_limits(field)} | {(field.description or '').replace('|', chr(92) + '|')} |"
        for name, field in flat_fields(settings)
        if name not in without
    ]
    return "\n".join(rows)


def flat_fields(settings: type[Settings], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting, those of inner tables as TABLE.NAME; a table that has a page of its own is one line."""
    for name, field in settings.model_fields.items():
        inner = [a for a in (field.annotation, *get_args(field.annotation)) if is_settings(a)]
        elsewhere = any(a in (ClassifierSettings, TrainSettings) for a in inner)
        if not inner or elsewhere or field.default is None:
            yield prefix + name, field
        if inner and not elsewhere:
            yield from flat_fields(inner[0], f"{prefix}{name}.")


def is_settings(annotation: object) -> TypeGuard[type[Settings]]:
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "none; a preset has it" if get_origin(field.annotation) is dict else "needed"
    value = field.default
    if isinstance(value, Settings):
        return "its own"
    if value is None:
        return '`"off"`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{json.dumps(value)}`"
    if isinstance(value, dict):
        return f"`{{ {', '.join(f'{k} = {v}' for k, v in value.items())} }}`"
    return f"`{value:_}`" if isinstance(value, int) else f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _limits(field: FieldInfo) -> str:
    if get_args(field.annotation) and get_origin(field.annotation) not in (dict, tuple):
        choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
        if choices:
            return ", ".join(f'`"{value}"`' for value in choices)
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [f"{sign} {getattr(m, key)}" for m in field.metadata for key, sign in signs.items() if hasattr(m, key)]
    if type(None) in get_args(field.annotation) and '`"off"`' not in found:
        found.append('`"off"`')
    return ", ".join(found) or "-"


@pytest.mark.parametrize("kind", SETTINGS_OF)
def test_the_settings_table_of_a_page_is_the_one_of_the_program(kind: str) -> None:
    expected = settings_table(SETTINGS_OF[kind])
    page = ROOT / "docs" / PAGE_OF[kind]
    assert expected in page.read_text(encoding="utf-8"), f"{page.name}: replace the table by\n\n{expected}\n"


@pytest.mark.parametrize("family", RECIPES)
def test_the_settings_of_every_family_are_in_the_page_of_train(family: str) -> None:
    expected = settings_table(RECIPES[family].settings, without=TrainSettings.model_fields)
    assert expected in (ROOT / "docs/train.md").read_text(encoding="utf-8"), f"put this table there\n\n{expected}\n"


@pytest.mark.parametrize("settings", [*SETTINGS_OF.values(), *(recipe.settings for recipe in RECIPES.values())])
def test_every_setting_says_what_it_means(settings: type[Settings]) -> None:
    assert [name for name, field in settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("path", CONFIGS, ids=page_id)
def test_every_preset_parses_and_survives_saving(path: Path, tmp_path: Path) -> None:
    kind = path.relative_to(ROOT / "configs").parts[0]
    assert kind in SETTINGS_OF, f"no settings class is known for configs/{kind}"
    values = read_toml(path) | NEEDED.get(kind, {})
    kind_of = type(parse_settings(values, source=str(path))) if kind == "train" else SETTINGS_OF[kind]
    settings = kind_of.parse(values, source=str(path))
    settings.save(tmp_path / "saved.toml")
    assert kind_of.load(tmp_path / "saved.toml") == settings


def test_a_preset_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    values = {"learning_rates": {"4": 0.001}}
    (tmp_path / "planted.toml").write_text(tomli_w.dumps(values), encoding="utf-8")
    with pytest.raises(RadCommonsError, match="the nearest is 'learning_rate'"):
        ProganSettings.load(tmp_path / "planted.toml")


def test_every_shipped_preset_is_named_in_its_page() -> None:
    texts = {kind: (ROOT / "docs" / page).read_text(encoding="utf-8") for kind, page in PAGE_OF.items()}
    kind_of = {path: path.relative_to(ROOT / "configs").parts[0] for path in CONFIGS}
    assert [path.stem for path in CONFIGS if f"`{path.stem}`" not in texts[kind_of[path]]] == []


def test_every_part_of_the_package_is_in_the_picture_of_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    source = ROOT / "src" / "radcommons"
    parts = {f"{path.name}/" for path in source.iterdir() if (path / "__init__.py").is_file()}
    parts |= {path.name for path in source.glob("*.py") if not path.name.startswith("__")}
    assert [part for part in sorted(parts) if f"  {part} " not in text] == []


# ---- links and words ----


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The relative links and picture sources of a page that lead nowhere."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r'<(?:img|a)\b[^>]*(?:src|href)="([^"]+)"', text)
    broken = []
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    return broken


def forbidden_claims(text: str) -> list[str]:
    """Sentences that call something anonymous without denying it."""
    sentences = re.split(r"(?<=[.!?:;])\s+|\n\s*\n|\n[-|#]", text)
    return [s for s in sentences if SAID_ONLY_IN_THE_NEGATIVE.search(s) and not NEGATION.search(s)]


@pytest.mark.parametrize("page", ALL_PAGES, ids=page_id)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_or_anchor_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One heading\n[a](gone.md) [b](#one-heading) [c](#other) ![d](no.png) [e](https://x.org/y)\n")
    assert broken_links(page) == ["gone.md", "#other", "no.png"]


@pytest.mark.parametrize("page", ALL_PAGES, ids=page_id)
def test_nothing_is_called_anonymous(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.name in ("privacy.md", "README.md"):
        assert forbidden_claims(text) == []
    else:
        assert SAID_ONLY_IN_THE_NEGATIVE.findall(text) == [], "say it in privacy.md or the README, in the negative"


def test_a_claim_to_be_anonymous_is_noticed() -> None:
    assert forbidden_claims("The images are anonymous. They are not anonymised.") == ["The images are anonymous."]


def test_no_file_or_message_of_an_import_holds_an_identifier_as_the_privacy_page_says(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = ["image,patient,age,Effusion,Mass"]
    for number in range(6):
        film = np.random.default_rng(number).integers(0, 256, (48, 48), np.uint8)
        Image.fromarray(film).save(tmp_path / f"MRN771{number}_film.png")
        rows.append(f"MRN771{number}_film.png,MRN771{number},50,{number % 2},0")
    (tmp_path / "MRN7714_film.png").write_bytes(b"not an image")  # refused when read
    rows.append("MRN7719_film.png,MRN7719,50,1,0")  # refused when listed
    rows.append("MRN7710_film.png,MRN7718,50,1,0")  # the film of another patient: both rows are refused
    (tmp_path / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    store = tmp_path / "store"
    arguments = ["data", "import", "table", str(tmp_path / "labels.csv"), "--out", str(store), "--resolution", "32"]
    assert run([*arguments, "--workers", "1"]) == 0
    said = "".join(capfd.readouterr())
    assert "4 images" in said and "4 refused" in said
    manifest = pl.read_parquet(store / "manifest.parquet").write_csv()  # the file itself is compressed
    kept = [path.read_bytes() for path in store.rglob("*") if path.is_file()]
    assert "MRN77" not in said + manifest + "".join(path.name for path in store.rglob("*"))
    assert not any(b"MRN77" in content for content in kept)


@pytest.mark.parametrize("page", ALL_PAGES, ids=page_id)
def test_no_page_names_a_path_of_one_machine(page: Path) -> None:
    assert OF_ONE_MACHINE.findall(page.read_text(encoding="utf-8")) == []
