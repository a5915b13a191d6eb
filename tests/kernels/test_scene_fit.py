import numpy as np
import pytest
from scipy.optimize import minimize, nnls

from etendue.kernels.scene_fit import acquit_stars, bright_peaks, flag_strange_peaks, grow_strange, scene_columns

SIGMA, SIZE = 0.9, 45
ERROR, SOFT = 0.03, 2.0


def _star(y0, x0, shape=(SIZE, SIZE)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2.0 * SIGMA**2))


PHASES = np.linspace(-0.25, 0.25, 3)
COLUMNS = scene_columns(np.array([_star(8 + dy, 8 + dx, (17, 17)) for dy in PHASES for dx in PHASES]))[np.newaxis]


def _field(seed=1):
    """Stars and blobs, half of which have sharp edges."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0.0, 1.0, (SIZE, SIZE))
    for row in range(8, SIZE - 8, 9):
        for col in range(8, SIZE - 8, 9):
            dy, dx = rng.uniform(-0.5, 0.5, 2)
            image += rng.uniform(5.0, 60.0) * _star(row + dy, col + dx)
            if rng.random() < 0.5:
                image[row : row + 2, col + 1 : col + 3] += rng.uniform(5.0, 60.0, (2, 2))
    return image.astype(np.float32), np.full(image.shape, 1.0, np.float32), np.zeros(image.shape, bool)


def _window(image, flagged, place):
    """Return the pixels around one, the roots of their weights, and what is flagged, by the slow definition."""
    row, col = np.unravel_index(place, image.shape)
    window = slice(row - 2, row + 3), slice(col - 2, col + 3)
    light = np.pad(np.maximum(image[window], 0.0) * ~flagged[window], 1)
    near = sum(light[y : y + 5, x : x + 5] for y in range(3) for x in range(3))
    weights = 1.0 / np.sqrt(1.0 + (ERROR * near / 3.0) ** 2)
    return image[window].ravel().astype(float), weights.ravel(), flagged[window].ravel().copy()


def _left(image, flagged, place):
    """Return what the scene leaves of a pixel, with a general minimiser."""
    pixels, weights, free = _window(image, flagged, place)
    free[12] = True
    columns = COLUMNS[0].astype(float)

    def loss(amounts):
        t = (pixels - columns @ amounts) * weights
        over = np.maximum(t, 0.0)
        value = np.where(t < 0.0, t**2, np.where(free, 0.0, np.where(t < SOFT, t**2, 2.0 * SOFT * over - SOFT**2)))
        slope = np.where(t < 0.0, 2.0 * t, np.where(free, 0.0, 2.0 * np.minimum(over, SOFT)))
        return value.sum(), -(slope * weights) @ columns

    start = np.full(columns.shape[1], 0.01)
    found = minimize(loss, start, jac=True, bounds=[(0.0, None)] * start.size, options={"maxiter": 150})
    return ((pixels - columns @ found.x) * weights)[12]


def test_peaks_are_what_exceeds_its_neighbours():
    image, variance, excluded = _field()
    excluded[:, 30:] = True
    expected = [
        row * SIZE + col
        for row in range(1, SIZE - 1)
        for col in range(1, 30)
        if image[row, col] > 8.0 and image[row, col] == image[row - 1 : row + 2, col - 1 : col + 2].max()
    ]
    assert bright_peaks(image, variance, excluded, 8.0).tolist() == expected


def test_flagged_peaks_are_those_that_no_scene_fits():
    image, variance, excluded = _field()
    peaks, none = bright_peaks(image, variance, excluded, 8.0), np.zeros(image.shape, bool)
    flagged = none.copy()
    flag_strange_peaks(image, variance, excluded, COLUMNS, 1, 1, peaks, 7.0, 0.0, 0.0, SOFT, ERROR, flagged)
    clear = 0
    for place in peaks:
        pixels, weights, _ = _window(image, none, place)
        chi = nnls(COLUMNS[0] * weights[:, np.newaxis], pixels * weights)[1]
        if not 6.6 < chi < 7.4:
            clear += 1
            left = chi > 7.0 and _left(image, none, place)
            assert flagged.ravel()[place] == (left > 0.0) or abs(left) < 0.5
    assert clear > 10
    assert 3 < flagged.sum() < peaks.size - 3


def test_grown_pixels_are_those_that_the_scene_around_them_leaves():
    image, variance, excluded = _field(2)
    flagged = np.zeros(image.shape, bool)
    flagged.ravel()[bright_peaks(image, variance, excluded, 8.0)] = True
    before, clear = flagged.copy(), 0
    grow_strange(image, variance, excluded, COLUMNS, 1, 1, 5.0, 3.0, 0.0, SOFT, ERROR, 1, flagged)
    beside = np.zeros_like(flagged)
    for place in np.flatnonzero(before):
        row, col = np.unravel_index(place, image.shape)
        beside[row - 1 : row + 2, col - 1 : col + 2] = True
    for place in np.flatnonzero(beside & ~before & (image > 5.0))[::6]:
        left = _left(image, before, place)
        if abs(left - 3.0) > 0.6:
            clear += 1
            assert flagged.ravel()[place] == (left > 3.0)
    assert clear > 8
    assert not (flagged & ~before & ~beside).any()
    assert (flagged & ~before).any()


@pytest.mark.parametrize("peak", [20.0, 300.0])
def test_stars_are_acquitted_and_particles_are_not(peak):
    image, variance, excluded = peak * _star(20.1, 20.2) + peak * (_star(40.0, 40.0) > 0.9), *_field()[1:]
    flagged = image > 0.3 * peak
    acquit_stars(image.astype(np.float32), variance, excluded, COLUMNS, 1, 1, 3.0, 0.25, SOFT, ERROR, flagged)
    assert np.argwhere(flagged).tolist() == [[40, 40]]


def test_the_tail_of_a_hit_is_added_and_the_star_beside_it_is_not():
    rng = np.random.default_rng(1)
    image = rng.normal(0.0, 1.0, (SIZE, SIZE)) + 40.0 * _star(30.0, 34.2)
    image[30, 28:31], image[30, 31] = 200.0, 12.0
    flagged = np.zeros(image.shape, bool)
    flagged[30, 29] = True
    frame = image.astype(np.float32), np.ones(image.shape, np.float32), np.zeros(image.shape, bool)
    grow_strange(*frame, COLUMNS, 1, 1, 3.0, 3.0, 0.25, SOFT, ERROR, 12, flagged)
    assert np.argwhere(flagged).tolist() == [[30, 28], [30, 29], [30, 30], [30, 31]]


def test_a_pixel_of_which_the_scene_explains_most_is_not_added():
    image = 300.0 * _star(30.0, 30.0)
    image[30, 31] += 50.0
    frame = image.astype(np.float32), np.ones(image.shape, np.float32), np.zeros(image.shape, bool)
    for share, added in ((0.1, True), (0.9, False)):
        flagged = np.zeros(image.shape, bool)
        flagged[30, 32] = True
        grow_strange(*frame, COLUMNS, 1, 1, 3.0, 3.0, share, SOFT, ERROR, 1, flagged)
        assert flagged[30, 31] == added


def test_nothing_happens_beside_nan_and_excluded_pixels():
    image, variance, excluded = _field()
    excluded[:, :] = True
    flagged = np.zeros(image.shape, bool)
    flagged[20, 20] = True
    grow_strange(image, variance, excluded, COLUMNS, 1, 1, 3.0, 3.0, 0.25, SOFT, ERROR, 12, flagged)
    grow_strange(
        np.full_like(image, np.nan), variance, ~excluded, COLUMNS, 1, 1, 3.0, 3.0, 0.25, SOFT, ERROR, 12, flagged
    )
    assert flagged.sum() == 1
    assert bright_peaks(np.full_like(image, np.nan), variance, ~excluded, 3.0).size == 0
