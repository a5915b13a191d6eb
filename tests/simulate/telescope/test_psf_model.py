"""The PSF of a detector has the seeing's width, the donut's size, and the direction that the air gives it."""

import numpy as np
import pytest

from etendue.camera.shipped import load_camera
from etendue.simulate.telescope.psf_model import make_chip_psf
from etendue.simulate.telescope.pupil import zernike
from etendue.simulate.telescope.spec import AirSpec, OpticsSpec, TelescopeSpec, ZernikeSpec

from .scene import BAND, exposure

CAMERA = load_camera("simcam")
CHIP = CAMERA.detector(0)
STILL_AIR = AirSpec(ellipticity=0.0)
ARCSEC = 0.5 / 4.0  # per sample


def psf_of(spec, number=1, seed=1, **changes):
    return make_chip_psf(spec, CAMERA, CHIP, exposure(number, **changes), BAND, seed)


def moments(image):
    c = image.shape[0] // 2
    y, x = np.mgrid[-c : c + 1, -c : c + 1] * ARCSEC
    weight = image * np.exp(-0.5 * (x**2 + y**2) / 1.5**2)
    weight /= weight.sum()
    return (weight * x * x).sum(), (weight * y * y).sum(), (weight * x * y).sum()


def fwhm(image):
    c = image.shape[0] // 2
    line = image[c, c:].astype(float)
    below = int(np.argmax(line < 0.5 * line[0]))
    return 2.0 * ARCSEC * (below - 1 + (line[below - 1] - 0.5 * line[0]) / (line[below - 1] - line[below]))


@pytest.mark.parametrize("profile", ["kolmogorov", "von_karman", "moffat"])
@pytest.mark.parametrize("seeing", [0.8, 1.3])
def test_without_optics_the_width_is_the_seeing(profile, seeing):
    spec = TelescopeSpec(air=AirSpec(profile=profile, ellipticity=0.0), optics=None, refraction=False, nodes=1)
    image = psf_of(spec, seeing_arcsec=seeing).images[0, 0]
    assert fwhm(image) == pytest.approx(seeing, rel=0.01)
    assert image.sum() == pytest.approx(1.0, abs=1e-5)


def test_a_detector_out_of_focus_shows_a_donut_of_the_size_of_geometry():
    optics = OpticsSpec(heights_mm={"S00": 1.5})
    image = psf_of(TelescopeSpec(air=STILL_AIR, optics=optics, nodes=1)).images[0, 0]
    c = image.shape[0] // 2
    radius = 1.5 / (2.0 * optics.f_ratio) / (optics.f_ratio * optics.diameter_m * 1e3) * 206265.0  # [arcsec]
    diagonal = np.arange(0, c) * ARCSEC * np.sqrt(2.0)
    along = image[c + np.arange(c), c + np.arange(c)]
    edge = diagonal[np.flatnonzero(along > 0.5 * along.max())[-1]]
    assert edge == pytest.approx(radius, rel=0.03)
    assert along[0] < 0.01 * along.max()  # the shadow of the secondary


def test_refraction_elongates_the_psf_towards_the_zenith():
    spec = TelescopeSpec(air=STILL_AIR, optics=None, nodes=1)
    up = psf_of(spec, rotation_deg=60.0, parallactic_deg=60.0, zenith_deg=60.0).images[0, 0]  # zenith along y
    ixx, iyy, ixy = moments(up)
    assert iyy > 1.005 * ixx
    assert abs(ixy) < 1e-3 * ixx
    aside = psf_of(spec, rotation_deg=60.0, parallactic_deg=150.0, zenith_deg=60.0).images[0, 0]
    np.testing.assert_allclose(aside, up.T, atol=1e-7)


def test_the_air_is_elongated_differently_in_every_exposure_and_smoothly_over_the_field():
    spec = TelescopeSpec(
        air=AirSpec(ellipticity=0.05, ellipticity_scale_deg=2.0), optics=None, refraction=False, nodes=3
    )
    first, again, other = psf_of(spec), psf_of(spec), psf_of(spec, number=2)
    np.testing.assert_array_equal(first.images, again.images)
    assert np.abs(first.images - other.images).max() > 0.01 * first.images.max()
    e1 = [[(lambda m: (m[0] - m[1]) / (m[0] + m[1]))(moments(image)) for image in row] for row in first.images]
    assert 0.0 < np.ptp(e1) < 0.1


def test_aberrations_change_over_the_field_and_between_exposures_as_they_are_told():
    optics = OpticsSpec(jitter_arcsec=0.0, zernikes=(ZernikeSpec(noll=4, tilt=(8000.0, 0.0)),))
    spec = TelescopeSpec(air=STILL_AIR, optics=optics, refraction=False, nodes=3)
    widths = [sum(moments(image)[:2]) for image in psf_of(spec).images[1]]
    assert widths[0] > widths[1] > widths[2]  # detector S00 lies at negative x: defocus grows away from the axis


def test_zernikes_are_orthonormal_over_the_disc():
    rng = np.random.default_rng(3)
    radius, angle = np.sqrt(rng.uniform(size=200_000)), rng.uniform(0.0, 2.0 * np.pi, 200_000)
    u, v = radius * np.cos(angle), radius * np.sin(angle)
    values = np.stack([zernike(noll, u, v) for noll in range(4, 16)])
    np.testing.assert_allclose(values @ values.T / u.size, np.eye(12), atol=0.03)
