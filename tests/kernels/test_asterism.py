"""Codes of four stars do not change when the field is moved, turned, scaled, mirrored or its stars renamed."""

from itertools import combinations, permutations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from etendue.geom.sphere import tangent_plane, unit_vector
from etendue.kernels.asterism import (
    VARIANTS,
    code_variant,
    next_triple,
    pick_quads,
    project,
    quad_code,
    quads_around,
)
from etendue.kernels.point_tree import tree_order


def canonical(x, y, stars=(0, 1, 2, 3)):
    """Return the canonical code of four points and their order, or None."""
    order, code = np.empty(4, np.int64), np.empty(4)
    if not quad_code(np.array(x, float), np.array(y, float), np.array(stars), 0.0, order, code):
        return None
    for variant in range(VARIANTS):
        new_code, new_order = np.empty(4), np.empty(4, np.int64)
        if code_variant(code, order, variant, 0.0, new_code, new_order):
            return new_code, new_order
    raise AssertionError("no variant is canonical")


@given(seed=st.integers(0, 10**6), angle=st.floats(0.0, 6.28), scale=st.floats(0.01, 100.0), mirrored=st.booleans())
def test_a_code_does_not_change_under_similarities_and_renaming(seed, angle, scale, mirrored):
    rng = np.random.default_rng(seed)
    points = rng.random(4) + 1j * rng.random(4)
    first = canonical(points.real, points.imag)
    assume(first is not None)
    code = first[0]
    edges = (code[0] + code[2] - 1.0, code[0] - code[2], code[1] + code[3])
    assume(min(map(abs, edges)) > 1e-6)  # on an edge of the canonical set rounding decides
    turned = scale * np.exp(1j * angle) * (points.conj() if mirrored else points) + 3.0 - 2.0j
    for names in permutations(range(4)):
        moved = turned[list(names)]
        again = canonical(moved.real, moved.imag)
        assert again is not None
        np.testing.assert_allclose(again[0], code, atol=1e-9)
        assert [names[k] for k in again[1]] == first[1].tolist()


def test_stars_outside_the_circle_have_no_code():
    assert canonical([0.0, 1.0, 0.2, 0.5], [0.0, 0.0, 0.45, -0.3]) is None
    assert canonical([0.0, 1.0, 0.5, 0.5], [0.0, 0.0, 0.45, -0.4]) is not None
    assert canonical([1.0] * 4, [1.0] * 4) is None


@given(n=st.integers(0, 9))
def test_triples_are_all_combinations(n):
    triple, found, started = np.empty(3, np.int64), [], 0
    while next_triple(n, started, triple):
        started = 1
        found.append(tuple(int(k) for k in triple))
    assert sorted(found) == list(combinations(range(n), 3))


def test_projection_is_gnomonic():
    rng = np.random.default_rng(3)
    for ra0, dec0 in ((10.0, 20.0), (200.0, -89.9), (0.0, 90.0)):
        ra, dec = ra0 + rng.uniform(-1.0, 1.0, 20), np.clip(dec0 + rng.uniform(-2.0, 2.0, 20), -90.0, 90.0)
        center, xi, eta = unit_vector(ra0, dec0), np.empty(20), np.empty(20)
        project(unit_vector(ra, dec), np.arange(20), center, xi, eta)
        expected = np.radians(tangent_plane(ra, dec, ra0, dec0))
        np.testing.assert_allclose(np.hypot(xi, eta), np.hypot(*expected), atol=1e-12)
        if dec0 < 89.0:
            np.testing.assert_allclose([xi, eta], expected, atol=1e-12)


def test_quads_of_a_cell_are_those_of_the_definition():
    rng = np.random.default_rng(4)
    for _ in range(20):
        x, y = rng.uniform(-1.1, 1.1, (2, 9))
        wanted = set()
        for four in combinations(range(9), 4):
            found = canonical(x, y, four)
            if found is not None:
                a, b = found[1][:2]
                length, middle = np.hypot(x[a] - x[b], y[a] - y[b]), np.hypot(x[a] + x[b], y[a] + y[b]) / 2.0
                if 0.5 <= length < 1.0 and middle <= 0.6:
                    wanted.add(four)
        assert {tuple(sorted(q)) for q in quads_around(x, y, 1.0, 1000, 1000).tolist()} == wanted


def test_few_quads_are_those_of_the_brightest_stars_and_spread_over_them():
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-1.1, 1.1, (2, 30))
    everything = np.sort(quads_around(x, y, 1.0, 10**5, 10**5), axis=1)
    few = np.sort(quads_around(x, y, 1.0, 8, 4), axis=1)
    assert len(few) == 8
    assert np.bincount(few.ravel()).max() <= 4
    assert np.median(few.max(axis=1)) < np.median(everything.max(axis=1))


def test_picked_quads_carry_their_own_codes():
    rng = np.random.default_rng(6)
    vectors = unit_vector(rng.uniform(100.0, 103.0, 500), rng.uniform(-1.5, 1.5, 500))
    vectors = vectors[tree_order(vectors)]
    quads, codes = pick_quads(vectors, rng.random(500), 0, 500, unit_vector([101.5], [0.0]), 0.02, 16, 8, 20)
    assert 8 < len(quads) <= 16
    xi, eta = np.empty(500), np.empty(500)
    project(vectors, np.arange(500), unit_vector(101.5, 0.0), xi, eta)
    for quad, code in zip(quads, codes, strict=True):
        found = canonical(xi, eta, quad.tolist())
        np.testing.assert_allclose(found[0], code, atol=1e-6)
        assert found[1].tolist() == quad.tolist()
