"""A solved field has a WCS as good as its stars, with the order of distortion that they can tell."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import separation_deg
from etendue.refcat.build import write_reference_catalog
from etendue.refcat.star_index import build_star_index
from etendue.table.table import Table
from etendue.tasks.astrometry.solve import SolveFieldTask, field_cone
from etendue.tasks.match.blind import SkyHint

BOX = Box.from_shape((700, 900))
CD = np.array([[-1.8, 0.3], [0.3, 1.8]]) / 3600.0


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    rng = np.random.default_rng(21)
    n = 5000
    table = Table("refcat", {
        "id": np.arange(n), "ra": rng.uniform(49.0, 51.0, n), "dec": rng.uniform(-31.0, -29.0, n),
        "raErr": np.zeros(n), "decErr": np.zeros(n), "epoch": np.full(n, 51544.5),
        "r_flux": 10.0 ** rng.uniform(3.0, 6.0, n), "r_fluxErr": np.full(n, np.nan),
    })  # fmt: skip
    return build_star_index(write_reference_catalog(table, tmp_path_factory.mktemp("solve") / "cat"), max_order=10)


def seen(index, wcs, noise=0.05, seed=1):
    ra, dec, radius = field_cone(wcs, BOX)
    stars = index.near(ra_deg=ra, dec_deg=dec, radius_deg=radius).near(wcs, BOX, margin_px=0.0)
    x, y = wcs.sky_to_pixel(ra_deg=stars.ra_deg, dec_deg=stars.dec_deg)
    error = np.random.default_rng(seed).normal(0.0, noise, (2, x.size))
    return x + error[0], y + error[1], stars.fluxes["r"][0]


def largest_error_px(wcs, truth):
    x, y = np.meshgrid(np.linspace(0.0, 899.0, 12), np.linspace(0.0, 699.0, 12))
    sky = truth.pixel_to_sky(x=x, y=y)
    return float((separation_deg(*wcs.pixel_to_sky(x=x, y=y), *sky) * 3600.0 / 1.8).max())


def test_an_undistorted_field_is_solved_with_a_linear_fit(index):
    truth = SkyWcs((449.5, 349.5), (50.1, -30.2), CD)
    x, y, flux = seen(index, truth)
    solved = SolveFieldTask().run(x=x, y=y, flux=flux, bbox=BOX, index=index)
    said = solved.statistics()
    assert said["order"] == 1
    assert said["matched"] > 0.9 * x.size
    assert largest_error_px(solved.wcs, truth) < 0.06
    assert abs(said["scale_arcsec"] / 3600.0 / np.sqrt(abs(np.linalg.det(CD))) - 1.0) < 1e-3
    assert said["parity"] == "true"
    assert abs(said["rotation_deg"] - np.degrees(np.arctan2(0.3, 1.8))) < 0.02


def test_a_distorted_field_gets_sip_terms(index):
    sip_a, sip_b = np.zeros((4, 4)), np.zeros((4, 4))
    sip_a[3, 0] = sip_a[1, 2] = sip_b[0, 3] = sip_b[2, 1] = 2.0e-8  # 2 px in the corners
    truth = SkyWcs.from_polynomial(crpix=(449.5, 349.5), crval=(50.1, -30.2), cd=CD, sip_a=sip_a, sip_b=sip_b)
    x, y, flux = seen(index, truth)
    solved = SolveFieldTask().run(x=x, y=y, flux=flux, bbox=BOX, index=index)
    assert solved.statistics()["order"] == 3
    assert largest_error_px(solved.wcs, truth) < 0.2


def test_a_hint_elsewhere_is_no_solution(index):
    x, y, flux = seen(index, SkyWcs((449.5, 349.5), (50.1, -30.2), CD))
    with pytest.raises(AlgorithmError):
        SolveFieldTask().run(x=x[:30], y=y[:30], flux=flux[:30], bbox=BOX, index=index, hint=SkyHint(60.0, 0.0, 2.0))
