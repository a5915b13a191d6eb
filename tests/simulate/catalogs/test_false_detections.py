"""Detections of nothing come at the rate and with the signal-to-noise ratios that were asked for."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter, maximum_filter

from etendue.simulate.catalogs.expected import KINDS
from etendue.simulate.catalogs.noise_peaks import draw_peaks, peaks_per_deg2
from etendue.simulate.surveys.catalog_spec import CatalogSpec, FalseSpec

from .skies import maker_of, spec_of, star_table


def made(false: dict, sky: dict | None = None, **catalog: object):
    content = {"source": False, "false_dia_source": false} | catalog
    maker = maker_of(spec_of(sky or {}, content))
    return maker, maker.make(maker.survey.exposures[0])["dia_source"]


def kinds_of(visit) -> np.ndarray:
    rows = visit.truth["diaSourceId"] > 0
    return np.array(KINDS)[visit.truth["kind"][rows]]


@pytest.mark.parametrize("rate", [0.0, 450.0, 60_000.0])
def test_the_rate_is_what_was_asked_for(rate):
    maker, visit = made({"per_deg2": rate})
    wanted = rate * maker.footprint.area_deg2
    assert len(visit.table) == pytest.approx(wanted, abs=4.0 * np.sqrt(wanted))
    assert set(kinds_of(visit)) <= {"noise"}


def test_half_of_them_are_negative_unless_told_otherwise():
    _, visit = made({"per_deg2": 50_000.0})
    assert np.mean(visit.table["isNegative"]) == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(visit.table["isNegative"], visit.table["psfFlux"] < 0.0)
    _, visit = made({"per_deg2": 50_000.0, "negative_fraction": 0.0})
    assert not visit.table["isNegative"].any()


def test_signal_to_noise_ratios_are_those_of_noise_peaks():
    _, visit = made({"per_deg2": 100_000.0})
    snr = np.sort(visit.table["snr"].astype(float))
    assert snr[0] >= 5.0 - 1e-6
    for level in (5.2, 5.5, 6.0):
        share = level / 5.0 * np.exp(-0.5 * (level**2 - 25.0))
        assert np.mean(snr > level) == pytest.approx(share, abs=4.0 * np.sqrt(share / snr.size))


def test_the_default_rate_is_that_of_gaussian_noise_peaks():
    rng = np.random.default_rng(1)
    sigma, counted = 3.0, 0
    for _ in range(3):
        image = gaussian_filter(rng.normal(size=(1500, 1500)), sigma, mode="wrap")
        image /= image.std()
        counted += np.count_nonzero((image == maximum_filter(image, 3, mode="wrap")) & (image > 3.3))
    wanted = 3 * 1500**2 * peaks_per_deg2(3.3, sigma) / 3600.0**2
    assert counted == pytest.approx(wanted, rel=0.12)  # pixels miss the very tops
    maker, _ = made({})
    exposure = maker.survey.exposures[0]
    rate = 2.0 * peaks_per_deg2(5.0, maker.depth(exposure).psf.sigma_arcsec)
    assert 5.0 < rate < 300.0


def test_drawn_peaks_stay_above_thresholds():
    rng = np.random.default_rng(4)
    least = rng.uniform(3.0, 8.0, 2000)
    drawn = draw_peaks(rng, least)
    assert (drawn >= least).all()
    assert np.median(drawn - least) == pytest.approx(0.13, abs=0.03)
    assert draw_peaks(rng, np.zeros(0)).size == 0


@pytest.fixture
def starry(tmp_path):
    return {"tables": [{"path": str(star_table(tmp_path / "stars.csv", 300, 14.0, 16.0))}]}


def test_remains_of_stars_lie_around_them_and_dipoles_on_them(starry):
    false = {"per_deg2": 30_000.0, "near_star_fraction": 0.4, "dipole_fraction": 0.2, "artefact_fraction": 0.1}
    maker, visit = made(false, starry)
    kinds = kinds_of(visit)
    wanted = {"near_star": 0.4, "dipole": 0.2, "artefact": 0.1, "noise": 0.3}
    for kind, share in wanted.items():
        assert np.mean(kinds == kind) == pytest.approx(share, abs=0.06)
    stars = maker.survey.layers[0].objects
    ra, dec = visit.table["ra"], visit.table["dec"]
    east = (ra[:, None] - stars["ra"]) * np.cos(np.radians(dec))[:, None]
    far = 3600.0 * np.hypot(east, dec[:, None] - stars["dec"]).min(axis=1)
    assert np.median(far[kinds == "dipole"]) < 0.3
    assert np.median(far[kinds == "near_star"]) == pytest.approx(8.0, abs=1.5)
    assert np.median(far[kinds == "noise"]) > 12.0
    np.testing.assert_array_equal(visit.table["isDipole"], kinds == "dipole")
    assert visit.table["snr"][kinds != "noise"].max() > 30.0
    assert np.median(visit.table["trailLength"][kinds == "artefact"]) > 1.3 * np.median(
        visit.table["trailLength"][kinds == "noise"]
    )


def test_stars_themselves_are_not_in_differences(starry):
    _, visit = made({"per_deg2": 0.0}, starry)
    assert len(visit.table) == 0
    assert visit.truth["object_id"].size == 0


def test_without_stars_all_are_spread_evenly():
    maker, visit = made({"per_deg2": 20_000.0, "near_star_fraction": 0.5, "dipole_fraction": 0.5})
    assert set(kinds_of(visit)) == {"noise"}
    assert len(visit.table) == pytest.approx(20_000.0 * maker.footprint.area_deg2, rel=0.15)
    assert np.mean(visit.table["detector"] == 0) == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(np.histogram(visit.table["x"], 4, (-0.5, 1023.5))[0] / len(visit.table), 0.25, atol=0.05)


def test_shares_above_one_are_refused():
    with pytest.raises(ValidationError, match="above 1"):
        FalseSpec(dipole_fraction=0.7, artefact_fraction=0.5)
    with pytest.raises(ValidationError, match="depth"):
        CatalogSpec.model_validate({"depth": 3})
