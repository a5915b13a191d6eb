"""Transfer functions: sources that are added come out as they went in."""

import numpy as np
import pytest

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.photo_calib import PhotoCalib
from etendue.image.psf import GaussianMixturePsf
from etendue.qa.transfer_curve import transfer_curve
from etendue.qa.transfer_plot import transfer_plot
from etendue.tasks.characterize.transfer import MeasureTransferTask, TransferConfig


@pytest.fixture(scope="module")
def image():
    box, rng = Box.from_shape((500, 500)), np.random.default_rng(8)
    cd = np.diag([-0.3, 0.3]) / 3600.0
    plane = Image(rng.normal(0.0, 20.0, box.shape).astype(np.float32), box)
    return Exposure(
        image=plane, mask=Mask.empty(box), variance=Image.full(box, 400.0), psf=GaussianMixturePsf.circular(1.6, 31),
        wcs=SkyWcs.tan(crpix_x=250.0, crpix_y=250.0, crval_ra_deg=10.0, crval_dec_deg=-5.0, cd=cd),
        photo_calib=PhotoCalib(scale=3.0), unit="electron",
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(image):
    return MeasureTransferTask(TransferConfig(spacing=36.0, rounds=4)).run(exposure=image, seed=5)


def test_stars_are_complete_unbiased_and_have_right_errors(found):
    star = found.columns["half_light_radius"] == 0.0
    edges = found.depth_mag + np.array([-6.0, -4.0, -2.0, -1.0, 0.5, 1.0])
    curve = transfer_curve(found.columns, edges, use=star)
    assert (curve.completeness[:3] > 0.98).all()
    assert (np.abs(curve.bias[:3]) < 4.0 * curve.bias_err[:3] + 1e-3).all()
    assert np.median(curve.pull_width[:3]) == pytest.approx(1.0, abs=0.15)
    assert curve.completeness[-1] < 0.2
    assert found.depth_mag - 0.7 < curve.crossing(0.5) < found.depth_mag + 0.7
    assert curve.n.sum() == np.count_nonzero(star)


def test_galaxies_are_extended_and_stars_are_not(found):
    bright = found.columns["detected"] & (found.columns["mag"] < found.depth_mag - 4.0)
    galaxy = found.columns["half_light_radius"] > 0.5
    assert np.nanmean(found.columns["extendedness"][bright & galaxy]) > 0.95
    assert np.nanmean(found.columns["extendedness"][bright & (found.columns["half_light_radius"] == 0)]) < 0.05


def test_a_place_where_a_source_was_before_tells_nothing(image):
    task = MeasureTransferTask(TransferConfig(spacing=100.0, rounds=1, galaxy_fraction=0.0))
    first = task.run(exposure=image, seed=9)
    light = np.zeros(image.bbox.shape)
    for x, y in zip(first.columns["x"], first.columns["y"], strict=True):
        stamp = image.psf.draw(x=x, y=y)
        light[stamp.y0[0] : stamp.y0[0] + 31, stamp.x0[0] : stamp.x0[0] + 31] += 3e4 * stamp.value[0]
    crowded = image.replace(image=Image((image.image.array + light).astype(np.float32), image.bbox))
    again = task.run(exposure=crowded, seed=9)
    assert again.columns["by_chance"].all()
    assert again.columns["blendedness"].min() > first.columns["blendedness"].max()
    assert np.isnan(transfer_curve(again.columns, np.array([10.0, 40.0])).completeness).all()


def test_the_picture_shows_bins_without_sources(found):
    star = transfer_curve(found.columns, np.arange(5.0, 40.0, 1.0))
    assert transfer_plot({"all": star})[:4] == b"\x89PNG"


def test_an_image_without_psf_is_refused(image):
    with pytest.raises(InputError, match="no PSF"):
        MeasureTransferTask().run(exposure=image.replace(psf=None))
