"""Differences hold what moves and what varies, and nothing else."""

import numpy as np
import pytest

from etendue.simulate.catalogs.trails import along_error, power_fraction, psf_fraction, squared_length_error
from etendue.simulate.population.layer import kind_of

from .skies import maker_of, spec_of

NO_FALSE = {"false_dia_source": {"per_deg2": 0.0}, "source": False}
MOVERS = {
    "moving": [{"dynamical_class": "main_belt", "in_field": 400, "h_max": 17.0}],
    "moving_mag_limit": 21.0,
}
LONG = {"fields": [{"ra_deg": 10.0, "dec_deg": 4.0}], "start": "2025-09-30", "nights": [{"day": 0, "bands": "r"}]}


@pytest.fixture(scope="module")
def trailed():
    """Fast movers in an exposure of twenty minutes, with a wide camera."""
    spec = spec_of(MOVERS, NO_FALSE | {"longest_trail_arcsec": 120.0}, camera="widecam", area_m2=20.0,
                   cadence=LONG | {"exposure_time_s": 1200.0})  # fmt: skip
    maker = maker_of(spec)
    visit = maker.make(maker.survey.exposures[0])["dia_source"]
    rows = np.flatnonzero((visit.truth["diaSourceId"] > 0) & (visit.truth["lost"] == 0))
    return maker, visit.table, {name: values[rows] for name, values in visit.truth.items()}


def test_fast_movers_leave_trails_of_their_length_and_direction(trailed):
    _, table, truth = trailed
    assert len(table) > 60
    long = (truth["trail_length"] > 5.0) & (truth["snr"] > 15.0)
    assert long.sum() > 30
    pull = (table["trailLength"] - truth["trail_length"])[long] / table["trailLengthErr"][long]
    assert np.std(pull) == pytest.approx(1.0, abs=0.35)
    assert abs(np.median(pull)) < 0.5
    turn = (table["trailAngle"] - truth["trail_angle"] + 90.0)[long] % 180.0 - 90.0
    assert np.std(turn / table["trailAngleErr"][long]) == pytest.approx(1.0, abs=0.35)


def test_a_fit_of_the_psf_misses_part_of_a_trail_and_a_fit_of_the_trail_does_not(trailed):
    _, table, truth = trailed
    long = (truth["trail_length"] > 5.0) & (truth["snr"] > 15.0)
    assert (table["psfFlux"] < 0.8 * table["trailFlux"])[long].mean() > 0.9
    pull = ((table["trailFlux"] - truth["flux"]) / table["trailFluxErr"])[long]
    assert np.std(pull) == pytest.approx(1.0, abs=0.35)
    assert (table["raErr"] > 0.0).all()


def test_trail_profiles_have_their_known_limits():
    u = np.array([0.0, 1e-4, 3.0, 40.0, 300.0])
    samples = np.linspace(-1.5, 1.5, 4001)
    np.testing.assert_allclose(psf_fraction(u)[[0, 2]], [1.0, np.mean(np.exp(-(samples**2) / 4.0))], rtol=1e-3)
    pairs = np.exp(-((samples[:, None] - samples[None, ::20]) ** 2) / 4.0).mean()
    np.testing.assert_allclose(power_fraction(u)[[0, 2]], [1.0, pairs], rtol=1e-2)
    # A point's second moment is known to 2**1.5 / snr, and the squared length is 12 times its excess.
    assert squared_length_error(u)[0] == pytest.approx(12.0 * 2.0**1.5, rel=2e-3)
    assert along_error(u)[0] == pytest.approx(1.0, rel=1e-3)
    assert np.all(np.diff(squared_length_error(u)) >= 0.0)
    assert along_error(u)[4] > along_error(u)[3] > 3.0


def test_lengths_of_trails_are_fitted_as_well_as_said():
    """Least squares on drawn trails scatters as Fisher's information says."""
    from scipy.optimize import curve_fit
    from scipy.special import erf

    rng = np.random.default_rng(3)
    x = np.arange(-20.0, 20.0, 0.25)

    def model(at, flux, place, length):
        ends = (at - place + 0.5 * length) / 2**0.5, (at - place - 0.5 * length) / 2**0.5
        return flux * (erf(ends[0]) - erf(ends[1])) / (2.0 * length)

    truth, snr = (1.0, 0.0, 8.0), 40.0
    clean = model(x, *truth)
    noise = np.sqrt(np.sum(clean**2)) / snr
    fits = np.array([
        curve_fit(model, x, clean + noise * rng.normal(size=x.size), p0=truth)[0] for _ in range(300)
    ])  # fmt: skip
    expected = squared_length_error(np.array([8.0]))[0] / snr
    assert np.std(fits[:, 2] ** 2) == pytest.approx(expected, rel=0.12)
    assert np.std(fits[:, 1]) == pytest.approx(2.0**0.5 / snr * along_error(np.array([8.0]))[0], rel=0.12)


def test_what_varies_is_seen_against_its_mean_and_what_does_not_is_not():
    sky = {"variables": [{"kind": "rr_lyrae", "count": 400, "brightest": 16.0, "faintest": 17.0}],
           "stars": {"faintest_mag": 19.0}}  # fmt: skip
    spec = spec_of(sky, {"false_dia_source": {"per_deg2": 0.0}, "template_visits": 60}, bands="rrrrrrrr", nights=2)
    maker = maker_of(spec)
    visits = [maker.make(exposure) for exposure in maker.survey.exposures]
    truth = [visit["dia_source"].truth for visit in visits]
    ids = np.concatenate([one["object_id"] for one in truth])
    assert set(kind_of(ids).tolist()) == {"variables"}
    assert ids.size > 100
    flux, template = (np.concatenate([one[name] for one in truth]) for name in ("flux", "template_flux"))
    assert abs(np.mean(flux / template)) < 0.15
    assert 0.1 < np.std(flux / template) < 0.6
    assert (flux < 0.0).any()
    first = visits[0]["dia_source"]
    table, known = first.table, first.truth["diaSourceId"] > 0
    pull = (table["templateFlux"] - first.truth["template_flux"][known]) / table["templateFluxErr"]
    assert np.std(pull) == pytest.approx(1.0, abs=0.4)
    np.testing.assert_allclose(table["scienceFlux"], table["psfFlux"] + table["templateFlux"], rtol=1e-5)
    stars = kind_of(visits[0]["source"].truth["object_id"])
    assert {"stars", "variables"} <= set(stars.tolist())


def test_transients_shine_on_an_empty_template():
    sky = {"flashes": {"in_exposures": 2, "brightest": 14.0, "faintest": 15.0}}
    maker = maker_of(spec_of(sky, NO_FALSE, bands="rr"))
    rows = [maker.make(exposure)["dia_source"] for exposure in maker.survey.exposures]
    seen = [row for row in rows if len(row.table)]
    for row in seen:
        assert np.all(row.truth["template_flux"] == 0.0)
        assert np.all(np.abs(row.table["templateFlux"]) < 6.0 * row.table["templateFluxErr"])


def test_streaks_are_masked_and_stay_in_the_truth(trailed):
    maker, _, _ = trailed
    short = maker.spec.model_copy(update={"longest_trail_arcsec": 11.0})
    visit = type(maker)(maker.survey, short).make(maker.survey.exposures[0])["dia_source"]
    kept = visit.truth["diaSourceId"] > 0
    assert visit.truth["trail_length"][kept].max() <= 11.0
    assert (visit.truth["trail_length"][visit.truth["lost"] == 3] > 11.0).all()
    assert (visit.truth["lost"] == 3).sum() > 10


def test_galaxies_are_extended_and_stars_are_not(tmp_path):
    table = tmp_path / "both.csv"
    rng = np.random.default_rng(1)
    offsets = rng.uniform(-0.07, 0.07, (2, 400))
    sizes = np.tile([0.0, 0.8], 200)
    rows = [f"{330.1 + x:.6f},{-29.9 + y:.6f},19.5,{size}" for x, y, size in zip(*offsets, sizes, strict=True)]
    table.write_text("ra,dec,mag_r,half_light\n" + "\n".join(rows))
    maker = maker_of(spec_of({"tables": [{"path": str(table)}]}, {"dia_source": False, "blend_fwhm": 0.0}))
    visit = maker.make(maker.survey.exposures[0])["source"]
    objects = maker.survey.layers[0].objects
    rows = visit.truth["lost"] == 0
    place = np.searchsorted(objects["object_id"], visit.truth["object_id"][rows])
    extended = objects["half_light"][place] > 0.0
    assert np.mean(visit.table["extendedness"][extended]) > 0.95
    assert np.mean(visit.table["extendedness"][~extended]) < 0.05
    ratio = visit.table["psfFlux"] / visit.table["calibFlux"]
    assert np.median(ratio[extended]) < 0.85
    assert np.median(ratio[~extended]) == pytest.approx(1.0, abs=0.02)
    total = (visit.table["calibFlux"] - visit.truth["flux"][rows]) / visit.table["calibFluxErr"]
    assert np.std(total[extended]) == pytest.approx(1.0, abs=0.25)
    assert abs(np.mean(total[extended])) < 0.3
    wide = visit.table["ixx"] / visit.table["ixxPSF"]
    assert np.median(wide[extended]) > 1.3
    assert np.median(wide[~extended]) == pytest.approx(1.0, abs=0.05)
