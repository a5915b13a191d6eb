"""Sky in blocks without light, and the surface through it."""

import numpy as np

from etendue.kernels.sky_blocks import BLOCK, block_sums, clean_cells, grown_flags, pooled, smooth_surface


def _sums(image, mask, limit=1.0, cell=64):
    shape = tuple(-(-n // BLOCK) for n in image.shape)
    sums, counts, flagged = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    cells = np.full(tuple(-(-n // cell) for n in image.shape), limit)
    for top in range(0, image.shape[0], cell):
        stop = min(top + cell, image.shape[0])
        first = max(top - 1, 0) // BLOCK
        sky = np.zeros((min(stop, image.shape[0] - 1) // BLOCK + 1 - first, image.shape[1]), np.float32)
        block_sums(image, sky, mask, 1, 2, cells, cell, first, top, stop, sums, counts, flagged)
    return sums, counts, flagged


def test_blocks_hold_the_usable_pixels_and_flags_agree_with_the_definition():
    rng = np.random.default_rng(1)
    image = rng.normal(size=(150, 133)).astype(np.float32)
    mask = (rng.random(image.shape) < 0.05).astype(np.int32)
    image[7, 9] = np.nan
    sums, counts, flagged = _sums(image, mask)
    good = (mask == 0) & np.isfinite(image)
    clean = np.where(good, image, np.float32(0.0))
    np.testing.assert_allclose(sums, pooled(clean, BLOCK), atol=1e-5)
    np.testing.assert_array_equal(counts, pooled(good.astype(np.float32), BLOCK))
    padded = np.pad(clean, 1)
    nine = sum(padded[j : j + 150, i : i + 133] for j in range(3) for i in range(3))
    np.testing.assert_array_equal(flagged, pooled((np.abs(nine) > 9.0).astype(np.float32), BLOCK) > 0)


def test_pixels_marked_as_light_flag_their_block_only():
    image, mask = np.zeros((64, 64), np.float32), np.zeros((64, 64), np.int32)
    mask[17, 30] = 2
    _, counts, flagged = _sums(image, mask)
    assert np.argwhere(flagged).tolist() == [[4, 7]]
    assert (counts == 16.0).all()


def test_flags_grow_by_squares():
    flagged = np.zeros((9, 9), bool)
    flagged[4, 4] = True
    assert grown_flags(flagged, 2).sum() == 25


def test_faint_extended_light_is_left_out_of_cells():
    rng = np.random.default_rng(4)
    image = rng.normal(size=(512, 512)).astype(np.float32)
    image[200:264, 200:264] += 0.4  # far below the limit of single blocks
    cells = clean_cells(*_sums(image, np.zeros(image.shape, np.int32)), 32, clip=2.5, margin=2, fewest=0.05)
    assert np.nanmax(np.abs(cells.level)) < 0.1
    assert np.nanmean(cells.level) < 0.01
    assert 0.9 < cells.noise < 1.1


def test_a_quadratic_sky_with_holes_comes_back():
    y, x = np.mgrid[:20, :25]
    sky = 5.0 + 0.3 * y - 0.2 * x + 0.01 * x * y - 0.02 * y**2
    rng = np.random.default_rng(2)
    level = sky + rng.normal(0.0, 0.01, sky.shape)
    level[3:7, 10:16] = np.nan
    surface = smooth_surface(level, np.full(sky.shape, 100.0))
    assert np.abs(surface - sky).max() < 0.01


def test_structure_is_followed_and_objects_are_bridged():
    y, x = np.mgrid[:32, :32] / 32.0
    rng = np.random.default_rng(3)
    waves = 0.5 * np.sin(9.0 * x) * np.cos(7.0 * y)
    level = waves + rng.normal(0.0, 0.01, x.shape)
    weight = np.full(x.shape, 50.0)
    assert np.std(smooth_surface(level, weight) - waves) < 0.01
    galaxy = 0.6 * np.exp(-np.hypot(x - 0.5, y - 0.45) / 0.06)
    flat = galaxy + rng.normal(0.0, 0.01, x.shape)
    assert np.abs(smooth_surface(flat, weight)).max() < 0.01
    assert smooth_surface(flat, weight, object_clip=None).max() > 0.1


def test_cut_cells_count_at_their_true_place():
    edges = np.append(np.arange(8.0), 7.1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    sky = np.add.outer(middle, 2.0 * middle)
    surface = smooth_surface(sky, np.ones(sky.shape), extent=(7.1, 7.1))
    np.testing.assert_allclose(surface, sky, atol=1e-5)
