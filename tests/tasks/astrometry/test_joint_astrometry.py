"""Star association and the joint WCS solution, against a simulated survey."""

from dataclasses import replace

import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import separation_deg
from etendue.kernels.astrometry import polynomial_design
from etendue.tasks.astrometry.align import AlignExposuresTask
from etendue.tasks.astrometry.exposure_stars import ExposureStars
from etendue.tasks.astrometry.isolated_star import IsolatedStarConfig, IsolatedStarTask
from etendue.tasks.astrometry.joint import JointAstrometryConfig, JointAstrometryTask

SCALE = 1.1 / 3600.0
ERROR_PX = 0.01


def survey(seed, *, n_exposures=8, n_stars=250, floor_px=0.0, header_error_px=0.1):
    """Return exposures with slightly wrong WCSs, their true WCSs, and the true star positions."""
    rng = np.random.default_rng(seed)
    cd = SCALE * np.array([[-1.0, 0.02], [0.02, 1.0]])
    ra, dec = 124.6 + rng.uniform(-0.25, 0.25, n_stars), 25.3 + rng.uniform(-0.22, 0.22, n_stars)
    flux = rng.lognormal(8.0, 1.0, n_stars)
    truth, exposures = [], []
    for visit in range(n_exposures):
        sip = np.zeros((2, 3, 3))
        sip[:, 2, 0], sip[:, 1, 1], sip[:, 0, 2] = rng.normal(0.0, 1e-7, (3, 2))
        crpix = tuple(700.0 + rng.uniform(-15.0, 15.0, 2))
        wcs = SkyWcs.from_polynomial(crpix=crpix, crval=(124.6, 25.3), cd=cd, sip_a=sip[0], sip_b=sip[1])
        start = SkyWcs(tuple(np.array(crpix) + header_error_px * rng.standard_normal(2)), (124.6, 25.3), cd)
        x, y = wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec)
        error = np.hypot(ERROR_PX, floor_px)
        x, y = x + error * rng.standard_normal(n_stars), y + error * rng.standard_normal(n_stars)
        formal = np.full(n_stars, ERROR_PX)
        order = rng.permutation(n_stars)
        columns = (x[order], y[order], formal, formal, flux[order], 0.02 * flux[order])
        exposures.append(ExposureStars(visit, 0, start, *columns))
        truth.append(wcs)
    return exposures, truth, ra, dec


def solve(exposures, config=None, **reference):
    stars = IsolatedStarTask().run(exposures=exposures)
    wcs = [exposure.wcs for exposure in exposures]
    return stars, JointAstrometryTask(config or JointAstrometryConfig(order=2)).run(stars=stars, wcs=wcs, **reference)


def test_every_true_star_is_associated_once_per_exposure():
    exposures, _, ra, dec = survey(1)
    stars = IsolatedStarTask(IsolatedStarConfig(isolation_radius_arcsec=0.0)).run(exposures=exposures)
    assert stars.n_stars == ra.size
    assert np.all(stars.n_exposures_per_star() == len(exposures))
    assert np.unique(stars.star * 100 + stars.exposure).size == stars.star.size
    assert separation_deg(stars.ra_deg[:, None], stars.dec_deg[:, None], ra, dec).min(axis=1).max() * 3600.0 < 0.5


def test_the_order_of_the_exposures_does_not_matter():
    exposures, *_ = survey(2)
    forward, backward = (IsolatedStarTask().run(exposures=e) for e in (exposures, exposures[::-1]))
    np.testing.assert_array_equal(forward.ra_deg, backward.ra_deg)
    np.testing.assert_array_equal(forward.source, backward.source)


def test_close_pairs_are_left_out_unless_the_neighbour_is_faint():
    wcs = SkyWcs((0.0, 0.0), (10.0, 0.0), np.diag([-SCALE, SCALE]))
    x, y = np.array([100.0, 102.5, 300.0, 302.5]), np.full(4, 50.0)
    flux, error = np.array([1e3, 1e3, 1e3, 5.0]), np.full(4, 0.01)
    exposures = [ExposureStars(v, 0, wcs, x, y, error, error, flux, np.full(4, 0.4)) for v in range(3)]
    stars = IsolatedStarTask().run(exposures=exposures)
    assert stars.x[stars.exposure == 0].tolist() == [300.0]


def test_take_stars_keeps_the_rows_of_those_stars():
    exposures, *_ = survey(3, n_exposures=3)
    stars = IsolatedStarTask().run(exposures=exposures)
    kept = stars.take_stars(np.arange(stars.n_stars) % 2 == 1)
    np.testing.assert_array_equal(kept.ra_deg, stars.ra_deg[1::2])
    assert kept.star.max() == kept.n_stars - 1
    np.testing.assert_array_equal(kept.x, stars.x[stars.star % 2 == 1])


def test_relative_wcss_are_recovered_to_the_noise():
    exposures, truth, *_ = survey(4)
    _, result = solve(exposures)
    x, y = np.random.default_rng(0).uniform(100.0, 1300.0, (2, 100))
    ra, dec = truth[0].pixel_to_sky(x=x, y=y)
    # The same sky, seen through every exposure, must come out at the same place.
    positions = [
        wcs.pixel_to_sky(**dict(zip("xy", true.sky_to_pixel(ra_deg=ra, dec_deg=dec), strict=True)))
        for wcs, true in zip(result.wcs, truth, strict=True)
    ]
    scatter_mas = np.std([dec_deg for _, dec_deg in positions], axis=0) * 3.6e6
    assert np.median(scatter_mas) < 4.0
    assert result.solved.all()
    assert result.rms_arcsec == pytest.approx(np.full(8, 0.011 * np.sqrt(7.0 / 8.0)), rel=0.15)


def test_without_references_the_mean_pointing_is_that_of_the_headers():
    exposures, *_ = survey(5)
    stars, result = solve(exposures)
    assert abs(np.mean(result.star_dec_deg - stars.dec_deg)) * 3.6e6 < 0.5
    assert abs(np.mean(result.star_ra_deg - stars.ra_deg)) * 3.6e6 < 0.5


def test_references_anchor_the_solution():
    exposures, truth, ra, dec = survey(6, header_error_px=0.5)
    stars = IsolatedStarTask().run(exposures=exposures)
    nearest = separation_deg(stars.ra_deg[:, None], stars.dec_deg[:, None], ra, dec).argmin(axis=1)
    known = np.arange(stars.n_stars) % 3 == 0
    reference = {
        "ref_ra_deg": np.where(known, ra[nearest], np.nan),
        "ref_dec_deg": np.where(known, dec[nearest], np.nan),
    }
    _, result = solve(exposures, **reference)
    offset = separation_deg(result.star_ra_deg, result.star_dec_deg, ra[nearest], dec[nearest]) * 3.6e6
    assert np.median(offset) < 10.0
    x, y = np.array([200.0, 700.0, 1200.0]), np.array([900.0, 100.0, 1200.0])
    assert separation_deg(*result.wcs[3].pixel_to_sky(x=x, y=y), *truth[3].pixel_to_sky(x=x, y=y)).max() * 3.6e6 < 12.0


def test_the_floor_is_fitted_and_residuals_then_have_unit_pulls():
    exposures, *_ = survey(7, n_exposures=12, n_stars=400, floor_px=0.02)
    _, result = solve(exposures)
    assert result.floor_arcsec == pytest.approx(0.022, rel=0.05)
    sigma = np.hypot(ERROR_PX * 1.1, result.floor_arcsec) * np.sqrt(1.0 - 1.0 / 12.0)
    pull = np.r_[result.residual_east_arcsec[result.used], result.residual_north_arcsec[result.used]] / sigma
    assert 0.95 < pull.std() < 1.05


def test_star_positions_have_unit_pulls_against_the_truth():
    exposures, _, ra, dec = survey(8, n_exposures=10, n_stars=500, header_error_px=0.0)
    stars = IsolatedStarTask().run(exposures=exposures)
    nearest = separation_deg(stars.ra_deg[:, None], stars.dec_deg[:, None], ra, dec).argmin(axis=1)
    reference = {"ref_ra_deg": ra[nearest], "ref_dec_deg": dec[nearest], "ref_err_arcsec": 1.0}
    _, result = solve(exposures, JointAstrometryConfig(order=1, coefficient_prior_arcsec=0.1), **reference)
    pull = (result.star_dec_deg - dec[nearest]) * 3600.0 / result.star_err_arcsec
    # The common linear field is known to 1 arcsec / sqrt(500) from the references only: take it out.
    design = np.stack([np.ones(ra.size), ra, dec], axis=1)[nearest]
    pull = pull - design @ np.linalg.lstsq(design, pull, rcond=None)[0]
    assert 0.8 < pull.std() < 1.6


def test_outliers_are_rejected():
    exposures, *_ = survey(9)
    spoiled = exposures[2]
    x = spoiled.x.copy()
    x[:12] += 0.5
    columns = (x, spoiled.y, spoiled.x_err, spoiled.y_err, spoiled.flux, spoiled.flux_err)
    exposures[2] = ExposureStars(2, 0, spoiled.wcs, *columns)
    stars, result = solve(exposures)
    moved = (stars.exposure == 2) & (stars.source < 12)
    assert not result.used[moved].any()
    assert result.used[~moved].mean() > 0.99


def test_an_exposure_with_few_stars_gets_a_lower_order():
    exposures, *_ = survey(10)
    last = exposures[-1]
    few = ExposureStars(
        7, 0, last.wcs, *(getattr(last, n)[:15] for n in ("x", "y", "x_err", "y_err", "flux", "flux_err"))
    )
    _, result = solve([*exposures[:-1], few])
    assert result.solved.all()
    assert result.n_stars[-1] <= 15
    assert result.rms_arcsec[-1] < 0.2


def test_unequal_columns_and_no_stars_are_refused():
    wcs = SkyWcs((0.0, 0.0), (10.0, 0.0), np.diag([-SCALE, SCALE]))
    with pytest.raises(InputError, match="differ in length"):
        ExposureStars(1, 0, wcs, *[np.ones(n) for n in (3, 3, 3, 3, 3, 2)])
    with pytest.raises(AlgorithmError, match="no isolated star"):
        IsolatedStarTask().run(exposures=[ExposureStars(1, 0, wcs, *[np.ones(0)] * 6)])


def test_exposures_with_bad_pointing_are_aligned_first():
    exposures, truth, *_ = survey(11, n_exposures=4, header_error_px=0.2)
    bad = exposures[2]
    turn = np.radians(1.5)
    rotated = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ bad.wcs.cd
    moved = SkyWcs((bad.wcs.crpix[0] + 80.0, bad.wcs.crpix[1] - 60.0), bad.wcs.crval, rotated)
    exposures[2] = replace(bad, wcs=moved)
    aligned = AlignExposuresTask().run(exposures=exposures)
    assert aligned.corrected.tolist() == [False, False, True, False]
    assert not aligned.failed.any()
    x, y = np.array([100.0, 700.0, 1300.0]), np.array([100.0, 900.0, 1200.0])
    got, true = (wcs.pixel_to_sky(x=x, y=y) for wcs in (aligned.exposures[2].wcs, truth[2]))
    assert separation_deg(*got, *true).max() * 3600.0 < 1.5


def test_an_exposure_of_another_field_fails_to_align_and_says_so():
    exposures, *_ = survey(12, n_exposures=2)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.0, 1400.0, (2, exposures[1].x.size))
    aligned = AlignExposuresTask().run(exposures=[exposures[0], replace(exposures[1], x=x, y=y)])
    assert aligned.failed.sum() == 1


def test_a_field_that_drifts_over_half_the_frame_through_large_pixels_is_aligned():
    cd = np.diag([-5.2, 5.2]) / 3600.0
    rng = np.random.default_rng(12)
    x, y = rng.uniform(-350.0, 1000.0, 900), rng.uniform(-100.0, 600.0, 900)
    header = SkyWcs((325.0, 250.0), (31.0, 46.0), cd)
    flux, exposures = rng.lognormal(8.0, 1.0, x.size), []
    for visit, drift in enumerate((0.0, 130.0, 270.0)):
        on = (np.abs(x - drift - 325.0) < 325.0) & (np.abs(y - 250.0) < 250.0)
        jitter = 0.05 * rng.standard_normal((2, int(on.sum())))
        error = np.full(int(on.sum()), 0.05)
        columns = (x[on] - drift + jitter[0], y[on] + jitter[1], error, error, flux[on], 0.01 * flux[on])
        exposures.append(ExposureStars(visit, 0, header, *columns))
    aligned = AlignExposuresTask().run(exposures=exposures)
    assert aligned.corrected.sum() == 2
    shift = [e.wcs.sky_to_pixel(ra_deg=31.0, dec_deg=46.0)[0] for e in aligned.exposures]
    assert np.asarray(shift) - shift[0] == pytest.approx([0.0, -130.0, -270.0], abs=0.05)


def test_refraction_of_stars_without_known_colours_is_fitted():
    exposures, _, ra, dec = survey(31, n_exposures=16, n_stars=300)
    rng = np.random.default_rng(32)
    angle = np.linspace(-1.0, 1.0, 16)
    zenith = np.stack([1.6 * np.sin(angle), 0.8 * np.cos(angle)], axis=1)
    slope = 0.03 * rng.standard_normal(ra.size)
    moved = []
    for exposure, (east, north) in zip(exposures, zenith, strict=True):
        star = separation_deg(
            *(grid[:, None] for grid in exposure.wcs.pixel_to_sky(x=exposure.x, y=exposure.y)), ra, dec
        ).argmin(axis=1)
        xi, eta = exposure.wcs.pixel_to_plane(x=exposure.x, y=exposure.y)
        x, y = exposure.wcs.plane_to_pixel(
            xi_deg=xi + slope[star] * east / 3600.0, eta_deg=eta + slope[star] * north / 3600.0
        )
        moved.append(replace(exposure, x=x, y=y))
    stars = IsolatedStarTask().run(exposures=moved)
    wcs = [exposure.wcs for exposure in moved]
    config = JointAstrometryConfig(order=2, fit_refraction=True)
    fitted = JointAstrometryTask(config).run(stars=stars, wcs=wcs, toward_zenith=zenith)
    plain = JointAstrometryTask(JointAstrometryConfig(order=2)).run(stars=stars, wcs=wcs, toward_zenith=zenith)
    assert plain.refraction is None
    found = fitted.refraction
    true = slope[separation_deg(stars.ra_deg[:, None], stars.dec_deg[:, None], ra, dec).argmin(axis=1)]
    # The polynomials of the WCSs take up what varies smoothly over the field.
    design = polynomial_design(4.0 * (stars.ra_deg - 124.6), 4.0 * (stars.dec_deg - 25.3), 2)
    offset = found.arcsec - true
    pull = (offset - design @ np.linalg.lstsq(design, offset, rcond=None)[0]) / found.err_arcsec
    assert np.std(pull) == pytest.approx(1.0, abs=0.2)
    assert found.scatter_arcsec == pytest.approx(0.03, rel=0.15)
    assert plain.floor_arcsec > 0.008
    assert fitted.floor_arcsec < 0.003


def test_without_refraction_no_star_is_moved():
    exposures, *_ = survey(33)
    stars = IsolatedStarTask().run(exposures=exposures)
    zenith = np.stack([np.linspace(-1.0, 1.0, 8), np.full(8, 0.7)], axis=1)
    config = JointAstrometryConfig(order=2, fit_refraction=True)
    fitted = JointAstrometryTask(config).run(
        stars=stars, wcs=[exposure.wcs for exposure in exposures], toward_zenith=zenith
    )
    assert fitted.refraction.scatter_arcsec < 0.001
    assert np.abs(fitted.refraction.arcsec).max() < 0.002
