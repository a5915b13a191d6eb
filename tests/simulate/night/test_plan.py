"""Exposures are planned in the dark, in pairs, as told, and the same every time."""

import numpy as np
import pytest
from pydantic import ValidationError

from etendue.camera.shipped import load_camera
from etendue.camera.times import to_utc
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.simulate.light.air import Air
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.night.heavens import horizontal, sun_position
from etendue.simulate.night.plan import plan_exposures
from etendue.simulate.night.spec import CadenceSpec, ConditionsSpec, NightPlan, SchedulerSpec, TargetField

CAMERA = load_camera("simcam")
BANDS = {band: lsst_band(band) for band in "ugrizy"}
FIELDS = tuple(TargetField(name=f"f{k}", ra_deg=(10.0 * k) % 360.0, dec_deg=-30.0) for k in range(36))


def plan(cadence, conditions=None, seed=3):
    return plan_exposures(cadence, conditions or ConditionsSpec(), CAMERA, BANDS, Air(), seed)


@pytest.fixture(scope="module")
def survey():
    spec = SchedulerSpec(nights=3, visits_per_night=120, bands="gri", shares={"r": 2.0})
    return plan(CadenceSpec(fields=FIELDS, scheduler=spec, dither_deg=0.3, rotation="random"))


def test_the_scheduler_observes_high_fields_in_the_dark(survey):
    times = np.array([to_utc(e.mjd_tai_begin) for e in survey])
    assert (horizontal(*sun_position(times), times, CAMERA.observatory).altitude_deg < -12.0).all()
    assert max(e.airmass for e in survey) < 2.2
    assert len(survey) == 360
    assert len({e.exposure for e in survey}) == 360
    assert (np.diff(times) > 30.0 / 86400.0).all()


def test_fields_are_visited_in_pairs_within_a_night(survey):
    paired = [
        any(e.field == o.field and e.band == o.band and 20.0 < 1440.0 * abs(e.mjd_tai_begin - o.mjd_tai_begin) < 35.0
            for o in survey)
        for e in survey
    ]  # fmt: skip
    assert np.mean(paired) > 0.95


def test_bands_get_their_shares(survey):
    counts = {band: sum(e.band == band for e in survey) for band in "ri"}
    assert counts["r"] / counts["i"] == pytest.approx(2.0, abs=0.7)


def test_the_same_seed_plans_the_same_and_conditions_do_not_depend_on_what_is_observed(survey):
    spec = SchedulerSpec(nights=3, visits_per_night=120, bands="gri", shares={"r": 2.0})
    assert plan(CadenceSpec(fields=FIELDS, scheduler=spec, dither_deg=0.3, rotation="random")) == survey
    other = plan(CadenceSpec(fields=FIELDS, scheduler=spec, dither_deg=0.0))
    for a, b in zip(survey[:50], other[:50], strict=True):
        zenith = a.airmass**-0.6, b.airmass**-0.6
        assert a.seeing_arcsec * zenith[0] == pytest.approx(b.seeing_arcsec * zenith[1], rel=1e-3)


def test_nights_are_as_they_are_spelled_out():
    found = plan(CadenceSpec(
        fields=(TargetField(ra_deg=330.0, dec_deg=-29.9),), start="2025-09-30", exposure_time_s={"g": 120.0, "r": 90.0},
        nights=(NightPlan(day=0, bands="rrg", spacing_min=10.0), NightPlan(day=2, bands="g")), dither_deg=0.01,
    ))  # fmt: skip
    assert [(e.band, e.exposure_time_s) for e in found] == [("r", 90.0), ("r", 90.0), ("g", 120.0), ("g", 120.0)]
    assert [e.day_obs for e in found] == [20250930, 20250930, 20250930, 20251002]
    assert [e.seq for e in found] == [1, 2, 3, 1]
    assert 1440.0 * (found[1].mjd_tai_begin - found[0].mjd_tai_begin) == pytest.approx(10.0, abs=1e-6)
    assert found[0].airmass < 1.05  # near the meridian
    assert max(float(separation_deg(e.ra_deg, e.dec_deg, 330.0, -29.9)) for e in found) < 0.0101


def test_seeing_grows_with_airmass_and_falls_with_wavelength():
    night = CadenceSpec(fields=(TargetField(ra_deg=330.0, dec_deg=-29.9),), start="2025-09-30",
                        nights=(NightPlan(day=0, bands="uy", spacing_min=0.01),))  # fmt: skip
    u, y = plan(night)
    assert u.seeing_arcsec / y.seeing_arcsec == pytest.approx(
        (BANDS["u"].pivot_nm / BANDS["y"].pivot_nm) ** -0.2, rel=0.01
    )
    assert y.sky_mag_arcsec2 < u.sky_mag_arcsec2


def test_a_list_is_followed_and_its_errors_are_told(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("mjd_tai,band,ra_deg,dec_deg,exposure_time_s\n60949.1,r,330.0,-29.0,15\n60949.11,g,331.0,-29.0,\n")
    found = plan(CadenceSpec(file=path, exposure_time_s=40.0))
    assert [(e.band, e.ra_deg, e.exposure_time_s) for e in found] == [("r", 330.0, 15.0), ("g", 331.0, 40.0)]
    path.write_text("mjd_tai,band,ra_deg,dec_deg\n60949.1,r,330.0,-129.0\n")
    with pytest.raises(InputError, match=r"list\.csv row 0: .*-129"):
        plan(CadenceSpec(file=path))
    path.write_text("mjd_tai,band,ra_deg,dec_deg\n60949.6,r,330.0,-29.0\n")
    with pytest.raises(InputError, match="below the horizon"):
        plan(CadenceSpec(file=path))
    with pytest.raises(ValidationError, match="give one of"):
        CadenceSpec()
