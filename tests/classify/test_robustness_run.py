import json
import shutil
from pathlib import Path

import click
import polars as pl
import pytest
import torch
import typer

from radcommons.classify.pgd import AttackSettings
from radcommons.classify.robustness_report import as_text, table
from radcommons.classify.robustness_run import EPSILONS, FIGURE, RECORD, TABLE, attack_run, name_of
from radcommons.cli import app
from radcommons.cli import run as command
from radcommons.data.store import Store
from radcommons.errors import ClassifierRefused, FindingUnknown, PathInUse, SettingRefused, TooFewImages
from radcommons.metrics.classification import area_under_roc
from radcommons.models.classifier import ClassifierConfig, ClassifierNetwork
from radcommons.models.classifier_files import Classifier, save_classifier
from radcommons.records import Robustness

FINDINGS = ("Effusion", "Atelectasis")
QUICK = AttackSettings(epsilon=2, steps=1)


def write_run(run: Path, *, findings: tuple[str, ...] = FINDINGS, side: int = 32, order: tuple[int, ...] = ()) -> Path:
    """A run whose network is drawn by chance; with an `order` of its outputs."""
    torch.manual_seed(4)
    network = ClassifierNetwork(ClassifierConfig(network="densenet-small", side=side, findings=len(findings)))
    if order:
        last = network.get_submodule("densenet.class_layers.out")
        assert isinstance(last, torch.nn.Linear)
        with torch.no_grad():
            last.weight.copy_(last.weight[list(order)].clone())
            last.bias.copy_(last.bias[list(order)].clone())
    save_classifier(
        run / "classifier",
        network,
        name="phantoms",
        findings=findings,
        images_seen=0,
        validation_loss=None,
        thresholds={},
    )
    return run


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "first")


def quick(first: Path, store: Store, out: Path, **changes: object) -> Robustness:
    asked: dict[str, object] = {"part": "train", "epsilons": [4.0], "bootstrap_samples": 100, **changes}
    return attack_run(first, store.path, out, QUICK, **asked)  # type: ignore[arg-type]


def test_the_record_is_read_back_and_the_table_and_figure_lie_beside_it(
    first: Path, phantom_store: Store, tmp_path: Path
) -> None:
    found = quick(first, phantom_store, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {RECORD, TABLE, FIGURE, "request.json"}
    assert Robustness.model_validate_json((tmp_path / "out" / "robustness.json").read_text()) == found
    assert [p.epsilon for p in found.result.curves["first"].points] == [0, 2, 4]
    figure = (tmp_path / "out" / "figure.svg").read_text()
    assert "<!-- mean AUC -->" in figure and "<!-- first" in figure
    assert (tmp_path / "out" / "table.md").read_text() == table(found)


def test_no_patient_is_named_in_what_is_written(first: Path, phantom_store: Store, tmp_path: Path) -> None:
    quick(first, phantom_store, tmp_path / "out", epsilons=[], films=30)
    written = "".join((tmp_path / "out" / name).read_text() for name in ("robustness.json", "table.md"))
    assert not any(patient in written for patient in phantom_store.manifest["patient"].unique())


def test_the_same_call_writes_the_same_bytes_again(first: Path, phantom_store: Store, tmp_path: Path) -> None:
    files = []
    for _ in range(2):
        quick(first, phantom_store, tmp_path / "out", epsilons=[], films=30)
        files.append({name: (tmp_path / "out" / name).read_bytes() for name in (RECORD, TABLE, FIGURE)})
    assert files[0] == files[1]


def test_epsilon_0_has_the_auc_of_the_scores_at_a_side_that_the_store_lacks(
    phantom_store: Store, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "larger", side=40)
    curve = quick(run, phantom_store, tmp_path / "out", epsilons=[]).result.curves["larger"]
    rows = phantom_store.rows("train")
    scores = Classifier.load(run).logits(phantom_store.images(32), rows=rows)
    labels = phantom_store.labels(rows)[:, [phantom_store.findings.index(f) for f in FINDINGS]]
    for column, finding in enumerate(FINDINGS):
        s, known = scores[:, column], labels[:, column]
        assert curve.points[0].auc[finding] == pytest.approx(area_under_roc(s[known == 1], s[known == 0]), abs=1e-3)


def test_another_run_with_its_findings_in_another_order_is_judged_by_name(
    first: Path, phantom_store: Store, tmp_path: Path
) -> None:
    swapped = write_run(tmp_path / "swapped", findings=FINDINGS[::-1], order=(1, 0))
    result = quick(first, phantom_store, tmp_path / "out", other=swapped, films=30, epsilons=[]).result
    one, other = result.curves["first"], result.curves["swapped"]
    assert one.findings == other.findings == FINDINGS
    assert [p.auc for p in one.points] == [p.auc for p in other.points]
    assert {d.mean_auc.value for d in result.differences} == {0}


def test_a_finding_alone_is_attacked_alone(first: Path, phantom_store: Store, tmp_path: Path) -> None:
    """The attack on both spends a part of epsilon on the other finding."""
    both = quick(first, phantom_store, tmp_path / "both", epsilons=[]).result.curves["first"]
    alone = quick(first, phantom_store, tmp_path / "alone", epsilons=[], findings=["Effusion"]).result.curves["first"]
    assert alone.findings == ("Effusion",)
    assert alone.points[0].auc["Effusion"] == both.points[0].auc["Effusion"]
    assert alone.points[-1].auc["Effusion"] < both.points[-1].auc["Effusion"]


def test_films_are_drawn_by_the_seed_and_counted_in_the_table(
    first: Path, phantom_store: Store, tmp_path: Path
) -> None:
    found = quick(first, phantom_store, tmp_path / "a", epsilons=[], films=30)
    other = quick(first, phantom_store, tmp_path / "b", epsilons=[], films=30, seed=1)
    assert found.result.curves["first"].films == 30 and found.films_in_part == len(phantom_store.rows("train"))
    assert found.result.curves["first"].points[0] != other.result.curves["first"].points[0]
    assert f"30 of {found.films_in_part} films" in table(found)


def test_the_table_has_a_row_an_epsilon_a_row_a_check_and_the_words(
    first: Path, phantom_store: Store, tmp_path: Path
) -> None:
    second = write_run(tmp_path / "second", order=(1, 0))
    found = quick(first, phantom_store, tmp_path / "out", other=second, films=30)
    text = table(found)
    assert "| epsilon | first, under attack | first, under noise | second, under attack |" in text
    assert "second minus first, under attack |" in text
    rows = [line.split(" | ")[0] for line in text.splitlines()]
    assert [row for row in rows if row in ("| 0", "| 2", "| 4")] == ["| 0", "| 2", "| 4"]
    assert rows.count("| first") == 3 + len(found.result.checks["first"])  # AUC of each finding, then checks
    assert text.endswith(found.result.statement + "\n")
    assert "no AUC here is a lower bound" in text
    failed = [c.verdict for checks in found.result.checks.values() for c in checks if not c.passed]
    assert all(verdict in as_text(found, "figure.svg") for verdict in failed)


@pytest.mark.parametrize("value", [0, 1])
def test_a_finding_of_one_class_in_the_part_is_named_everywhere_and_the_others_are_attacked_alone(
    value: int, first: Path, phantom_store: Store, tmp_path: Path
) -> None:
    shutil.copytree(phantom_store.path, tmp_path / "store")
    manifest = phantom_store.manifest.with_columns(
        Atelectasis=pl.lit(value, phantom_store.manifest["Atelectasis"].dtype)
    )
    manifest.write_parquet(tmp_path / "store" / "manifest.parquet")
    store = Store.open(tmp_path / "store")
    found = quick(first, store, tmp_path / "out", epsilons=[])
    curve = found.result.curves["first"]
    assert (curve.findings, curve.left_out) == (("Effusion",), ("Atelectasis",))
    alone = quick(first, phantom_store, tmp_path / "alone", epsilons=[], findings=["Effusion"]).result.curves["first"]
    assert [p.auc for p in curve.points] == [p.auc for p in alone.points]
    assert "Left out, one class only among these films: Atelectasis.\n" in as_text(found, "figure.svg")
    assert "findings Effusion (left out, one class only: Atelectasis)" in (tmp_path / "out" / "table.md").read_text()
    with pytest.raises(TooFewImages, match="finding 'Atelectasis' has .* in the part 'train' of .*; it needs both"):
        quick(first, store, tmp_path / "none", findings=["Atelectasis"])
    assert not (tmp_path / "none").exists()


def test_runs_of_one_name_are_told_apart_by_their_folders() -> None:
    assert name_of(Path("a/run"), Path("b/run")) == "a/run"
    assert name_of(Path("a/run"), Path("a/other")) == name_of(Path("a/run"), None) == "run"


# ---- bad input ----


def test_what_cannot_be_compared_is_refused_before_any_work(first: Path, phantom_store: Store, tmp_path: Path) -> None:
    with pytest.raises(ClassifierRefused, match="sees films of 40 pixels and .* of 32.*train one with --set side=32"):
        quick(first, phantom_store, tmp_path / "out", other=write_run(tmp_path / "larger", side=40))
    with pytest.raises(ClassifierRefused, match="is the run itself; name another with --other"):
        quick(first, phantom_store, tmp_path / "out", other=first)
    with pytest.raises(FindingUnknown, match="does not know Atelectasis; in both are Effusion: name them with --find"):
        quick(first, phantom_store, tmp_path / "out", other=write_run(tmp_path / "one", findings=("Effusion",)))
    with pytest.raises(TooFewImages, match="finding 'Effusion' has 0 positive and 3 negative images in the part 'val'"):
        quick(first, phantom_store, tmp_path / "out", part="val")
    with pytest.raises(SettingRefused, match="epsilon is 300 grey levels; give it between 0 and 255"):
        quick(first, phantom_store, tmp_path / "out", epsilons=[300])
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_is_refused(first: Path, phantom_store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(PathInUse, match="already holds something else; choose another --out"):
        quick(first, phantom_store, tmp_path / "out")


def test_an_attack_on_other_films_or_networks_leaves_the_results_that_are_there(
    first: Path, phantom_store: Store, clinic: Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    quick(first, phantom_store, out, epsilons=[], films=30)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for changes, differs in (
        ({"store": clinic}, "store = [0-9a-f]{8}..., not [0-9a-f]{8}..."),
        ({"first": write_run(tmp_path / "other")}, "classifiers = "),
        ({"films": 29}, "films = 30, not 29"),
        ({"seed": 1}, "seed = 0, not 1"),
    ):
        asked = {"first": first, "store": phantom_store, "films": 30, **changes}
        with pytest.raises(PathInUse, match=rf"was begun with {differs}.*; use those, or choose another --out"):
            quick(asked.pop("first"), asked.pop("store"), out, epsilons=[], **asked)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


# ---- the command ----


def test_the_command_prints_one_json_object(
    first: Path, phantom_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["classify", "attack", str(first), str(phantom_store.path), "--out", str(tmp_path / "out")]
    chosen = ["--part", "train", "--films", "30", "--epsilon", "1", "--set", "steps=1", "--set", "norm=l2", "--json"]
    assert command([*arguments, *chosen]) == 0
    printed = json.loads(capsys.readouterr().out)
    curve = printed["result"]["curves"]["first"]
    assert [p["epsilon"] for p in curve["points"]] == [0, 1, 2]
    assert (curve["attack"]["norm"], curve["attack"]["steps"], curve["films"]) == ("l2", 1, 30)
    assert Path(printed["figure"]).is_file()


def test_the_command_names_a_setting_that_is_not_one(
    first: Path, phantom_store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["classify", "attack", str(first), str(phantom_store.path), "--out", str(tmp_path / "out")]
    assert command([*arguments, "--set", "epsilom=3"]) == 2
    assert "--set epsilom=3: 'epsilom' is not a setting; the nearest is 'epsilon'" in capsys.readouterr().err
    assert command([*arguments, "--set", "epsilon=0"]) == 2
    assert "'epsilon' is 0, an attack that changes nothing; set it above 0" in capsys.readouterr().err


def test_the_help_says_what_the_command_takes_by_default() -> None:
    root = typer.main.get_command(app)
    assert isinstance(root, click.Group)
    group = root.commands["classify"]
    assert isinstance(group, click.Group)
    said = {p.name: p.help for p in group.commands["attack"].params if isinstance(p, click.Option)}
    assert f"Default: {', '.join(f'{e:g}' for e in EPSILONS)}." in (said["epsilon"] or "")
    assert f"its epsilon ({AttackSettings().epsilon:g}) is that of the checks" in (said["set_"] or "")
