"""Blind matching finds the true place whatever the rotation, parity and scale, and nothing where nothing is."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.sphere import separation_deg, tangent_plane
from etendue.kernels.field_match import field_log_odds, fit_similarity
from etendue.refcat.build import write_reference_catalog
from etendue.refcat.star_index import build_star_index
from etendue.table.table import Table
from etendue.tasks.match.blind import BlindMatchConfig, BlindMatchTask, SkyHint

SIDE = 800.0
FRAME = (-0.5, SIDE - 0.5, -0.5, SIDE - 0.5)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    rng = np.random.default_rng(11)
    n = 6000
    table = Table("refcat", {
        "id": np.arange(n), "ra": rng.uniform(149.0, 151.0, n), "dec": rng.uniform(1.0, 3.0, n),
        "raErr": np.zeros(n), "decErr": np.zeros(n), "epoch": np.full(n, 51544.5),
        "r_flux": 10.0 ** rng.uniform(3.0, 6.0, n), "r_fluxErr": np.full(n, np.nan),
    })  # fmt: skip
    return build_star_index(write_reference_catalog(table, tmp_path_factory.mktemp("blind") / "cat"), max_order=10)


def field(index, *, width, angle, mirrored, seed, ra=150.1, dec=2.1, missing=0.2):
    """Return sources of a frame: stars of the index moved, some missing, others added, brightness jumbled."""
    rng = np.random.default_rng(seed)
    stars = index.near(ra_deg=ra, dec_deg=dec, radius_deg=width)
    xi, eta = tangent_plane(stars.ra_deg, stars.dec_deg, ra, dec)
    z = (xi + 1j * eta) * SIDE / width * np.exp(1j * angle)
    z = z.conj() if mirrored else z
    kept = (np.abs(z.real) < SIDE / 2) & (np.abs(z.imag) < SIDE / 2) & (rng.random(z.size) > missing)
    added = rng.uniform(0.0, SIDE, (2, int(0.5 * kept.sum())))
    x, y = np.r_[z.real[kept] + SIDE / 2, added[0]], np.r_[z.imag[kept] + SIDE / 2, added[1]]
    flux = np.r_[stars.fluxes["r"][0][kept], rng.choice(stars.fluxes["r"][0], added.shape[1])]
    x, y = x + rng.normal(0.0, 0.3, x.size), y + rng.normal(0.0, 0.3, y.size)
    return x, y, flux * 10.0 ** rng.normal(0.0, 0.1, flux.size)


@pytest.mark.parametrize("width", [0.15, 0.4, 1.0])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0.3, 3.7])
def test_a_field_is_found_at_any_scale_rotation_and_parity(index, width, mirrored, angle):
    x, y, flux = field(index, width=width, angle=angle, mirrored=mirrored, seed=int(100 * width))
    match = BlindMatchTask().run(x=x, y=y, flux=flux, frame=FRAME, index=index)
    scale = 3600.0 * width / SIDE
    assert separation_deg(*match.wcs.crval, 150.1, 2.1) * 3600.0 < 2.0 * scale
    assert abs(match.wcs.pixel_scale() / scale - 1.0) < 0.003
    assert (np.linalg.det(match.wcs.cd) < 0.0) == mirrored
    assert match.log_odds > 27.6
    ra, dec = match.wcs.pixel_to_sky(x=x[match.source], y=y[match.source])
    vectors = index.vectors[match.star]
    true_ra, true_dec = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])), np.degrees(np.arcsin(vectors[:, 2]))
    assert (separation_deg(ra, dec, true_ra, true_dec) * 3600.0 < 5.0 * scale).all()


def test_a_bright_cluster_does_not_hide_the_field(index):
    rng = np.random.default_rng(12)
    x, y, flux = field(index, width=0.4, angle=2.0, mirrored=True, seed=9)
    x, y = np.r_[x, rng.normal(300.0, 25.0, 60)], np.r_[y, rng.normal(500.0, 25.0, 60)]
    flux = np.r_[flux, rng.uniform(0.5, 1.0, 60) * flux.max()]
    match = BlindMatchTask().run(x=x, y=y, flux=flux, frame=FRAME, index=index)
    assert separation_deg(*match.wcs.crval, 150.1, 2.1) * 3600.0 < 4.0


def test_sources_that_are_not_finite_are_left_out(index):
    x, y, flux = field(index, width=0.4, angle=1.0, mirrored=False, seed=2)
    x[:3], flux[5] = np.nan, np.nan
    match = BlindMatchTask().run(x=x, y=y, flux=flux, frame=FRAME, index=index)
    assert not set(match.source.tolist()) & {0, 1, 2}


@pytest.mark.parametrize(
    "kwargs",
    [
        {"hint": SkyHint(160.0, 2.0, 3.0)},
        {"hint": SkyHint(150.1, 2.6, 0.3)},
        {"scale_range_arcsec": (0.9, 1.7)},
        {"scale_range_arcsec": (1.9, 5.0)},
    ],
)
def test_a_hint_or_scale_that_is_wrong_excludes_the_true_place(index, kwargs):
    x, y, flux = field(index, width=0.4, angle=1.0, mirrored=False, seed=3)
    with pytest.raises(AlgorithmError, match="no star pattern"):
        BlindMatchTask(BlindMatchConfig(n_quad_sources=15)).run(x=x, y=y, flux=flux, frame=FRAME, index=index, **kwargs)


def test_a_right_hint_saves_work(index):
    x, y, flux = field(index, width=0.4, angle=1.0, mirrored=False, seed=4)
    free = BlindMatchTask().run(x=x, y=y, flux=flux, frame=FRAME, index=index)
    near = BlindMatchTask().run(x=x, y=y, flux=flux, frame=FRAME, index=index, hint=SkyHint(150.0, 2.0, 0.5),
                                scale_range_arcsec=(1.6, 2.0))  # fmt: skip
    assert near.n_rated <= free.n_rated
    np.testing.assert_allclose(near.wcs.crval, free.wcs.crval, atol=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_random_stars_are_nowhere(index, seed):
    rng = np.random.default_rng(1000 + seed)
    x, y, flux = rng.uniform(0.0, SIDE, (3, 60))
    with pytest.raises(AlgorithmError, match="no star pattern"):
        BlindMatchTask(BlindMatchConfig(n_quad_sources=20)).run(x=x, y=y, flux=flux, frame=FRAME, index=index)


def test_too_few_sources_are_said_so(index):
    with pytest.raises(AlgorithmError, match="too few sources"):
        BlindMatchTask().run(x=np.arange(5.0), y=np.arange(5.0), flux=np.ones(5), frame=FRAME, index=index)


def test_odds_under_the_background_are_a_martingale_of_mean_one():
    # The largest running odds of uniform sources exceed 10 with a probability of at most 0.1.
    rng = np.random.default_rng(5)
    ref_x, ref_y = rng.uniform(0.0, 100.0, (2, 40))
    used, match = np.zeros(30, bool), np.empty(30, np.int64)
    best = [
        field_log_odds(x, y, used, ref_x, ref_y, 1.0, 50.0, 50.0, 50.0, 1e4, 0.3, match)
        for x, y in (rng.uniform(0.0, 100.0, (2, 30)) for _ in range(2000))
    ]
    assert np.mean(np.array(best) > np.log(10.0)) < 0.1 + 4.0 * np.sqrt(0.09 / 2000)


def test_sources_on_reference_stars_are_certain_and_each_star_explains_one():
    rng = np.random.default_rng(6)
    x, y = rng.uniform(0.0, 500.0, (2, 30))
    used, match = np.zeros(30, bool), np.empty(30, np.int64)
    used[:4] = True
    odds = field_log_odds(x, y, used, x[4:], y[4:], 1.0, 250.0, 250.0, 250.0, 2.5e5, 0.3, match)
    assert odds > 100.0
    assert (match[:4] == -1).all()
    np.testing.assert_array_equal(match[4:], np.arange(26))
    twice = field_log_odds(
        np.r_[x, x], np.r_[y, y], np.r_[used, used], x[4:], y[4:], 1.0, 250.0, 250.0, 250.0, 2.5e5, 0.3,
        np.empty(60, np.int64),
    )  # fmt: skip
    assert twice == odds


def test_a_similarity_is_recovered():
    rng = np.random.default_rng(7)
    x, y = rng.random((2, 6))
    for parity in (1.0, -1.0):
        z = (0.3 - 0.2j) * (x + 1j * parity * y) + 1.0 + 2.0j
        found = fit_similarity(x, y, z.real.copy(), z.imag.copy(), parity)
        np.testing.assert_allclose(found, (0.3, -0.2, 1.0, 2.0, 0.0), atol=1e-12)
