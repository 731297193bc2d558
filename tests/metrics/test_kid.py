import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import polynomial_kernel
from torchmetrics.image.kid import KernelInceptionDistance

from radcommons.errors import TooFewImages
from radcommons.metrics import kid as module
from radcommons.metrics.half_samples import half_sample_interval, random_half
from radcommons.metrics.kid import kid_interval, squared_mmd


def test_two_images_each_by_hand() -> None:
    """Real 0, 1 and fake 2, 3: kernel 1 of the real pair, 7^3 of the fake, (1 + 1 + 3^3 + 4^3) / 4 between."""
    real, fake = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert squared_mmd(real, fake) == pytest.approx(1 + 343 - 2 * 93 / 4, abs=1e-9)


def test_it_is_the_double_loop_over_pairs_with_scikit_learns_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    rng = np.random.default_rng(0)
    real, fake = rng.standard_normal((30, 6)), rng.standard_normal((20, 6)) + 0.5

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return polynomial_kernel(a, b, degree=3, gamma=1 / 6, coef0=1)

    within = [np.mean([k[i, j] for i in range(len(k)) for j in range(len(k)) if i != j])
              for k in (kernel(real, real), kernel(fake, fake))]  # fmt: skip
    expected = sum(within) - 2 * kernel(real, fake).mean()
    assert squared_mmd(real, fake) == pytest.approx(expected, rel=1e-10)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all extracted features")
def test_the_distance_of_all_images_equals_torchmetrics() -> None:
    rng = np.random.default_rng(1)
    real, fake = rng.random((50, 3, 2, 2)), rng.random((50, 3, 2, 2)) ** 2
    theirs = KernelInceptionDistance(torch.nn.Flatten(), subsets=1, subset_size=50, normalize=True)
    theirs.update(torch.from_numpy(real), real=True)
    theirs.update(torch.from_numpy(fake), real=False)
    ours = squared_mmd(real.reshape(50, -1), fake.reshape(50, -1))
    assert ours == pytest.approx(float(theirs.compute()[0]), rel=1e-6)


def test_one_image_of_a_kind_is_too_few() -> None:
    with pytest.raises(TooFewImages, match="needs 2 images or more of each kind, not 1"):
        squared_mmd(np.zeros((1, 2)), np.zeros((9, 2)))


def test_sets_of_one_distribution_are_at_nought_on_average_whatever_the_subset_and_others_are_not() -> None:
    rng = np.random.default_rng(4)
    for size in (5, 50):
        draws = np.array([squared_mmd(rng.standard_normal((size, 4)), rng.standard_normal((size, 4)))
                          for _ in range(400)])  # fmt: skip
        assert abs(draws.mean()) < 3.5 * draws.std() / 20
        assert draws.min() < 0
    apart = [squared_mmd(rng.standard_normal((200, 4)), rng.standard_normal((200, 4)) + shift) for shift in (0, 1, 2)]
    assert apart == sorted(apart)


def true_distance(shift: float) -> float:
    """Squared MMD of N(0, 1) and N(shift, 1) under (xy + 1)^3, from the moments: sum_p binom(3, p) (difference)^2."""
    return 3 * shift**2 + 3 * (shift**2) ** 2 + (shift**3 + 3 * shift) ** 2


def test_the_interval_covers_the_distance_of_the_distributions() -> None:
    truth, rng = true_distance(0.6), np.random.default_rng(6)
    covered = 0
    for _ in range(200):
        real, fake = rng.standard_normal((150, 1)), rng.standard_normal((150, 1)) + 0.6
        low, high = kid_interval(real, fake, halves=40, rng=rng)
        covered += low <= truth <= high
    assert covered / 200 == pytest.approx(0.95, abs=0.045)


def test_the_interval_holds_nought_for_sets_of_one_distribution() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(100):
        low, high = kid_interval(rng.standard_normal((80, 3)), rng.standard_normal((80, 3)), halves=40, rng=rng)
        held += low <= 0 <= high
    assert held >= 93


def test_several_films_of_a_patient_widen_the_interval_and_it_still_covers() -> None:
    truth, rng = true_distance(0.6), np.random.default_rng(8)
    patients = np.repeat(np.arange(30), 10)
    covered = {"patients": 0, "films": 0}
    for _ in range(100):
        real = 0.95 * rng.standard_normal((30, 1))[patients] + np.sqrt(1 - 0.95**2) * rng.standard_normal((300, 1))
        fake = rng.standard_normal((300, 1)) + 0.6
        for name, groups in (("patients", patients), ("films", None)):
            low, high = kid_interval(real, fake, halves=40, rng=rng, real_groups=groups)
            covered[name] += low <= truth <= high
    assert covered["patients"] >= 85
    assert covered["films"] <= 75


def test_the_interval_is_that_of_the_estimator_computed_half_by_half() -> None:
    """The kernel is computed once for all halves; here each half is cut out and computed by itself."""
    rng = np.random.default_rng(9)
    real, fake = rng.standard_normal((31, 4)), rng.standard_normal((24, 4)) + 0.4
    patients = np.arange(31) // 3
    again = np.random.default_rng(10)
    halves = []
    for _ in range(6):
        kept = random_half(patients, rng=again)
        halves.append(squared_mmd(real[kept], fake[random_half(np.arange(24), rng=again)]))
    expected = half_sample_interval(squared_mmd(real, fake), halves)
    names = np.array([f"patient {n:02}" for n in patients])
    found = kid_interval(real, fake, halves=6, rng=np.random.default_rng(10), real_groups=names)
    assert found == pytest.approx(expected, rel=1e-9)
