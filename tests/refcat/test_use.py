"""From a name on the command line to calibrated fluxes."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner

from etendue.app.process import process
from etendue.app.quickstart import quickstart
from etendue.app.survey_stars import field_cones, merged, reference_catalog
from etendue.camera.shipped import load_camera
from etendue.cli.main import main
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.middleware.repository import Repository
from etendue.refcat.bands import colour_terms, in_camera_bands
from etendue.refcat.catalog import ReferenceCatalog
from etendue.refcat.source import open_reference
from etendue.simulate.surveys.write import write_survey
from small_surveys import small_survey

from .conftest import CENTER, gaia_sky


def run(*arguments, status=0):
    told = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert told.exit_code == status, told.output
    return told


def test_fetch_fills_the_cache_and_writes_a_catalog_in_standard_bands(tap, tmp_path):
    where = ["--ra", CENTER[0], "--dec", CENTER[1], "--radius", 0.2]
    first = run("refcat", "fetch", "gaia", *where)
    assert "tiles fetched" in first.stdout
    assert str(tmp_path / "cache") in first.stdout
    assert "0 tiles fetched" in run("refcat", "fetch", "gaia", *where, "--out", tmp_path / "field").stdout
    stars = ReferenceCatalog(tmp_path / "field")
    assert {"G", "BP", "RP", "V", "R", "g", "r", "clear"} <= set(stars.bands)
    sky = gaia_sky()
    assert len(stars) == (separation_deg(*CENTER, sky["RA_ICRS"], sky["DE_ICRS"]) <= 0.2).sum()


def test_fetch_without_network_is_one_line(tap):
    tap.always = "500"
    told = run("refcat", "fetch", "gaia", "--ra", 10, "--dec", 10, "--radius", 0.1, status=1)
    assert len([line for line in told.stderr.splitlines() if line.startswith("etendue: error: ")]) == 1
    assert "not in the cache" in told.stderr


def test_fetch_of_an_unknown_service_names_those_there_are(tap):
    told = run("refcat", "fetch", "usno", "--ra", 10, "--dec", 10, "--radius", 0.1, status=1)
    assert "gaia, ps1, 2mass" in told.stderr


def test_names_open_what_they_say(tap, tmp_path):
    (tmp_path / "stars.csv").write_text("ra,dec,V_mag\n10.0,5.0,12.0\n11.0,5.0,13.0\n")
    table = open_reference(str(tmp_path / "stars.csv"))
    assert len(table.load_cone(ra_deg=10.0, dec_deg=5.0, radius_deg=0.1)) == 1
    assert table.catalog == "any"
    assert open_reference("gaia").catalog == "gaia"
    assert len(open_reference("gaia").load_cone(ra_deg=CENTER[0], dec_deg=CENTER[1], radius_deg=0.1)) > 5
    with pytest.raises(InputError, match="no such reference catalog"):
        open_reference(str(tmp_path / "absent"))


def test_the_clear_filter_of_microobservatory_gets_fluxes_from_gaia(tap):
    stars = open_reference("gaia").load_cone(ra_deg=CENTER[0], dec_deg=CENTER[1], radius_deg=0.2)
    made = in_camera_bands(stars, load_camera("microobservatory"), catalog="gaia")
    assert {"clear", "R", "G", "B"} <= set(made.bands)
    good = np.isfinite(made["G_flux"])
    assert not np.array_equal(made["G_flux"][good], stars["G_flux"][good])  # Green is not Gaia's G


def test_circles_that_overlap_share_one_that_holds_them():
    cones = [(10.0, 0.0, 0.5), (10.2, 0.1, 0.5), (20.0, 0.0, 0.5), (359.9, 0.0, 0.5), (0.1, 0.0, 0.5)]
    found = merged(cones)
    assert len(found) == 3
    for ra, dec, radius in cones:
        assert any(separation_deg(ra, dec, big[0], big[1]) + radius <= big[2] + 1e-9 for big in found)


def sky_of(refcat: Path) -> Table:
    """Return the simulator's catalog as Gaia of solar-type stars, whose r is the simulator's by the colour term."""
    truth = Table.read(refcat, format="ascii.csv")
    n, colour = len(truth), 0.82
    rule = colour_terms("gaia")["r"]
    sky = gaia_sky(n=n)
    sky["RA_ICRS"], sky["DE_ICRS"] = truth["ra"], truth["dec"]
    sky["Gmag"] = truth["r_mag"] - np.polynomial.Polynomial(rule.polynomial)(colour) - rule.offset
    sky["BPmag"], sky["RPmag"] = sky["Gmag"] + 0.4 * colour, sky["Gmag"] - 0.6 * colour
    sky["E(BP/RP)"] = 1.162004 + 0.011464 * colour + 0.049255 * colour**2 - 0.005879 * colour**3
    for name in ("pmRA", "pmDE"):
        sky[name] = np.zeros(n)
    return sky


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("night") / "frames"
    write_survey(small_survey("rr", bias=3, flat=3), folder)
    return folder


@pytest.mark.slow
def test_a_frame_calibrated_on_gaia_agrees_with_the_truth_and_a_second_run_is_offline(tap, night):
    tap.tables["I/355/gaiadr3"] = sky_of(night / "refcat.csv")
    frame = min((night / "raw").iterdir())
    with_gaia = process(frame, refcat="gaia", bias=night / "bias", flat=night / "flat")
    with_truth = process(frame, refcat=night / "refcat.csv", bias=night / "bias", flat=night / "flat")
    assert with_gaia.exposure.photo_calib.kind == "absolute"
    difference = with_gaia.exposure.photo_calib.zero_point_mag - with_truth.exposure.photo_calib.zero_point_mag
    assert difference == pytest.approx(0.0, abs=0.01)
    assert with_gaia.match.rms_mas < 30.0
    tap.always = "500"
    open_reference.cache_clear()
    again = process(frame, refcat="gaia", bias=night / "bias", flat=night / "flat")
    assert again.exposure.content_hash() == with_gaia.exposure.content_hash()


@pytest.mark.slow
def test_a_repository_gets_the_stars_around_its_frames_in_its_camera_s_bands(tap, night, tmp_path):
    tap.tables["I/355/gaiadr3"] = sky_of(night / "refcat.csv")
    home, camera = Repository.create(tmp_path / "repo"), load_camera("simcam")
    home.register_camera(camera)
    home.ingest(sorted((night / "raw").iterdir()), camera=camera.name, transfer="direct")
    made = reference_catalog("gaia", home, camera)
    assert made.path == home.path / "etendue" / "refcats" / "gaia"
    assert {"g", "r"} <= set(made.bands)
    (ra, dec, radius), *more = field_cones(home, camera)
    assert not more  # both frames are of one field
    truth = Table.read(night / "refcat.csv", format="ascii.csv")
    inside = separation_deg(ra, dec, truth["ra"], truth["dec"]) <= radius
    assert len(made) == inside.sum() > 50


@pytest.mark.slow
def test_a_repository_without_science_frames_cannot_say_which_field(tap, night, tmp_path):
    home, camera = Repository.create(tmp_path / "repo"), load_camera("simcam")
    home.register_camera(camera)
    home.ingest(sorted((night / "bias").iterdir()), camera=camera.name, transfer="direct")
    with pytest.raises(InputError, match="no science frame has a WCS"):
        reference_catalog("gaia", home, camera)


def test_quickstart_refuses_an_absent_catalog_before_it_starts(tap, tmp_path):
    with pytest.raises(InputError, match="no such reference catalog"):
        quickstart([tmp_path], repository=tmp_path / "repo", refcat="absent.csv", progress=False)
    assert not (tmp_path / "repo").exists()
