from collections.abc import Sequence

import pytest

from radcommons.experiments.federated.conclusions import arm_result, compared, conclusion, estimate, share
from radcommons.experiments.federated.settings import Arm
from radcommons.records import FederatedArm, Measures


def of(fids: Sequence[float]) -> list[list[Measures]]:
    rest = {"critic_loss": 1.0, "own_critic": None, "precision": 0.5, "recall": 0.1, "coverage": 0.2}
    return [[Measures(images_seen=50, fid=300.0, **rest), Measures(images_seen=100, fid=fid, **rest)] for fid in fids]


def said(**fids: Sequence[float]) -> str:
    measured: dict[Arm, list[list[Measures]]] = {name.replace("_", " "): of(values) for name, values in fids.items()}  # type: ignore[misc]
    arms = [arm_result(name, "", (1,), repeats) for name, repeats in measured.items()]
    return conclusion(arms, compared(measured))


def test_an_interval_over_repeats_is_students() -> None:
    e = estimate([1.0, 2.0, 3.0])
    assert e.value == 2 and e.low == pytest.approx(2 - 4.3027 / 3**0.5, abs=1e-3)
    assert estimate([5.0]).low is None


def test_a_share_stays_between_0_and_1() -> None:
    e = share([0.0, 0.9])
    assert (e.low, e.high) == (0.0, 1.0)


def test_the_record_of_an_arm_has_every_point_and_the_end() -> None:
    arm = arm_result("pool", "", (7, 8), of([10.0, 20.0]))
    assert isinstance(arm, FederatedArm) and [point.fid.value for point in arm.points] == [300, 15]
    assert arm.points[0].own_critic is None and arm.precision.value == 0.5


def test_the_papers_order_is_supported_only_by_differences_that_are_shown() -> None:
    text = said(centralised=[50, 51, 49.5], one_client=[90, 91.2, 89.4], federated=[52, 49.5, 51])
    assert "Higher: one client than centralised" in text and "one client than federated" in text
    assert "No difference is shown between federated and centralised" in text
    assert "by FID these differences support it" in text


def test_the_papers_order_of_means_alone_is_called_so() -> None:
    text = said(centralised=[50, 60, 40], one_client=[60, 40, 70], federated=[51, 59, 42])
    assert "Higher" not in text and "by FID as means only" in text


def test_another_order_is_said() -> None:
    assert "by FID not here" in said(centralised=[50, 51, 52], one_client=[60, 61, 62], federated=[90, 91, 92])


def test_one_repeat_compares_nothing() -> None:
    text = said(centralised=[50], one_client=[60], federated=[52])
    assert "With one repeat no difference can be told" in text and "shown between" not in text
    assert "by FID as means only" in text


def test_the_order_is_judged_by_the_papers_measure_too() -> None:
    fids = {"centralised": 60.4, "one client": 69.7, "federated": 72.1}
    losses = {"centralised": 0.06, "one client": 0.68, "federated": 0.23}
    rest = {"images_seen": 9, "own_critic": None, "precision": 0.5, "recall": 0.1, "coverage": 0.2}
    measured = {name: Measures(fid=fids[name], critic_loss=losses[name], **rest) for name in fids}
    arms = [arm_result(name, "", (9,), [[one]]) for name, one in measured.items()]
    assert conclusion(arms, []).endswith("by FID not here; by negative critic loss, its measure, as means only.")


def test_arms_that_were_left_out_are_not_spoken_of() -> None:
    text = said(federated=[50, 51, 52], pool=[80, 81, 82.5])
    assert "Higher: pool than federated" in text and "centralised" not in text
