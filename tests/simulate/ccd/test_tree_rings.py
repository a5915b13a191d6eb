import numpy as np
import pytest

from etendue.simulate.ccd.streams import Streams
from etendue.simulate.ccd.tree_rings import TreeRings, TreeRingSpec

CENTER = (-150.0, -90.0)
SPEC = {"rms_px": 0.05, "center_px": CENTER, "growth": 1.0, "period_px": (15.0, 60.0)}


def test_flats_show_the_divergence_of_the_displacement(make_ccd, make_chip):
    """Rings in the radial profile of a flat are -f' - f / r (Plazas et al. 2014, eq. 2)."""
    detector = make_chip(256, 256, columns=1, stories=1, gain=4.0)
    ccd = make_ccd(detector, tree_rings=SPEC)
    level = 200000.0
    light = np.full(ccd.shape, level, np.float32)
    flat = np.mean([detector.trim(ccd.expose(light, 1.0, np.random.default_rng(k)).raw) for k in range(6)], 0)
    flat = flat * 4.0 / level - 1.0
    y, x = np.mgrid[:256, :256]
    radius = np.hypot(x - CENTER[0], y - CENTER[1])
    bins = np.arange(200, 480)
    count = np.histogram(radius, bins)[0]
    profile = np.histogram(radius, bins, weights=flat)[0] / count
    table = ccd.tree_rings.table
    grid = np.arange(table.size) * 0.5
    divergence = -np.gradient(table, 0.5) - table / np.maximum(grid, 1.0)
    expected = np.interp(bins[:-1] + 0.5, grid, divergence)
    assert np.corrcoef(profile, expected)[0, 1] > 0.97
    assert np.polyfit(expected, profile, 1)[0] == pytest.approx(1.0, abs=0.05)


def test_stars_are_displaced_as_the_truth_says(make_ccd, make_chip):
    detector = make_chip(256, 256, columns=1, stories=1, gain=1.0)
    ccd = make_ccd(detector, shot_noise=False, tree_rings=SPEC)
    line, sigma = np.arange(256), 1.8
    x, y = (c.ravel() for c in np.meshgrid(np.arange(16, 250, 24) + 0.3, np.arange(16, 250, 24) - 0.2))
    light = np.zeros(ccd.shape, np.float32)
    for xi, yi in zip(x, y, strict=True):
        light += 6e4 * np.exp(-0.5 * ((line[:, None] - yi) ** 2 + (line[None, :] - xi) ** 2) / sigma**2)
    found = detector.trim(ccd.expose(light, 1.0, np.random.default_rng(1)).raw).astype(float)
    shift = np.array([centroid(found, a, b) - centroid(light, a, b) for a, b in zip(x, y, strict=True)])
    expected = np.array([mean_displacement(ccd.tree_rings, a, b, sigma) for a, b in zip(x, y, strict=True)])
    assert np.abs(expected).max() > 0.04
    assert np.sum(shift * expected) / np.sum(expected**2) == pytest.approx(1.0, abs=0.02)
    assert np.std(shift - expected) < 0.05 * np.std(expected)


def mean_displacement(rings, x, y, sigma):
    """Return the truth's displacement averaged over the light of a star."""
    dy, dx = (offset.ravel().astype(float) for offset in np.mgrid[-7:8, -7:8])
    weight = np.exp(-0.5 * (dx**2 + dy**2) / sigma**2)
    return np.average(rings.displacement(x + dx, y + dy), axis=1, weights=weight)


def centroid(image, x, y):
    col, row = round(x), round(y)
    cut = image[row - 8 : row + 9, col - 8 : col + 9]
    line = np.arange(-8, 9)
    return np.array([(cut.sum(0) * line).sum(), (cut.sum(1) * line).sum()]) / cut.sum()


def test_light_is_conserved_and_size_and_growth_are_as_asked():
    rings = TreeRings.make(TreeRingSpec(rms_px=0.03, growth=0.0), (600, 500), Streams(4))
    assert rings.table.std() == pytest.approx(0.03, rel=0.25)
    light = np.random.default_rng(1).uniform(0.0, 100.0, (600, 500)).astype(np.float32)
    moved = light.copy()
    rings.apply(moved)
    assert moved.sum(dtype=float) == pytest.approx(light.sum(dtype=float), rel=1e-7)
    growing = TreeRings.make(TreeRingSpec(rms_px=0.03, growth=3.0), (600, 500), Streams(4))
    assert growing.table[: growing.table.size // 4].std() < 0.2 * growing.table[-200:].std()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3), (3, 2), (4, 4)])
def test_small_frames_keep_their_light(shape):
    rings = TreeRings.make(TreeRingSpec(rms_px=0.1), shape, Streams(4))
    light = np.random.default_rng(2).uniform(1.0, 2.0, shape).astype(np.float32)
    moved = light.copy()
    rings.apply(moved)
    assert moved.sum() == pytest.approx(light.sum(), rel=1e-5)
