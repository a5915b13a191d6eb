"""The search finds what brute force finds; frames are placed where a gnomonic WCS puts them."""

from itertools import combinations

import numpy as np
import pytest

from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import sky_position, unit_vector
from etendue.kernels.asterism import VARIANTS, code_variant, quad_code
from etendue.kernels.field_match import place_frame, search_codes, stars_on_frame
from etendue.kernels.point_tree import tree_order


def brute_force(x, y, newest, codes, shortest, error, least, most):
    found = set()
    for three in combinations(range(newest), 3):
        order, code = np.empty(4, np.int64), np.empty(4)
        if not quad_code(x, y, np.array([*three, newest]), most, order, code):
            continue
        length = np.hypot(x[order[0]] - x[order[1]], y[order[0]] - y[order[1]])
        slack = np.clip(error / length, least, most)
        for variant in range(VARIANTS if length >= shortest else 0):
            new_code, new_order = np.empty(4), np.empty(4, np.int64)
            if code_variant(code, order, variant, 2.0 * slack, new_code, new_order):
                near = np.flatnonzero(np.linalg.norm(codes - new_code, axis=1) <= slack)
                found |= {(int(row), *map(int, new_order)) for row in near}
    return found


@pytest.mark.parametrize("newest", [3, 9])
def test_hits_are_those_of_brute_force(newest):
    rng = np.random.default_rng(newest)
    x, y = rng.uniform(0.0, 500.0, (2, 10))
    codes = np.stack([rng.uniform(-0.2, 1.0, 4000), rng.uniform(-0.5, 0.5, 4000)] * 2, axis=1).astype(np.float32)
    codes = codes[tree_order(codes)]
    hits = search_codes(x, y, newest, 60.0, 30.0, 0.05, 0.2, codes, 0, len(codes))
    expected = brute_force(x, y, newest, codes, 60.0, 30.0, 0.05, 0.2)
    assert {tuple(hit) for hit in hits.tolist()} == expected
    assert len(expected) > 0 or newest == 3


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("center", [(359.9, 0.1), (120.0, 89.7), (30.0, -60.0)])
def test_four_stars_place_the_frame_where_the_wcs_does(center, mirrored):
    rng = np.random.default_rng(9)
    cd = 4.0 / 3600.0 * np.array([[0.8, -0.6], [0.6, 0.8]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    wcs = SkyWcs((499.5, 399.5), center, cd)
    x, y = rng.uniform(0.0, 999.0, 60), rng.uniform(0.0, 799.0, 60)
    vectors = unit_vector(*wcs.pixel_to_sky(x=x, y=y))
    order = tree_order(vectors)
    x, y, vectors = x[order], y[order], np.ascontiguousarray(vectors[order])
    middle, plane, hint = np.empty(3), np.empty(5), unit_vector(*center)
    rows = np.array([3, 17, 20, 41])
    limits = np.radians(np.array([3.9, 4.1]) / 3600.0)
    placed = place_frame(x[rows], y[rows], vectors, rows, 499.5, 399.5, hint, 0.001, *limits, middle, plane)
    assert placed
    ra, dec = sky_position(middle)
    np.testing.assert_allclose(unit_vector(ra, dec), unit_vector(*center), atol=1e-7)
    frame = np.array([-0.5, 999.5, -0.5, 799.5])
    found, px, py = stars_on_frame(vectors, np.arange(60.0), 0, 60, middle, plane, frame, 25)
    assert found.tolist() == list(range(59, 34, -1))  # the brightest, in order
    np.testing.assert_allclose(np.hypot(px - x[found], py - y[found]), 0.0, atol=0.02)
    for wrong in ((hint, 0.001, limits[1], 1.0), (unit_vector(200.0, 10.0), 0.01, *limits)):
        assert not place_frame(x[rows], y[rows], vectors, rows, 499.5, 399.5, *wrong, middle, plane)
