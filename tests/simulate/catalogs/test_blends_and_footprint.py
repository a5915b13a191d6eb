"""What is too near merges, and only what falls on a detector is seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.simulate.catalogs.blends import merge, summed
from etendue.simulate.catalogs.expected import KINDS
from etendue.simulate.catalogs.footprint import Footprint, focal_plane_wcs
from etendue.simulate.surveys.header_wcs import header_wcs
from etendue.simulate.telescope.true_wcs import true_wcs

from .skies import maker_of, spec_of, star_table


def greedy(x, y, flux, radius):
    into = np.full(flux.size, -1)
    for row in np.argsort(-np.abs(flux), kind="stable"):
        if into[row] < 0:
            near = (np.hypot(x - x[row], y - y[row]) <= radius) & (into < 0)
            into[near] = row
    return into


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 60), st.floats(0.01, 0.5))
def test_the_brightest_takes_what_is_near(seed, count, radius):
    rng = np.random.default_rng(seed)
    x, y = rng.random((2, count))
    flux = rng.choice([1.0, 2.0, -3.0, 4.0, 5.5], count) * rng.choice([1.0, 1.5], count)
    into = merge(x, y, flux, radius)
    np.testing.assert_array_equal(into, greedy(x, y, flux, radius))
    assert summed(into, flux).sum() == pytest.approx(flux.sum())


def test_nothing_merges_at_radius_zero():
    np.testing.assert_array_equal(merge(np.zeros(3), np.zeros(3), np.ones(3), 0.0), [0, 1, 2])


def pair(tmp_path, apart_arcsec, **catalog):
    table = tmp_path / "pair.csv"
    table.write_text(f"ra,dec,mag_r\n330.05,-29.9,18.0\n330.05,{-29.9 + apart_arcsec / 3600.0:.9f},19.0\n")
    maker = maker_of(spec_of({"tables": [{"path": str(table)}]}, {"dia_source": False, **catalog}))
    return maker, maker.make(maker.survey.exposures[0])["source"]


def test_two_near_stars_are_one_source_with_both_their_light(tmp_path):
    maker, visit = pair(tmp_path, 0.3)
    assert len(visit.table) == 1
    assert visit.truth["lost"].tolist() == [0, 4]
    assert len(set(visit.truth["sourceId"].tolist())) == 1
    assert visit.table["psfFlux"][0] == pytest.approx(visit.truth["flux"].sum(), rel=0.03)
    center = np.average(visit.truth["dec"], weights=visit.truth["flux"])
    assert 3600.0 * abs(visit.table["dec"][0] - center) < 0.05
    assert maker.depth(maker.survey.exposures[0]).psf.fwhm_arcsec > 0.5


def test_farther_stars_or_no_blending_make_two_sources(tmp_path):
    assert len(pair(tmp_path, 4.0)[1].table) == 2
    assert len(pair(tmp_path, 0.3, blend_fwhm=0.0)[1].table) == 2


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    table = star_table(tmp_path_factory.mktemp("crowd") / "stars.csv", 5000, 17.0, 21.0)
    distorted = {"vignetting": None, "turbulence": None,
                 "distortion": {"radial": [0.02, 0.0], "detector_turn_deg": 0.3, "pointing_arcsec": 20.0}}  # fmt: skip
    spec = spec_of({"tables": [{"path": str(table)}]}, {"dia_source": False, "false_source": {"per_deg2": 3000.0}},
                   telescope=distorted)  # fmt: skip
    maker = maker_of(spec)
    return maker, maker.make(maker.survey.exposures[0])["source"]


def test_every_row_lies_on_its_detector_where_the_true_map_puts_it(crowd):
    maker, visit = crowd
    survey, exposure = maker.survey, maker.survey.exposures[0]
    for detector in survey.detectors:
        rows = visit.table["detector"] == detector.id
        assert rows.sum() > 500
        x, y = visit.table["x"][rows], visit.table["y"][rows]
        assert detector.bbox.contains(x=x, y=y).all()
        wcs = true_wcs(survey.camera, detector, exposure, survey.spec.telescope.distortion, survey.seed)
        px, py = wcs.sky_to_pixel(ra_deg=visit.table["ra"][rows], dec_deg=visit.table["dec"][rows])
        np.testing.assert_allclose(x, px, atol=1e-6)
        np.testing.assert_allclose(y, py, atol=1e-6)


def test_nothing_falls_into_the_gap(crowd):
    maker, visit = crowd
    fx, _ = focal_plane_wcs(maker.survey, maker.survey.exposures[0], maker.survey.detectors[0]).sky_to_field(
        ra_deg=visit.table["ra"], dec_deg=visit.table["dec"]
    )
    gap = 60 * 0.5 / 3600.0
    assert (np.abs(fx) > 0.5 * gap - 0.001).all()
    assert np.abs(fx).min() < 0.5 * gap + 0.003
    found = visit.truth["kind"] == KINDS.index("object")
    assert (visit.truth["detector"][found & (visit.truth["sourceId"] == 0)] >= 0).all()


def test_sources_near_edges_are_lost_if_told(tmp_path):
    table = star_table(tmp_path / "stars.csv", 3000, 17.0, 20.0)
    maker = maker_of(spec_of({"tables": [{"path": str(table)}]}, {"dia_source": False, "edge_px": 20.0}))
    rows = maker.make(maker.survey.exposures[0])["source"].table
    for name in ("x", "y"):
        assert rows[name].min() >= 19.5
        assert rows[name].max() < 1023.5 - 20.0


def test_without_distortion_the_header_leads_to_the_sources(tmp_path):
    maker, visit = pair(tmp_path, 4.0)
    survey, exposure = maker.survey, maker.survey.exposures[0]
    detector = survey.camera.detector(int(visit.table["detector"][0]))
    ra, dec = header_wcs(survey.camera, detector, exposure).pixel_to_sky(x=visit.table["x"], y=visit.table["y"])
    np.testing.assert_allclose(ra, visit.table["ra"], atol=1e-8)
    np.testing.assert_allclose(dec, visit.table["dec"], atol=1e-8)


def test_every_detector_of_a_big_mosaic_finds_its_own_pixels():
    maker = maker_of(spec_of({}, {}, camera="widecam"))
    footprint: Footprint = maker.footprint
    assert footprint.area_deg2 == pytest.approx(9.56, abs=0.01)
    rng = np.random.default_rng(5)
    row = rng.integers(footprint.ids.size, size=4000)
    x, y = rng.uniform(-0.5, 4095.5, 4000), rng.uniform(-0.5, 3999.5, 4000)
    found, fx, fy = footprint.find(*footprint.to_field(row, x, y))
    np.testing.assert_array_equal(found, row)
    np.testing.assert_allclose(fx, x, atol=1e-6)
    np.testing.assert_allclose(fy, y, atol=1e-6)
    assert footprint.find(np.array([np.nan, 5.0]), np.zeros(2))[0].tolist() == [-1, -1]
