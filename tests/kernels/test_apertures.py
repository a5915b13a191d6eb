"""Sums in circles: exact overlaps, and the slow definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from etendue.kernels.apertures import circle_fluxes, circle_overlap


@given(st.floats(0.2, 40.0), st.floats(0.0, 6.3), st.floats(-0.9, 0.9))
def test_the_overlap_is_the_area_of_pixel_and_circle(radius, angle, beside):
    dx, dy = (radius + beside) * np.cos(angle), (radius + beside) * np.sin(angle)

    def chord(x):
        reach = np.sqrt(max(radius**2 - x**2, 0.0))
        return max(0.0, min(dy + 0.5, reach) - max(dy - 0.5, -reach))

    breaks = [np.sqrt(max(radius**2 - edge**2, 0.0)) * sign for edge in (dy - 0.5, dy + 0.5) for sign in (-1, 1)]
    ends = [dx - 0.5, *sorted(b for b in [*breaks, -radius, radius] if abs(b - dx) < 0.5), dx + 0.5]
    area = sum(integrate.quad(chord, a, b, epsabs=1e-10)[0] for a, b in itertools.pairwise(ends))
    assert circle_overlap(dx, dy, radius) == pytest.approx(area, abs=1e-7)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(0.3, 30.0))
def test_overlaps_of_all_pixels_add_up_to_the_circle(x, y, radius):
    image = np.ones((70, 70))
    none = np.zeros(0, np.float32)
    where = np.array([34.0 + x]), np.array([35.0 + y])
    one = np.zeros(1, np.int64)
    bad = np.zeros(image.shape, bool)
    flux, _ = circle_fluxes(image, image, bad, none, np.zeros(2, np.int64), one, one, one * 0, one * 0, *where,
                            np.array([radius]))  # fmt: skip
    assert flux[0, 0] == pytest.approx(np.pi * radius**2, rel=2e-6)


def test_sums_are_those_of_pixels_weighted_by_overlap_with_own_light_and_bad_pixels_left_out():
    rng = np.random.default_rng(2)
    residual, variance = rng.normal(size=(60, 64)), rng.uniform(1.0, 2.0, (60, 64))
    bad = rng.random(residual.shape) < 0.05
    own = rng.random((2, 9, 11)).astype(np.float32)
    x, y, x0, y0 = np.array([30.3, 5.0]), np.array([28.8, 6.1]), np.array([25, -2]), np.array([24, 2])
    radii = np.array([2.0, 4.5, 20.0])
    flux, error = circle_fluxes(
        residual, variance, bad, own.ravel(), np.array([0, 99, 198]), x0, y0, np.full(2, 11), np.full(2, 9), x, y, radii
    )
    for s in range(2):
        alone = np.pad(np.where(bad, 0.0, residual), 3)
        alone[y0[s] + 3 : y0[s] + 12, x0[s] + 3 : x0[s] + 14] += own[s]
        for r, radius in enumerate(radii):
            if np.isnan(flux[s, r]):
                assert (s, r) == (1, 2)
                continue
            weight = np.array([[circle_overlap(i - x[s], j - y[s], radius) for i in range(64)] for j in range(60)])
            assert flux[s, r] == pytest.approx((weight * alone[3:-3, 3:-3]).sum(), abs=1e-3)
            assert error[s, r] == pytest.approx(np.sqrt((weight**2 * variance).sum()), rel=1e-4)
