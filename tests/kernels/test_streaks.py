import numpy as np

from etendue.kernels.streaks import best_lines, bin_significance, paint_line, straighten, strip_medians


def test_bin_significance_agrees_with_its_definition():
    rng = np.random.default_rng(1)
    image = rng.normal(0.0, 3.0, (18, 22)).astype(np.float32)
    image[3, 3] = np.nan
    variance = rng.uniform(5.0, 10.0, image.shape).astype(np.float32)
    bad = rng.random(image.shape) < 0.3
    bad[4:8, 4:8] = True
    out = np.empty((4, 5), np.float32)
    bin_significance(image, variance, bad, 4, out)
    for row in range(4):
        for col in range(5):
            part = slice(4 * row, 4 * row + 4), slice(4 * col, 4 * col + 4)
            good = ~bad[part] & np.isfinite(image[part])
            expected = image[part][good].sum() / np.sqrt(variance[part][good].sum()) if good.sum() >= 8 else np.nan
            np.testing.assert_allclose(out[row, col], expected, rtol=1e-5)


def _line_columns(first, shift, height):
    """Return the columns of a line by the recursion: half of the shift in each half, the jump between them."""
    if height == 1:
        return [first]
    half = shift // 2
    below = _line_columns(first, half, height // 2)
    return below + _line_columns(first + (shift + 1) // 2, half, height // 2)


def test_best_lines_agree_with_their_definition():
    rng = np.random.default_rng(5)
    values = rng.normal(0.0, 1.0, (16, 20)).astype(np.float32)
    weights = (rng.random(values.shape) < 0.9).astype(np.float32)
    values *= weights
    found = np.zeros((3, 5))
    best_lines(values, weights, 4, 0.5, found)
    best = np.zeros(3)
    for height in (4, 8, 16):
        for row in range(0, 16, height):
            for first in range(-16, 20):
                for shift in range(height):
                    cells = [(row + i, c) for i, c in enumerate(_line_columns(first, shift, height)) if 0 <= c < 20]
                    weight = sum(weights[cell] for cell in cells)
                    if weight >= 0.5 * height:
                        part = (first + 16) * 3 // 36
                        best[part] = max(best[part], sum(values[cell] for cell in cells) / weight**0.5)
    np.testing.assert_allclose(found[:, 0], best, rtol=1e-5)


def test_best_lines_keep_what_was_better():
    found = np.array([[99.0, 1.0, 2.0, 3.0, 4.0]])
    best_lines(np.ones((8, 8), np.float32), np.ones((8, 8), np.float32), 4, 0.5, found)
    assert found.tolist() == [[99.0, 1.0, 2.0, 3.0, 4.0]]


def test_straighten_follows_a_slope_and_knows_bad_pixels():
    y, x = np.mgrid[:30, :40].astype(np.float32)
    image = (100.0 * y + x).astype(np.float32)
    bad = np.zeros(image.shape, bool)
    bad[10, 9] = True
    strip = np.empty((30, 5), np.float32)
    straighten(image, bad, 4.25, 0.5, strip)
    expected = 100.0 * np.arange(30)[:, None] + 4.25 + 0.5 * np.arange(30)[:, None] + np.arange(-2, 3)
    known = np.isfinite(strip)
    np.testing.assert_allclose(strip[known], expected[known], rtol=1e-6)
    assert np.isnan(strip[10, 1:3]).all()
    turned = np.empty((40, 5), np.float32)
    straighten(image.T, bad.T, 4.0, 0.0, turned)
    np.testing.assert_allclose(turned[:, 2], image[4], rtol=1e-6)


def test_strip_medians_leave_out_nan():
    strip = np.array([[1.0, np.nan], [5.0, np.nan], [3.0, np.nan], [9.0, 2.0]], np.float32)
    out = np.empty((2, 2), np.float32)
    strip_medians(strip, 2, out)
    np.testing.assert_array_equal(out, np.array([[3.0, np.nan], [6.0, 2.0]], np.float32))


def test_paint_line_agrees_with_its_definition():
    y, x = np.mgrid[:40, :50]
    for x0, y0, x1, y1 in ((-5.0, 3.0, 60.0, 30.0), (10.0, 45.0, 12.0, -3.0), (5.0, 20.0, 30.0, 20.0)):
        mask = np.zeros((40, 50), bool)
        paint_line(mask, x0, y0, x1, y1, 2.5)
        length = np.hypot(x1 - x0, y1 - y0)
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
        across = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length
        np.testing.assert_array_equal(mask, (np.abs(across) <= 2.5) & (along >= 0.0) & (along <= length))
