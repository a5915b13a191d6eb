import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.stages.calibrate_image import CalibrateImage, CalibrateImageConfig
from etendue.table.table import Table
from etendue.tasks.characterize.characterize import CharacterizeConfig
from etendue.tasks.psf.psf import FitPsfConfig

SKY, ZERO = 400.0, 26.0  # electrons, AB magnitude of one electron


@pytest.fixture(scope="module")
def frame(raw_frame, visit_image, stars):
    scene = visit_image(**stars, noise=1e-6).image.array + SKY
    return raw_frame(np.maximum(scene, 0.0), seed=4)


@pytest.fixture(scope="module")
def shards(wcs, stars):
    """Return the true stars, 4 arcsec away from the header's WCS."""
    ra, dec = wcs.shifted(dx=-5.0, dy=4.0).pixel_to_sky(x=stars["x"], y=stars["y"])
    n = stars["x"].size
    flux = stars["flux"] * 10 ** (0.4 * (31.4 - ZERO))
    table = Table("refcat", {
        "id": np.arange(1, n + 1), "ra": ra, "dec": dec, "raErr": np.full(n, 2e-6), "decErr": np.full(n, 2e-6),
        "r_flux": flux, "r_fluxErr": 0.005 * flux,
    })  # fmt: skip
    return (table.take(np.arange(n - 10)), table.take(np.arange(10, n)))  # shards overlap


def run(frames, camera, reference=()):
    return CalibrateImage().run(
        raws=tuple(frames), camera=camera, bias=None, flat=None, defects=None, ptc=None, reference=reference
    )


@pytest.fixture(scope="module")
def relative(frame, ccd):
    return run([frame], ccd)


@pytest.fixture(scope="module")
def absolute(frame, ccd, shards):
    return run([frame], ccd, shards)


def nearest(table, stars):
    distance = np.hypot(stars["x"][:, None] - table["x"], stars["y"][:, None] - table["y"])
    assert distance.min(axis=1).max() < 0.2
    return distance.argmin(axis=1)


def test_all_stars_are_found_in_electrons_with_their_sky(relative, stars):
    nearest(relative.stars, stars)
    assert relative.exposure.unit == "electron"
    assert relative.exposure.metadata["sky_level_electron"] == pytest.approx(SKY, rel=0.02)
    assert relative.exposure.metadata["n_psf_star"] > 15
    assert relative.exposure.metadata["sky_noise_electron"] == pytest.approx(np.sqrt(SKY + 36.0), rel=0.05)


def test_without_a_reference_one_electron_a_second_has_the_nominal_zero_point(relative, stars):
    calib = relative.exposure.photo_calib
    assert calib.kind == "relative"
    assert calib.zero_point_mag == pytest.approx(25.0 + 2.5 * np.log10(60.0))
    electrons = relative.stars["psfFlux"][nearest(relative.stars, stars)] / calib.scale
    np.testing.assert_allclose(electrons, stars["flux"], rtol=0.05)
    assert not relative.stars["calib_astrometry_used"].any()


def test_the_reference_catalog_fixes_pointing_and_zero_point(absolute, stars, wcs):
    rows = nearest(absolute.stars, stars)
    ra, dec = wcs.shifted(dx=-5.0, dy=4.0).pixel_to_sky(x=stars["x"], y=stars["y"])
    off = np.hypot((absolute.stars["ra"][rows] - ra) * np.cos(np.radians(dec)), absolute.stars["dec"][rows] - dec)
    assert np.median(off) * 3600.0 < 0.03
    assert absolute.exposure.photo_calib.kind == "absolute"
    assert absolute.exposure.photo_calib.zero_point_mag == pytest.approx(ZERO, abs=0.01)
    assert absolute.stars["calib_astrometry_used"].sum() > 25
    assert absolute.stars["calib_photometry_used"].sum() > 20


def test_a_catalog_without_the_band_leaves_fluxes_relative(frame, ccd, shards):
    other = tuple(
        Table("refcat", {name: shard[name] for name in ("id", "ra", "dec", "raErr", "decErr")}) for shard in shards
    )
    assert run([frame], ccd, other).exposure.photo_calib.kind == "relative"


def test_psf_stars_are_marked_among_the_sources(relative):
    used, reserved = (np.asarray(relative.stars[f"calib_psf_{name}"]) for name in ("used", "reserved"))
    assert used.sum() == relative.exposure.metadata["n_psf_star"]
    assert reserved.any()
    assert not (used & reserved).any()


def test_the_stars_of_the_catalog_are_the_stars_of_the_psf(frame, ccd, shards, stars):
    known = (np.arange(stars["x"].size) % 3 > 0) & (np.arange(stars["x"].size) < len(shards[0]))
    catalog = (shards[0].take(np.flatnonzero(known)),)
    psf = FitPsfConfig(min_known_stars=10)
    config = CalibrateImageConfig(characterize=CharacterizeConfig(psf=psf))
    found = CalibrateImage(config).run(raws=(frame,), camera=ccd, reference=catalog).stars
    candidate = np.asarray(found["calib_psf_candidate"])[nearest(found, stars)]
    assert candidate[known].sum() >= 10
    assert not candidate[~known].any()


def test_two_snaps_make_one_image_of_twice_the_time(frame, ccd, relative):
    both = run([frame, frame], ccd).exposure
    assert both.visit_info.exposure_time_s == 2 * relative.exposure.visit_info.exposure_time_s
    assert both.metadata["snaps"] == 2
    ratio = np.nanmedian(both.image.array + 0.0) - 2 * np.nanmedian(relative.exposure.image.array)
    assert abs(ratio) < np.sqrt(np.nanmedian(both.variance.array))


def test_an_empty_sky_is_the_data_s_failure(raw_frame, ccd):
    with pytest.raises(AlgorithmError):
        run([raw_frame(SKY)], ccd)


def test_stars_of_another_field_are_the_data_s_failure(frame, ccd, shards):
    elsewhere = tuple(shard.with_columns(dec=np.asarray(shard["dec"]) + 1.0) for shard in shards)
    with pytest.raises(AlgorithmError):
        run([frame], ccd, elsewhere)


def test_missing_calibrations_are_said_by_name(frame, ccd, caplog):
    with caplog.at_level("WARNING", "etendue"):
        run([frame], ccd)
    said = " ".join(record.getMessage() for record in caplog.records)
    assert all(f"no certified {name}" in said for name in ("bias", "flat", "ptc"))
