"""Commands that add synthetic sources."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from etendue.cli.main import main
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.fits_exposure import read_exposure, write_exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.photo_calib import PhotoCalib
from etendue.image.psf import GaussianMixturePsf
from tiny_frames import CAMERA, TEXT, write_tiny


def blank(shape, scale_arcsec):
    box = Box.from_shape(shape)
    cd = scale_arcsec / 3600.0 * np.diag([-1.0, 1.0])
    noise = np.random.default_rng(2).normal(0.0, 10.0, shape).astype(np.float32)
    wcs = SkyWcs.tan(crpix_x=shape[1] / 2, crpix_y=shape[0] / 2, crval_ra_deg=150.0, crval_dec_deg=2.0, cd=cd)
    return Exposure(
        image=Image(noise, box), mask=Mask.empty(box), variance=Image.full(box, 100.0), wcs=wcs, unit="electron",
        psf=GaussianMixturePsf.circular(1.4, 31), photo_calib=PhotoCalib(scale=2.0), detector=1,
    )  # fmt: skip


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.fits"
    write_exposure(blank((260, 240), 0.3), path)
    return path


def run(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments])


def test_transfer_prints_a_table_that_fits_and_writes_everything(image, tmp_path):
    found = run("inject", "transfer", image, "--rounds", 2, "--spacing", 30, "-o", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert max(len(line) for line in found.output.splitlines()) <= 100
    assert "half of the stars are found" in found.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sources.parquet", "transfer.json", "transfer.png"}
    summary = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert sum(row["n"] for row in summary["stars"] + summary["galaxies"]) == 2 * 8 * 8
    again = run("inject", "transfer", image, "-o", tmp_path / "out")
    assert again.exit_code == 1
    assert "choose another name" in again.output
    told = json.loads(run("inject", "transfer", image, "--rounds", 1, "--json").stdout)
    assert told["depth_mag"] == pytest.approx(summary["depth_mag"])


def test_a_catalog_goes_into_an_image(image, tmp_path):
    catalog = tmp_path / "sources.csv"
    catalog.write_text("ra,dec,mag,half_light_radius\n150.0,2.0,20.0,0.0\n150.002,2.003,21.0,0.8\n10.0,10.0,20.0,0.0\n")
    found = run("inject", "add", image, catalog, "-o", tmp_path / "new.fits")
    assert found.exit_code == 0, found.output
    assert "2 sources added" in found.output
    added = read_exposure(tmp_path / "new.fits").image.array - read_exposure(image).image.array
    assert added.sum() > 10_000.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ra,dec\n1,2\n", "lacks columns"),
        ("ra,dec,mag\n1,2,x\n", "holds text"),
        ("ra,dec,mag,n\n1,2,3,99\n", "out of range"),
    ],
)
def test_wrong_catalogs_are_one_line_and_nothing_is_written(image, tmp_path, text, message):
    catalog = tmp_path / "bad.csv"
    catalog.write_text(text)
    found = run("inject", "add", image, catalog, "-o", tmp_path / "new.fits")
    assert found.exit_code == 1
    assert message in found.output
    assert "bad.csv" in found.output
    assert len(found.output.strip().splitlines()) == 1
    assert not (tmp_path / "new.fits").exists()


def test_a_catalog_goes_into_a_raw_frame(tmp_path):
    frame = write_tiny(tmp_path, 1)
    (tmp_path / "tiny.yaml").write_text(TEXT)
    write_exposure(blank(CAMERA.detector(1).bbox.shape, 1.0), tmp_path / "like.fits")
    (tmp_path / "sources.csv").write_text("ra,dec,mag\n150.0,2.0,17.0\n")
    found = run("inject", "raw", frame, tmp_path / "sources.csv", "--like", tmp_path / "like.fits", "--camera",
                tmp_path / "tiny.yaml", "-o", tmp_path / "new.fits")  # fmt: skip
    assert found.exit_code == 0, found.output
    assert (tmp_path / "new.fits").exists()
