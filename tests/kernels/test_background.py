import numpy as np
from scipy.ndimage import binary_dilation, uniform_filter

from etendue.kernels.background import cell_background, cell_edges, smooth_cells, source_pixels


def _definition(values, clip):
    mean, sigma = np.median(values), 0.7413 * np.subtract(*np.percentile(values, [75, 25]))
    kept = values
    for _ in range(30):
        kept = values[np.abs(values - mean) <= clip * sigma]
        mean, sigma = kept.mean(), kept.std()
    median = np.median(kept)
    return (median if abs(mean - median) > 0.3 * sigma else 2.5 * median - 1.5 * mean), sigma


def _star_field(seed=1, shape=(256, 320)):
    rng = np.random.default_rng(seed)
    image = rng.normal(100.0, 5.0, shape)
    y, x = np.mgrid[:15, :15] - 7
    star = np.exp(-(y**2 + x**2) / 4.0)
    for _ in range(60):
        row, col = rng.integers(0, shape[0] - 15), rng.integers(0, shape[1] - 15)
        image[row : row + 15, col : col + 15] += rng.pareto(1.0) * 30.0 * star
    return image.astype(np.float32)


def test_agrees_with_the_definition():
    image, edges = _star_field(), (cell_edges(256, 64), cell_edges(320, 64))
    level, sigma = cell_background(image, np.zeros(image.shape, bool), *edges, 3.0, 30)
    for j in range(4):
        for i in range(5):
            cell = image[64 * j : 64 * j + 64, 64 * i : 64 * i + 64].astype(float).ravel()
            expected = _definition(cell, 3.0)
            assert abs(level[j, i] - expected[0]) < 0.05 * expected[1]  # 3 times the error of a level
            np.testing.assert_allclose(sigma[j, i], expected[1], rtol=0.02)


def test_sky_of_pure_noise_is_unbiased():
    rng = np.random.default_rng(7)
    image = rng.normal(0.0, 1.0, (1024, 1024)).astype(np.float32)
    edges = cell_edges(1024, 64)
    level, sigma = cell_background(image, np.zeros(image.shape, bool), edges, edges, 3.0, 10)
    assert abs(level.mean()) < 4.0 * level.std() / 16.0
    assert level.std() < 3.0 / 64.0
    assert abs(sigma.mean() - 0.9866) < 0.005  # of a normal distribution cut at 3 sigma


def test_masked_and_nan_pixels_are_not_used_and_empty_cells_are_nan():
    image = np.full((64, 128), 5.0, dtype=np.float32)
    image[:, 64:] = np.nan
    bad = np.zeros(image.shape, bool)
    bad[:32, :64], image[:32, :64] = True, 1e6
    level, _ = cell_background(image, bad, cell_edges(64, 64), cell_edges(128, 64), 3.0, 10)
    assert level[0, 0] == 5.0
    assert np.isnan(level[0, 1])


def test_edges_cover_the_axis_once():
    assert cell_edges(300, 128).tolist() == [0, 128, 256, 300]
    assert cell_edges(256, 128).tolist() == [0, 128, 256]


def test_empty_cells_are_filled_and_lone_bright_ones_removed():
    level = np.ones((5, 5))
    level[2, 2], level[0, 0] = 50.0, np.nan
    np.testing.assert_allclose(smooth_cells(level, size=3, tolerance=0.5), 1.0, atol=1e-9)
    assert abs(smooth_cells(level, size=1, tolerance=0.5)[2, 2] - 50.0) < 1e-9


def test_gradients_survive_to_the_corners():
    y, x = np.indices((6, 8)).astype(float)
    plane = 300.0 * y - 200.0 * x + 10.0 * x * y
    holes = plane.copy()
    holes[0, 0], holes[3, 3] = np.nan, 1e4
    np.testing.assert_allclose(smooth_cells(holes, size=3, tolerance=1.0), plane, atol=1e-6)


def test_source_pixels_agree_with_the_definition():
    image = _star_field()
    bad = np.zeros(image.shape, bool)
    bad[100:110, 100:110] = True
    surface = np.full_like(image, 100.0)
    above = np.where(bad, 0.0, image - surface)
    peaks = np.abs(uniform_filter(above.astype(float), 3)) > 5.0
    peaks[[0, -1]], peaks[:, [0, -1]] = False, False
    expected = binary_dilation(peaks, np.ones((7, 7), bool)) | bad
    assert (source_pixels(image, surface, bad, 5.0, 3) == expected).mean() > 0.9999
