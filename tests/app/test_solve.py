"""etendue solve: FITS files in, WCS out; what cannot be solved is said so and stops nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner

from etendue.app.solve import SolveOptions, solve_frames
from etendue.app.solving.frame_search import SearchOptions
from etendue.cli.main import main
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.refcat.build import write_reference_catalog
from etendue.refcat.star_index import build_star_index
from etendue.refcat.tycho2 import DEBIAN_FOLDER, PATTERN, build_tycho2_catalog
from etendue.table.table import Table

SHAPE, SCALE = (300, 400), 3.0
TRUE = WCS(naxis=2)
TRUE.wcs.ctype, TRUE.wcs.crval, TRUE.wcs.crpix = ["RA---TAN", "DEC--TAN"], [80.0, 10.0], [200.5, 150.5]
TRUE.wcs.cd = np.array([[0.8, 0.6], [0.6, -0.8]]) * SCALE / 3600.0


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    rng = np.random.default_rng(31)
    n = 1500
    table = Table("refcat", {
        "id": np.arange(n), "ra": rng.uniform(79.5, 80.5, n), "dec": rng.uniform(9.5, 10.5, n),
        "raErr": np.zeros(n), "decErr": np.zeros(n), "epoch": np.full(n, 51544.5),
        "r_flux": 10.0 ** rng.uniform(3.0, 5.0, n), "r_fluxErr": np.full(n, np.nan),
    })  # fmt: skip
    made = write_reference_catalog(table, tmp_path_factory.mktemp("solve") / "cat")
    build_star_index(made, max_order=10)
    return made


def pixels(catalog, seed=1):
    rng = np.random.default_rng(seed)
    stars = catalog.load_cone(ra_deg=80.0, dec_deg=10.0, radius_deg=0.25)
    x, y = TRUE.all_world2pix(stars["ra"], stars["dec"], 0)
    rows, cols = np.indices(SHAPE)
    image = rng.normal(500.0, 4.0, SHAPE)
    for a, b, flux in zip(x, y, stars["r_flux"], strict=True):
        if -5.0 < a < SHAPE[1] + 5.0 and -5.0 < b < SHAPE[0] + 5.0:
            image += flux / 8.0 * np.exp(-0.5 * ((cols - a) ** 2 + (rows - b) ** 2) / 1.2**2)
    return np.clip(image, 0, 60000).astype(np.uint16)


@pytest.fixture(scope="module")
def frames(catalog, tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    header = fits.Header({"OBJECT": "test", "PV1_1": 1.0, "CDELT1": 9.0})
    fits.PrimaryHDU(pixels(catalog), header).writeto(folder / "a.fits")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels(catalog, 2))]).writeto(folder / "b.fits.fz")
    return folder


def largest_error_arcsec(wcs):
    x, y = np.meshgrid(np.linspace(0, SHAPE[1] - 1, 8), np.linspace(0, SHAPE[0] - 1, 8))
    return float(separation_deg(*wcs.all_pix2world(x, y, 0), *TRUE.all_pix2world(x, y, 0)).max() * 3600.0)


def etendue(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


def test_frames_of_an_unknown_camera_get_headers_and_copies(catalog, frames, tmp_path):
    etendue("solve", frames, "--index", catalog.path, "--write", tmp_path / "copy", "--headers", tmp_path / "wcs",
            "-j", 1)  # fmt: skip
    for name in ("a.fits", "b.fits.fz"):
        with fits.open(tmp_path / "copy" / name) as copy, fits.open(frames / name) as frame:
            np.testing.assert_array_equal(copy[-1].data, frame[-1].data)
            header = copy[-1].header
        alone = fits.Header.fromtextfile(tmp_path / "wcs" / f"{name[0]}.wcs")
        for found in (header, alone):
            assert largest_error_arcsec(WCS(found)) < 0.1 * SCALE
            assert found["LOGODDS"] > 27.6
        assert "PV1_1" not in header
    assert fits.getheader(tmp_path / "copy" / "a.fits")["OBJECT"] == "test"


CAMERA = """
name: shifted
description: a camera with 20 columns of overscan before the pixels
plate_scale: 3.0
filters: [{physical_filter: Clear, band: clear}]
detectors:
  - id: 0
    name: main
    raw_shape: [300, 420]
    amplifiers:
      - {name: A, raw_data: "[21:420,1:300]", bbox: "[1:400,1:300]", raw_serial_overscan: "[1:20,1:300]", gain: 1,
         read_noise: 4, saturation: 65000}
header:
  time: {date: [DATE-OBS]}
  exposure_time: {keywords: [EXPTIME], unit: s}
  observation_type: {constant: science}
  physical_filter: {keywords: [FILTER]}
  ra: {keywords: [RA], unit: deg}
  dec: {keywords: [DEC], unit: deg}
"""


@pytest.mark.parametrize(("ra", "options", "how"), [(80.5, (), "pointing"), (200.0, (), "blind"),
                                                    (80.5, ("--blind",), "blind")])  # fmt: skip
def test_a_known_camera_s_pointing_is_tried_first_and_its_overscan_counts_as_pixels(
    catalog, tmp_path, ra, options, how
):
    camera, frame = tmp_path / "camera.yaml", tmp_path / "frame.fits"
    camera.write_text(CAMERA)
    header = fits.Header({"DATE-OBS": "2020-01-01T00:00:00", "EXPTIME": 60.0, "FILTER": "Clear", "RA": ra, "DEC": 10.3})
    raw = np.hstack([np.full((300, 20), 100, np.uint16), pixels(catalog)])
    fits.PrimaryHDU(raw, header).writeto(frame)
    result = etendue("solve", frame, "--index", catalog.path, "--camera", camera, "--headers", tmp_path, "--json",
                     *options)  # fmt: skip
    assert json.loads(result.stdout)[0]["how"] == how
    found = fits.Header.fromtextfile(tmp_path / "frame.wcs")
    assert found["NAXIS1"] == 420
    found["CRPIX1"] -= 20.0
    assert largest_error_arcsec(WCS(found)) < 0.1 * SCALE


def test_the_command_prints_a_row_per_frame_and_a_line_per_failure(catalog, frames, tmp_path):
    bad, empty = tmp_path / "bad.fits", tmp_path / "empty.fits"
    bad.write_text("hello")
    noise = np.random.default_rng(3).normal(100.0, 5.0, SHAPE)
    fits.PrimaryHDU(noise.astype(np.float32)).writeto(empty)
    result = etendue("solve", frames / "a.fits", bad, empty, "--index", catalog.path, "-j", 1, status=1)
    assert "blind" in result.stdout
    assert "bad.fits" in result.stdout
    assert result.stderr.splitlines()[-1] == "etendue: error: 2 of 3 frames not solved"
    rows = json.loads(etendue("solve", frames / "a.fits", "--index", catalog.path, "--json").stdout)
    assert rows[0]["matched"] > 30
    assert rows[0]["parity"] == "true"
    assert max(len(line) for line in result.stdout.splitlines() if "blind" in line) <= 100


BAD = {
    "constant": np.full((200, 200), 7, np.uint16),
    "saturated": np.full((200, 200), 65535, np.uint16),
    "nan": np.full((100, 100), np.nan, np.float32),
    "half nan": np.r_[np.full((99, 200), np.nan), np.random.default_rng(1).normal(100.0, 5.0, (99, 200))],
    "infinite": np.full((100, 100), np.inf, np.float32),
    "huge": np.full((100, 100), 1e30, np.float32),
    "tiny": np.ones((8, 8), np.int16),
    "one row": np.ones((1, 500), np.int16),
    "cube": np.zeros((3, 50, 50), np.float32),
}


@pytest.mark.parametrize("kind", BAD)
def test_pixels_that_hold_no_stars_are_a_reason_of_one_line(catalog, tmp_path, kind):
    fits.PrimaryHDU(BAD[kind]).writeto(tmp_path / "bad.fits")
    (outcome,) = solve_frames([tmp_path / "bad.fits"], SolveOptions(SearchOptions(catalog.path)), progress=False)
    assert not outcome.solved
    assert outcome.reason
    assert "\n" not in outcome.reason


def test_hint_and_scale_are_obeyed(catalog, frames):
    right = ("--ra", 80.1, "--dec", 10.1, "--radius", 1, "--scale", "2.5,3.5")
    rows = json.loads(etendue("solve", frames / "a.fits", "--index", catalog.path, "--json", *right).stdout)
    assert rows[0]["how"] == "given"
    etendue("solve", frames / "a.fits", "--index", catalog.path, "--ra", 90, "--dec", 10, status=1)
    etendue("solve", frames / "a.fits", "--index", catalog.path, "--scale", "1,2", status=1)


@pytest.mark.parametrize("wrong", [("--ra", "80"), ("--scale", "3"), ("--scale", "5,2")])
def test_wrong_options_are_usage_errors(catalog, frames, wrong):
    result = etendue("solve", frames / "a.fits", "--index", catalog.path, *wrong, status=2)
    assert len(result.stderr.splitlines()) == 1
    assert "see 'etendue solve --help'" in result.stderr


def test_a_catalog_without_index_a_folder_without_frames_and_the_own_folder_are_refused(catalog, frames, tmp_path):
    with pytest.raises(InputError, match="no star index"):
        solve_frames([frames / "a.fits"], SolveOptions(SearchOptions(tmp_path)), progress=False)
    assert "no FITS files" in etendue("solve", tmp_path, "--index", catalog.path, status=1).stderr
    result = etendue("solve", frames / "a.fits", "--index", catalog.path, "--write", frames, "-j", 1, status=1)
    assert "another folder" in result.stdout


def test_the_index_command_says_what_it_made(catalog):
    text = etendue("refcat", "index", catalog.path, "--overwrite", "--max-order", 10).output
    assert "stars and" in text
    assert "already exists" in etendue("refcat", "index", catalog.path, status=1).stderr


def test_the_tycho2_command_says_what_to_install(tmp_path):
    said = etendue("refcat", "tycho2", tmp_path, "--out", tmp_path / "cat", status=1).stderr
    assert "apt-get install astrometry-data-tycho2-07" in said
    assert not (tmp_path / "cat").exists()


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("every", [10, 1])
def test_a_real_night_is_solved_with_the_header_s_pointing_and_blindly(shared_data, tmp_path, every):
    if not any(Path(DEBIAN_FOLDER).glob(PATTERN)):
        pytest.skip("Debian's astrometry-data-tycho2 packages are not installed")
    catalog = build_tycho2_catalog(tmp_path / "tycho2")
    build_star_index(catalog)
    night = sorted((shared_data / "hatp32").rglob("*.fits.fz"))
    assert len(night) == 71
    night = night[::every]
    for blind in (False, True):
        outcomes = solve_frames(
            night, SolveOptions(SearchOptions(catalog.path, blind=blind)), workers=2, progress=False
        )
        assert [outcome.path.name for outcome in outcomes if not outcome.solved] == []
        assert len(outcomes) == len(night)
        found = [outcome.statistics for outcome in outcomes]
        assert {outcome.how for outcome in outcomes} == {"blind" if blind else "pointing"}
        assert max(s["rms_arcsec"] for s in found) < 1.0
        assert min(s["matched"] for s in found) >= 15
        off = [separation_deg(s["ra_deg"], s["dec_deg"], 31.0428, 46.6878) for s in found]
        assert max(off) < 0.5  # HAT-P-32 is on every frame
        assert np.ptp([s["scale_arcsec"] for s in found]) < 0.01
