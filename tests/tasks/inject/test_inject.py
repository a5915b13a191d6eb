"""Sources added to images: their light, their noise, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import j1

from etendue.camera.raw import read_raw
from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.photo_calib import PhotoCalib, mag_to_njy
from etendue.image.psf import GaussianMixturePsf
from etendue.tasks.inject.catalog import InjectionCatalog
from etendue.tasks.inject.draw import Drawable, add_source, sersic_transform
from etendue.tasks.inject.inject import InjectConfig, InjectTask
from etendue.tasks.inject.inject_raw import InjectRawTask
from tiny_frames import CAMERA, write_tiny

SCALE = 0.4
PSF = GaussianMixturePsf.circular(1.5, 41)


def tan_wcs(x, y, scale_arcsec, rotation_deg):
    cos, sin = np.cos(np.radians(rotation_deg)), np.sin(np.radians(rotation_deg))
    cd = scale_arcsec / 3600.0 * np.array([[-cos, sin], [sin, cos]])
    return SkyWcs.tan(crpix_x=x, crpix_y=y, crval_ra_deg=150.0, crval_dec_deg=2.0, cd=cd)


@pytest.fixture
def exposure():
    """A visit image of blank sky in nJy, 2 e of noise a pixel, on which one electron is 5 nJy."""
    box = Box.from_shape((220, 200), y0=1000, x0=300)
    star = np.zeros(box.shape)
    drawn = PSF.draw(x=100.0, y=60.0)
    star[drawn.y0[0] : drawn.y0[0] + 41, drawn.x0[0] : drawn.x0[0] + 41] = 4e4 * drawn.value[0]  # tells the gain
    noise = np.random.default_rng(1).normal(0.0, 2.0, box.shape)
    wcs = tan_wcs(400.0, 1100.0, SCALE, 30.0)
    return Exposure(
        image=Image((5.0 * (star + noise)).astype(np.float32), box), mask=Mask.empty(box), unit="nJy",
        variance=Image((25.0 * (4.0 + star)).astype(np.float32), box), psf=PSF, wcs=wcs,
        photo_calib=PhotoCalib(scale=5.0),
    )  # fmt: skip


def catalog_at(exposure, x, y, **columns):
    ra, dec = exposure.wcs.pixel_to_sky(x=np.atleast_1d(x), y=np.atleast_1d(y))
    return InjectionCatalog.from_columns({"ra": ra, "dec": dec, "mag": np.full(ra.size, 21.0), **columns})


def test_a_star_has_its_magnitude_and_its_place(exposure):
    quiet = InjectTask(InjectConfig(noise=False))
    result = quiet.run(exposure=exposure, catalog=catalog_at(exposure, 420.3, 1110.6))
    added = result.exposure.image.array.astype(float) - exposure.image.array
    assert added.sum() == pytest.approx(mag_to_njy(21.0), rel=1e-3)
    rows, columns = np.indices(added.shape)
    assert (added * columns).sum() / added.sum() + 300 == pytest.approx(420.3, abs=0.01)
    assert (added * rows).sum() / added.sum() + 1000 == pytest.approx(1110.6, abs=0.01)
    assert result.columns["flux"][0] == pytest.approx(mag_to_njy(21.0))
    assert result.exposure.mask.count("INJECTED") > 20
    np.testing.assert_array_equal(result.exposure.variance.array, exposure.variance.array)


def test_the_photon_noise_of_sources_is_added_to_image_and_variance(exposure):
    catalog = catalog_at(exposure, 420.0, 1110.0, mag=[17.0])
    truth = InjectTask(InjectConfig(noise=False)).run(exposure=exposure, catalog=catalog).exposure.image.array
    noisy = [InjectTask().run(exposure=exposure, catalog=catalog, seed=seed).exposure for seed in range(60)]
    core = np.s_[107:114, 117:124]
    scatter = np.array([one.image.array[core] - truth[core] for one in noisy]).std(axis=0)
    extra = (noisy[0].variance.array - exposure.variance.array)[core]
    assert np.mean(scatter**2 / extra) == pytest.approx(1.0, abs=0.05)
    again = InjectTask().run(exposure=exposure, catalog=catalog, seed=3).exposure
    np.testing.assert_array_equal(again.image.array, noisy[3].image.array)


def test_galaxies_have_the_moments_of_their_profile_turned_on_the_sky(exposure):
    catalog = catalog_at(exposure, 400.0, 1100.0, half_light_radius=[1.2], n=[1.0], q=[0.5], position_angle=[20.0])
    result = InjectTask(InjectConfig(noise=False, floor=1e-4)).run(exposure=exposure, catalog=catalog)
    light = result.exposure.image.array.astype(float) - exposure.image.array
    assert light.sum() == pytest.approx(mag_to_njy(21.0), rel=5e-3)
    ra, dec = exposure.wcs.pixel_to_sky(
        x=np.arange(300, 500)[None, :] + 0.0 * light, y=np.arange(1000, 1220)[:, None] + 0 * light
    )
    ra0, dec0 = exposure.wcs.pixel_to_sky(x=400.0, y=1100.0)
    east, north = (ra - ra0) * np.cos(np.radians(dec0)) * 3600.0, (dec - dec0) * 3600.0
    moments = [(light * a * b).sum() / light.sum() for a, b in ((east, east), (north, north), (east, north))]
    angle = 0.5 * np.degrees(np.arctan2(2.0 * moments[2], moments[1] - moments[0]))
    assert angle == pytest.approx(20.0, abs=1.0)


@pytest.mark.parametrize("n", [1.0, 2.3, 4.0])
def test_half_of_a_galaxy_is_within_its_half_light_radius(n):
    wavenumber = np.geomspace(1e-5, 60.0, 60_000)
    transform = sersic_transform(n, wavenumber**2)
    inside = np.trapezoid(transform * j1(wavenumber), wavenumber)  # light in a unit circle
    assert inside == pytest.approx(0.5, abs=0.01)


def test_a_galaxy_of_no_size_is_a_star():
    star, galaxy = np.zeros((80, 80)), np.zeros((80, 80))
    add_source(star, Drawable(40.2, 39.7, 1.0, np.zeros((2, 2))), PSF, x0=0, y0=0, side=61)
    add_source(galaxy, Drawable(40.2, 39.7, 1.0, 1e-8 * np.eye(2)), PSF, x0=0, y0=0, side=61)
    np.testing.assert_allclose(galaxy, star, atol=1e-5)


def test_sources_beside_the_image_are_left_out_and_those_on_its_edge_are_cut(exposure):
    catalog = catalog_at(exposure, [299.0, 250.0, 499.6], [1100.0, 1100.0, 1219.0])
    result = InjectTask(InjectConfig(noise=False)).run(exposure=exposure, catalog=catalog)
    assert result.columns["injection_id"].tolist() == [1, 3]
    assert np.isfinite(result.exposure.image.array).all()


def test_images_without_psf_or_flux_scale_and_wrong_catalogs_are_refused(exposure):
    catalog = catalog_at(exposure, 400.0, 1100.0)
    with pytest.raises(InputError, match="no PSF and no WCS"):
        InjectTask().run(exposure=exposure.replace(psf=None, wcs=None), catalog=catalog)
    with pytest.raises(InputError, match="no flux scale"):
        InjectTask().run(exposure=exposure.replace(unit="electron", photo_calib=None), catalog=catalog)
    with pytest.raises(InputError, match=r"lacks columns .*mag"):
        InjectionCatalog.from_columns({"ra": [1.0], "dec": [2.0]})
    with pytest.raises(InputError, match=r"n of row 1 .*out of range"):
        InjectionCatalog.from_columns({"ra": [1, 1], "dec": [2, 2], "mag": [20, 20], "n": [1.0, 9.0]})
    with pytest.raises(InputError, match="differ in length"):
        InjectionCatalog.from_columns({"ra": [1, 1], "dec": [2, 2], "mag": [20]})


def test_a_raw_frame_gets_the_photons_over_the_gain_where_the_light_falls(tmp_path):
    raw = read_raw(write_tiny(tmp_path, 1, value=1000), CAMERA)
    box = CAMERA.detector(1).bbox
    wcs = tan_wcs(18.0, 15.0, 1.0, 0.0)
    like = Exposure(
        image=Image.full(box, 0.0), mask=Mask.empty(box), variance=Image.full(box, 1.0), wcs=wcs, unit="electron",
        psf=GaussianMixturePsf.circular(1.2, 21), photo_calib=PhotoCalib(scale=2.0),
    )  # fmt: skip
    catalog = InjectionCatalog.from_columns({"ra": [150.0], "dec": [2.0], "mag": [17.0]})
    result = InjectRawTask().run(raw=raw, camera=CAMERA, like=like, catalog=catalog, seed=4)
    added = result.raw.array.astype(float) - 1000.0
    assert added.sum() * 1.5 == pytest.approx(mag_to_njy(17.0) / 2.0, rel=0.01)
    assert (added[:, 36:] == 0.0).all()  # overscan
    assert result.raw.array.dtype == raw.array.dtype
    assert np.unravel_index(added.argmax(), added.shape) == (15, 18)
    dim = InjectRawTask().run(raw=raw, camera=CAMERA, like=like, catalog=catalog, seed=4,
                              flat=like.replace(image=Image.full(box, 0.5)))  # fmt: skip
    assert (dim.raw.array - 1000.0).sum() == pytest.approx(0.5 * added.sum(), rel=0.02)
    bright = replace(catalog, mag=np.array([8.0]))
    assert InjectRawTask().run(raw=raw, camera=CAMERA, like=like, catalog=bright).raw.array.max() == 60000
    with pytest.raises(InputError, match="does not fit the raw frame"):
        InjectRawTask().run(raw=raw, camera=CAMERA, like=like.replace(photo_calib=None), catalog=catalog)
