import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from etendue.errors import InputError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import separation_deg, tangent_plane
from etendue.geom.tpv import TpvPolynomial

CD = np.array([[-3e-4, 1e-5], [2e-5, 2.9e-4]])
SIP = [[0, 0, 1e-6, 2e-10], [0, 2e-6, 0, 0], [3e-6, 0, 0, 0], [1e-10, 0, 0, 0]]
TPV = TpvPolynomial.from_terms({1: 1.001, 3: 1e-4, 4: 1e-3, 7: -5e-3, 11: 1e-3}, {0: 1e-4, 2: 1e-4, 10: 3e-3, 11: 1e-3})


def wcs_of(kind, crval=(150.0, 40.0)):
    if kind == "TAN":
        return SkyWcs.tan(crpix_x=900.0, crpix_y=800.0, crval_ra_deg=crval[0], crval_dec_deg=crval[1], cd=CD)
    if kind == "SIP":
        return SkyWcs.from_polynomial(crpix=(900.0, 800.0), crval=crval, cd=CD, sip_a=SIP, sip_b=np.transpose(SIP))
    return SkyWcs((900.0, 800.0), crval, CD, tpv=TPV)


KINDS = ["TAN", "SIP", "TPV"]


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(KINDS), st.floats(0, 360), st.floats(-90, 90), st.floats(-200, 2200), st.floats(-200, 2200))
def test_inverse_returns_the_pixel(kind, ra, dec, x, y):
    wcs = wcs_of(kind, (ra, dec))
    there = wcs.pixel_to_sky(x=x, y=y)
    assert 0 <= there[0] < 360
    # Near a pole right ascension alone cannot hold the position: what counts is the way on the sky.
    back = wcs.sky_to_pixel(ra_deg=there[0], dec_deg=there[1])
    assert_allclose(back, (x, y), atol=3e-9, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dec", [-90.0, -89.9, 0.0, 40.0, 90.0])
def test_jacobian_is_the_derivative(kind, dec):
    wcs, x, y, h = wcs_of(kind, (10.0, dec)), 1203.0, 345.0, 0.5
    here = wcs.pixel_to_sky(x=x, y=y)
    steps = [(h, 0), (-h, 0), (0, h), (0, -h)]
    plane = np.array([tangent_plane(*wcs.pixel_to_sky(x=x + dx, y=y + dy), *here) for dx, dy in steps]) * 3600
    numerical = np.stack([plane[0] - plane[1], plane[2] - plane[3]], axis=1)
    assert_allclose(wcs.jacobian(x=x, y=y), numerical, atol=2e-8)
    assert_allclose(wcs.pixel_scale(x=x, y=y), np.sqrt(abs(np.linalg.det(numerical))), rtol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_give_what_their_elements_give(kind):
    wcs, x, y = wcs_of(kind), np.linspace(0, 2000, 12).reshape(3, 4), 77.0
    ra, dec = wcs.pixel_to_sky(x=x, y=y)
    jacobian = wcs.jacobian(x=x, y=y)
    assert ra.shape == (3, 4)
    assert jacobian.shape == (3, 4, 2, 2)
    assert (ra[1, 2], dec[1, 2]) == tuple(float(c) for c in wcs.pixel_to_sky(x=x[1, 2], y=y))
    assert_allclose(jacobian[1, 2], wcs.jacobian(x=x[1, 2], y=y), rtol=1e-13)
    assert wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec)[0].shape == (3, 4)
    assert wcs.sky_to_pixel(ra_deg=[], dec_deg=[])[0].shape == (0,)


@pytest.mark.parametrize("kind", KINDS)
def test_survives_json_exactly(kind):
    wcs = wcs_of(kind, (123.456789012345, -1 / 3))
    again = SkyWcs.from_dict(json.loads(json.dumps(wcs.to_dict())))
    assert again == wcs
    assert again.content_hash() == wcs.content_hash() != wcs.shifted(dx=1e-9, dy=0).content_hash()


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_moves_the_pixel_origin_only(kind):
    wcs = wcs_of(kind)
    assert_allclose(
        wcs.shifted(dx=-17, dy=4).pixel_to_sky(x=83.0, y=104.0), wcs.pixel_to_sky(x=100.0, y=100.0), rtol=1e-14
    )


def test_local_affine_is_tangent():
    wcs = wcs_of("SIP")
    local = wcs.local_affine(x=100.0, y=200.0)
    near = {"x": 103.0, "y": 198.0}
    assert separation_deg(*local.pixel_to_sky(x=100.0, y=200.0), *wcs.pixel_to_sky(x=100.0, y=200.0)) < 1e-12
    assert separation_deg(*local.pixel_to_sky(**near), *wcs.pixel_to_sky(**near)) * 3600 < 1e-4


def test_what_cannot_be_seen_or_inverted_is_nan():
    assert np.isnan(wcs_of("TAN").sky_to_pixel(ra_deg=330.0, dec_deg=-40.0)).all()
    assert np.isnan(wcs_of("SIP").sky_to_pixel(ra_deg=[330.0, np.nan], dec_deg=[-40.0, 40.0])).all()
    folded = SkyWcs.from_polynomial(
        crpix=(0, 0), crval=(0, 0), cd=CD, sip_a=[[0], [0], [1e-3]] @ np.eye(1, 3), sip_b=[[0.0]]
    )
    assert np.isnan(folded.plane_to_pixel(xi_deg=1.0, eta_deg=0.0)).all()


@pytest.mark.parametrize("cd", [np.zeros((2, 2)), [[np.nan, 0], [0, 1]], np.eye(3)])
def test_bad_matrices_are_refused(cd):
    with pytest.raises(InputError, match="CD matrix"):
        SkyWcs((0, 0), (0, 0), cd)


def test_nobody_can_change_a_wcs():
    with pytest.raises(ValueError, match="read-only"):
        wcs_of("TAN").cd[0, 0] = 1.0


def test_stars_far_outside_do_not_fold_back_into_the_frame():
    cubic = np.zeros((4, 4))
    cubic[3, 0] = -1e-7
    wcs = SkyWcs.from_polynomial(crpix=(0, 0), crval=(0, 0), cd=np.eye(2) * 1e-3, sip_a=cubic, sip_b=np.zeros((4, 4)))
    x, _ = wcs.plane_to_pixel(xi_deg=[0.5, 5.0, 10.0, -7.0], eta_deg=0.0)
    assert np.isfinite(x[0])
    assert np.isnan(x[1:]).all()
