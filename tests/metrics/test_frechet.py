import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torchmetrics.image.fid import FrechetInceptionDistance

from radcommons.errors import TooFewImages
from radcommons.metrics.frechet import frechet_distance, frechet_interval
from radcommons.metrics.half_samples import half_sample_interval, random_half


def gaussian(rng: np.random.Generator, count: int, size: int, *, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return shift + scale * rng.standard_normal((count, size))


def test_two_numbers_each_by_hand() -> None:
    """Means 1 and 4, variances 2 and 8: (4 - 1)^2 + 2 + 8 - 2 sqrt(2 x 8) = 11."""
    assert frechet_distance(np.array([[0.0], [2.0]]), np.array([[2.0], [6.0]])) == pytest.approx(11, abs=1e-12)


def test_diagonal_covariances_by_hand() -> None:
    """Crosses of variances (2/3, 8/3) and (8/3, 2/3), same mean: twice (sqrt(8/3) - sqrt(2/3))^2."""
    cross = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]])
    expected = 2 * (np.sqrt(8 / 3) - np.sqrt(2 / 3)) ** 2
    assert frechet_distance(cross, cross[:, ::-1]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n", "m", "d"), [(50, 50, 8), (8, 50, 20), (50, 8, 20), (9, 7, 20)])
def test_a_set_is_at_distance_nought_from_itself_and_the_order_does_not_matter(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(0)
    real, fake = gaussian(rng, n, d), gaussian(rng, m, d, shift=0.3)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(fake, real), rel=1e-12)


def test_a_shift_adds_its_square_and_more_noise_is_further() -> None:
    rng = np.random.default_rng(1)
    real = gaussian(rng, 300, 5)
    assert frechet_distance(real, real + 2.0) == pytest.approx(5 * 4, rel=1e-9)
    noises = [frechet_distance(real, real + gaussian(rng, 300, 5, scale=s)) for s in (0.3, 1.0, 2.0)]
    assert noises == sorted(noises)


@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 12), (60, 300, 12), (13, 14, 12)])
def test_it_equals_the_formula_with_scipys_matrix_root(n: int, m: int, d: int) -> None:
    rng = np.random.default_rng(2)
    mix = rng.standard_normal((d, d))
    real, fake = gaussian(rng, n, d) @ mix, gaussian(rng, m, d, shift=0.5)
    first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = sqrtm(first @ second).real
    expected = np.square(real.mean(0) - fake.mean(0)).sum() + np.trace(first + second - 2 * root)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_with_fewer_images_than_features_it_equals_the_roots_of_the_eigenvalues() -> None:
    """Covariances of rank 9 and 5 in 40 dimensions, where a matrix root is known to fail."""
    rng = np.random.default_rng(3)
    real, fake = gaussian(rng, 10, 40), gaussian(rng, 6, 40, scale=2.0)
    first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    largest = np.sort(np.linalg.eigvalsh(root @ second @ root))[-5:]  # the others are rounding
    expected = np.square(real.mean(0) - fake.mean(0)).sum() + np.trace(first + second) - 2 * np.sqrt(largest).sum()
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_it_equals_torchmetrics_on_the_same_features() -> None:
    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1).double()

    rng = np.random.default_rng(4)
    real, fake = rng.random((200, 3, 2, 2)), rng.random((150, 3, 2, 2)) ** 2
    theirs = FrechetInceptionDistance(Flat(), normalize=True, input_img_size=(3, 2, 2)).set_dtype(torch.float64)
    theirs.update(torch.from_numpy(real), real=True)
    theirs.update(torch.from_numpy(fake), real=False)
    ours = frechet_distance(real.reshape(200, -1), fake.reshape(150, -1))
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-6)


def test_one_image_is_too_few() -> None:
    with pytest.raises(TooFewImages, match="needs 2 images or more of each kind, not 1"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))


def test_the_interval_covers_the_true_distance_where_the_percentile_bootstrap_never_does() -> None:
    """120 pairs of Gaussian samples, n = 200 and d = 16: true distance 16 (0.5^2 + 0.2^2) = 4.64."""
    truth, trials, halves = 16 * (0.5**2 + 0.2**2), 120, 20
    rng = np.random.default_rng(5)
    covered = percentile = 0
    centres = []
    for _ in range(trials):
        real, fake = gaussian(rng, 200, 16), gaussian(rng, 200, 16, shift=0.5, scale=1.2)
        low, high = frechet_interval(real, fake, halves=halves, rng=rng)
        covered += low <= truth <= high
        centres.append((low + high) / 2)
        resampled = [
            frechet_distance(real[rng.integers(200, size=200)], fake[rng.integers(200, size=200)])
            for _ in range(halves)
        ]
        percentile += min(resampled) <= truth <= max(resampled)
    assert covered / trials == pytest.approx(0.95, abs=0.05)
    assert percentile / trials < 0.1
    assert np.mean(centres) == pytest.approx(truth, abs=0.15)  # 0.5 / sqrt(120) is the standard error


def test_the_interval_reaches_nought_for_sets_of_one_distribution_though_their_distance_does_not() -> None:
    rng = np.random.default_rng(6)
    reached = 0
    for _ in range(40):
        real, fake = gaussian(rng, 200, 16), gaussian(rng, 200, 16)
        low, high = frechet_interval(real, fake, halves=20, rng=rng)
        reached += low == 0
        assert high < frechet_distance(real, fake)
    assert reached >= 38


def test_left_uncorrected_it_is_the_range_of_distances_of_sets_of_this_size() -> None:
    """As many images as features: the distance is all bias, and other sets of this size have the same bias."""
    rng = np.random.default_rng(7)
    others = [frechet_distance(gaussian(rng, 60, 60), gaussian(rng, 60, 60, shift=0.3)) for _ in range(60)]
    real, fake = gaussian(rng, 60, 60), gaussian(rng, 60, 60, shift=0.3)
    low, high = frechet_interval(real, fake, halves=30, rng=rng, corrected=False)
    assert (low + high) / 2 == pytest.approx(frechet_distance(real, fake), rel=1e-9)
    assert np.mean([low <= other <= high for other in others]) > 0.9


def test_several_films_of_a_patient_widen_the_interval_and_it_still_covers() -> None:
    """40 patients with 10 films that hardly differ are 40 images rather than 400."""
    truth, rng = 4 * 0.5**2, np.random.default_rng(8)
    patients = np.repeat(np.arange(40), 10)
    covered = {"patients": 0, "films": 0}
    widths = {"patients": 0.0, "films": 0.0}
    for _ in range(60):
        real = 0.95 * gaussian(rng, 40, 4)[patients] + np.sqrt(1 - 0.95**2) * gaussian(rng, 400, 4)
        fake = gaussian(rng, 400, 4, shift=0.5)
        for name, groups in (("patients", patients), ("films", None)):
            low, high = frechet_interval(real, fake, halves=20, rng=rng, real_groups=groups)
            covered[name] += low <= truth <= high
            widths[name] += high - low
    assert widths["patients"] > 1.3 * widths["films"]
    assert covered["patients"] / 60 > 0.88
    assert covered["films"] / 60 < 0.75


def test_an_interval_needs_four_patients() -> None:
    rng = np.random.default_rng(9)
    features = gaussian(rng, 30, 3)
    with pytest.raises(TooFewImages, match="needs 4 real patients or more, not 3"):
        frechet_interval(features, features, halves=5, rng=rng, real_groups=np.repeat(["a", "b", "c"], 10))
    with pytest.raises(TooFewImages, match="needs 4 synthetic images or more, not 2"):
        frechet_interval(features, features[:2], halves=5, rng=rng)


def test_the_same_seed_gives_the_same_interval() -> None:
    features = gaussian(np.random.default_rng(10), 40, 3)
    first, second = (frechet_interval(features, features + 1, halves=5, rng=np.random.default_rng(1)) for _ in range(2))
    assert first == second


def test_a_half_holds_whole_patients_and_an_odd_number_is_halved_on_average() -> None:
    rng = np.random.default_rng(11)
    rows = np.repeat(np.arange(5), 3)
    sizes = []
    for _ in range(400):
        kept = random_half(rows, rng=rng).reshape(5, 3)
        assert (kept.all(axis=1) == kept.any(axis=1)).all()
        sizes.append(int(kept[:, 0].sum()))
    assert set(sizes) == {2, 3}
    assert np.mean(sizes) == pytest.approx(2.5, abs=0.1)


def test_the_interval_of_halves_by_hand() -> None:
    """Halves 3 and 5 of an estimate of 3: centre 2, deviation sqrt(2), t = 12.706 with one degree of freedom."""
    reach = 12.7062047 * np.sqrt(2) * np.sqrt(1.5)
    assert half_sample_interval(3.0, [3.0, 5.0], level=0.95) == pytest.approx((2 - reach, 2 + reach))
    assert half_sample_interval(3.0, [3.0, 5.0], level=0.95, corrected=False) == pytest.approx((3 - reach, 3 + reach))


def test_halves_of_a_mean_have_the_standard_error_of_the_mean() -> None:
    rng = np.random.default_rng(12)
    values, rows = rng.standard_normal(100), np.arange(100)
    halves = [values[random_half(rows, rng=rng)].mean() for _ in range(4000)]
    assert np.std(halves) == pytest.approx(values.std(ddof=1) / 10, rel=0.05)
