"""Every module has a test file of its name, or stands here beside the test file that covers it."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "radcommons"

ALSO_COVERS = {
    "audit/inputs/test_privacy.py": "audit/inputs/material audit/neighbours/nearest audit/neighbours/reidentification "
    "audit/tests/sanity_checks",
    "audit/neighbours/test_ssim_search.py": "audit/neighbours/ssim_bounds audit/neighbours/ssim_kernels",
    "audit/test_flow.py": "audit/histogram audit/quality audit/settings audit/tests/patient_level_split cli/audit",
    "audit/test_page.py": "audit/figures audit/sheets audit/tables",
    "audit/tests/test_membership.py": "audit/tests/membership_black_box",
    "classify/test_evaluation.py": "classify/evaluation_page classify/intervals",
    "classify/test_robustness.py": "classify/attacked classify/gradient_masking classify/robustness_report",
    "cli/test_data.py": "cli/data_import cli/label_table cli/option_groups",
    "compare/test_page.py": "cli/compare",
    "data/phantom/test_exams.py": "data/phantom/anatomy data/phantom/bones data/phantom/film data/phantom/findings "
    "data/phantom/shapes data/phantom/sites data/phantom/thorax",
    "data/sources/test_file_names.py": "data/sources/image_files",
    "data/sources/test_label_lists.py": "data/sources/radiology_words",
    "data/sources/test_table.py": "data/sources/labels data/sources/tables",
    "data/test_dicom_pixels.py": "data/codestream",
    "data/test_ingest.py": "data/store_folder",
    "data/test_split.py": "data/listing",
    "data/test_views.py": "data/view_phrases data/view_words",
    "demo/test_story.py": "cli/demo demo/hub demo/page demo/results",
    "explain/test_correlate.py": "explain/matrix_drawing explain/scores",
    "explain/test_page.py": "explain/page_tables",
    "explain/test_difference.py": "explain/latents",
    "explain/test_flow.py": "explain/finding_sets explain/summary",
    "experiments/federated/test_flow.py": "experiments/federated/report",
    "extractors/test_extractor.py": "extractors/catalogue models/image_blocks",
    "extractors/test_inception.py": "models/folding",
    "federated/test_server_app.py": "federated/client_app",
    "federated/test_deployment.py": "cli/federate_deploy federated/deployment/apps "
    "federated/deployment/executor federated/deployment/supernode",
    "gan/test_training.py": "gan/findings gan/plan gan/recipes/progan/settings gan/recipes/progan/training "
    "gan/settings runs/folder runs/log",
    "gan/recipes/rgan/test_training.py": "gan/recipes/rgan/settings",
    "metrics/test_bootstrap.py": "metrics/sample_statistics",
    "metrics/test_frechet.py": "metrics/half_samples",
    "models/cpu/test_convolution.py": "models/cpu/compiled models/cpu/winograd models/cpu/winograd_kernels",
    "policy/test_judge.py": "policy/privacy policy/quality policy/settings",
    "records/test_record.py": "records/audit records/classifier records/estimate records/evaluation records/experiment "
    "records/federated_experiment "
    "records/explain records/gate records/generator records/patients records/reference records/robustness "
    "records/screen records/store",
    "study/test_making.py": "study/letters",
    "test_reader_study.py": "records/study",
    "test_study_films.py": "cli/study_create",
    "study/test_analysis.py": "study/comparisons study/conclusions study/measures",
    "synthetic/test_writing.py": "synthetic/png synthetic/reading synthetic/sampling synthetic/tables",
    "test_second_family.py": "models/families/family",
    "classify/test_trials.py": "progress",
    "cli/test_stopping.py": "signals",
    "audit/test_reference.py": "cli/reference",
    "hub/test_deposit.py": "hub/staging",
    "hub/test_hugging_face.py": "hub/files hub/urls",
    "hub/test_publishing.py": "hub/migrations/0003_longest_paths",
    "hub/test_pages.py": "hub/admin hub/drawing hub/members hub/operators hub/package_texts "
    "web/templatetags/components",
    "hub/test_models.py": "hub/migrations/0002_log_is_append_only",
    "hub/test_push.py": "packages/hub_client",
    "hub/test_server.py": "cli/hub hub/accounts hub/apps hub/examination hub/migrations/0001_first hub/tasks "
    "web/accounts web/apps web/log web/server web/site web/storage",
    "packages/test_references.py": "packages/trusted_keys",
    "study/test_readers.py": "study/urls",
    "study/test_server.py": "study/apps study/migrations/0001_first study/migrations/0002_log_is_append_only",
    "study/test_coordinators.py": "study/models",
    "web/test_faults.py": "web/requests web/urls",
    "hub/test_gate.py": "hub/gate_settings hub/image_checks hub/package_checks hub/reference_distances",
}


def modules() -> list[str]:
    found = (path.relative_to(SOURCE).with_suffix("").as_posix() for path in SOURCE.rglob("*.py"))
    return sorted(name for name in found if not name.rpartition("/")[2].startswith("__"))


def mirrored(module: str) -> bool:
    folder, _, name = module.rpartition("/")
    return (TESTS / folder / f"test_{name}.py").is_file()


@pytest.mark.parametrize("module", modules())
def test_a_module_is_tested_in_the_file_of_its_name_or_in_the_one_named_here(module: str) -> None:
    named = [file for file, covered in ALSO_COVERS.items() if module in covered.split()]
    assert mirrored(module) != bool(named), f"{module}: exactly one of the two"
    assert len(named) <= 1 and all((TESTS / file).is_file() for file in named)


def test_only_modules_are_named() -> None:
    assert {m for covered in ALSO_COVERS.values() for m in covered.split()} <= set(modules())
