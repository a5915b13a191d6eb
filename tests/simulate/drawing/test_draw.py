"""Drawing agrees with its definition, conserves flux, and refuses what it cannot draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.simulate.drawing.draw import DrawSpec, draw, draw_stamp
from etendue.simulate.drawing.sources import Sources
from etendue.simulate.drawing.stamp_class import LEVELS, StampClass, spline_transform
from etendue.simulate.population.shapes import Shapes
from etendue.simulate.telescope.chip_psf import ChipPsf

EXACT = DrawSpec(floor=1e-4)


def moffat(*widths: float, half: int = 30, oversampling: int = 3, chromatic_index: float = 0.0) -> ChipPsf:
    """PSFs of a Moffat profile (beta 3.5) of some FWHM [px], side by side at x = 0, 100, ..."""
    r = (np.arange(2 * half * oversampling + 1) - half * oversampling) / oversampling
    images = []
    for width in widths:
        scale = width / (2.0 * np.sqrt(2.0 ** (1 / 3.5) - 1.0))
        image = (1.0 + (r[:, None] ** 2 + r[None, :] ** 2) / scale**2) ** -3.5
        images.append(image / image.sum())
    nodes_x = 100.0 * np.arange(len(widths))
    stack = np.array(images, np.float32)[None]
    return ChipPsf(nodes_x, np.zeros(1), stack, oversampling, 600.0, chromatic_index)


def gaussian(sigma: float, half: int = 24, oversampling: int = 4) -> ChipPsf:
    r = (np.arange(2 * half * oversampling + 1) - half * oversampling) / oversampling
    image = np.exp(-0.5 * (r[:, None] ** 2 + r[None, :] ** 2) / sigma**2)
    return ChipPsf(np.zeros(1), np.zeros(1), (image / image.sum()).astype(np.float32)[None, None], oversampling, 600.0)


def sersic(radius: float, index: float = 1.0, e1: float = 0.0, e2: float = 0.0, flux: float = 1.0) -> Shapes:
    columns = [np.array([value]) for value in (flux, 0.0, 0.0, radius, index, e1, e2)]
    return Shapes(np.array([0, 1]), *columns)


def one(**keywords: object) -> Sources:
    return Sources.points(**({"x": 30.0, "y": 30.0, "electrons": 1e5, "wavelength_nm": 600.0} | keywords))


def gaussian_pixels(size: int, x: float, y: float, covariance: np.ndarray) -> np.ndarray:
    """Definition: an elliptical Gaussian integrated over each pixel, by Gauss-Legendre quadrature of order 4."""
    nodes, weights = np.polynomial.legendre.leggauss(4)
    fine = (np.arange(size)[:, None] + 0.5 * nodes).ravel()
    u, v = np.meshgrid(fine - x, fine - y)
    inverse = np.linalg.inv(covariance)
    value = np.exp(-0.5 * (inverse[0, 0] * u * u + 2 * inverse[0, 1] * u * v + inverse[1, 1] * v * v))
    value /= 2 * np.pi * np.sqrt(np.linalg.det(covariance))
    return np.einsum("iajb,a,b->ij", value.reshape(size, 4, size, 4), weights / 2, weights / 2)


@settings(max_examples=15, deadline=None)
@given(
    dx=st.floats(-0.5, 0.5), dy=st.floats(-0.5, 0.5), sigma=st.floats(0.8, 3.0), radius=st.floats(0.0, 6.0),
    e=st.floats(0.0, 0.7), angle=st.floats(0.0, np.pi),
)  # fmt: skip
def test_gaussian_shapes_agree_with_the_definition(dx, dy, sigma, radius, e, angle) -> None:
    e1, e2 = e * np.cos(2 * angle), e * np.sin(2 * angle)
    stamp = draw_stamp(gaussian(sigma), size=65, x=200 + dx, y=300 + dy, shapes=sersic(radius, 0.5, e1, e2))
    variance = radius**2 / (2 * np.log(2)) / np.sqrt(1 - e * e)
    shape = variance * np.array([[1 - e1, e2], [e2, 1 + e1]])
    x, y = 32 + 200 + dx - np.rint(200 + dx), 32 + 300 + dy - np.rint(300 + dy)
    expected = gaussian_pixels(65, x, y, shape + sigma**2 * np.eye(2))
    assert np.abs(stamp - expected).max() < 5e-4 * expected.max()


@pytest.mark.parametrize("shape", [None, (3.0, 1.0), (3.0, 4.0), (15.0, 1.0), (40.0, 0.5)])
@pytest.mark.parametrize("electrons", [1e2, 1e4, 1e6])
def test_all_electrons_are_drawn(shape: tuple[float, float] | None, electrons: float) -> None:
    image = np.zeros((1500, 1500), np.float32)
    shapes = Shapes.none() if shape is None else sersic(*shape, 0.3, 0.2)
    source = Sources.of_shapes(
        x=750.2, y=749.6, electrons=electrons, wavelength_nm=600.0, shape=-1 if shape is None else 0, shapes=shapes,
        jacobian=np.eye(2),
    )  # fmt: skip
    draw(image, source, moffat(3.0))
    assert image.sum(dtype=float) == pytest.approx(electrons, rel=1e-3)


@pytest.mark.parametrize("electrons", [3e2, 3e3, 3e4, 3e5])
def test_light_that_is_cut_is_below_the_floor(electrons: float) -> None:
    psf = moffat(3.0, 3.3, 3.1, half=40)
    rough, exact = np.zeros((2, 160, 160), np.float32)
    source = one(x=70.3, y=81.8, electrons=electrons)
    draw(rough, source, psf)
    draw(exact, source, psf, EXACT)
    assert np.abs(rough - exact).max() < 0.1


def test_a_large_galaxy_is_the_same_whole_and_split() -> None:
    """Levels of 4 px cells against a single stamp: the same Gaussian, whose definition needs no PSF."""
    image = np.zeros((600, 600), np.float32)
    source = Sources.of_shapes(
        x=301.3, y=298.8, electrons=1e7, wavelength_nm=600.0, shape=0, shapes=sersic(60.0, 0.5, 0.2, 0.5),
        jacobian=np.eye(2),
    )  # fmt: skip
    draw(image, source, gaussian(1.5))
    variance = 60.0**2 / (2 * np.log(2)) / np.sqrt(1 - 0.29)
    covariance = variance * np.array([[0.8, 0.5], [0.5, 1.2]]) + 1.5**2 * np.eye(2)
    u, v = np.meshgrid(np.arange(600) - 301.3, np.arange(600) - 298.8)
    inverse = np.linalg.inv(covariance)
    expected = np.exp(-0.5 * (inverse[0, 0] * u * u + 2 * inverse[0, 1] * u * v + inverse[1, 1] * v * v))
    expected *= 1e7 / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    assert np.abs(image - expected).max() < 2e-4 * expected.max()


def test_an_exponential_is_the_limit_of_its_neighbours() -> None:
    """Index 1 has a formula of its own, the others a table."""
    exact, near = (
        draw_stamp(gaussian(1.5), size=65, x=0.2, y=0.4, shapes=sersic(4.0, n, 0.3)) for n in (1.0, 1.0 + 1e-9)
    )
    assert np.abs(exact - near).max() < 2e-5 * exact.max()


@pytest.mark.parametrize("levels", range(1, LEVELS + 1))
def test_the_levels_of_split_light_add_up_to_all_of_it(levels: int) -> None:
    kx, ky = (k.ravel() for k in np.meshgrid(np.linspace(-0.4, 0.4, 81), np.linspace(0.0, 0.4, 41)))
    total = np.zeros(kx.size)
    for level in range(levels):
        kind = StampClass(256, 4**level, split=level < levels - 1)
        spline = spline_transform(kx, ky, kind.cell, 6) if level else 1.0
        total += kind.window(kx, ky) * spline * kind.cell**2
    np.testing.assert_allclose(total, np.sinc(kx / (2 * np.pi)) * np.sinc(ky / (2 * np.pi)), rtol=1e-12)


@pytest.mark.parametrize(("dx", "dy"), [(9.0, -4.0), (70.0, 45.0)])
def test_a_trail_is_the_mean_of_its_points(dx: float, dy: float) -> None:
    psf = moffat(3.0)
    trail, points = np.zeros((2, 150, 150), np.float32)
    draw(trail, one(x=75.3, y=74.1, trail_dx=dx, trail_dy=dy), psf, EXACT)
    t = (np.arange(1000) + 0.5) / 1000 - 0.5
    draw(points, one(x=75.3 + t * dx, y=74.1 + t * dy, electrons=100.0), psf, EXACT)
    assert np.abs(trail - points).max() < 2e-3 * points.max()
    assert trail.sum(dtype=float) == pytest.approx(1e5, rel=1e-3)


def test_the_psf_is_bilinear_between_nodes() -> None:
    stamps = [
        draw_stamp(psf, size=41, x=25.0, y=10.0) for psf in (moffat(2.5, 4.0), moffat(2.5), moffat(4.0))
    ]  # a quarter of the way from the first node to the second
    assert np.abs(stamps[0] - 0.75 * stamps[1] - 0.25 * stamps[2]).max() < 1e-4 * stamps[0].max()


@pytest.mark.parametrize("stretch", [0.93, 1.015, 1.1])
def test_the_width_follows_the_wavelength(stretch: float) -> None:
    wide = draw_stamp(moffat(3.0, chromatic_index=1.0), size=61, x=20.3, y=11.0, wavelength_nm=600.0 * stretch)
    expected = draw_stamp(moffat(3.0 * stretch, half=36), size=61, x=20.3, y=11.0)
    assert np.abs(wide - expected).max() < 3e-3 * expected.max()


def test_colours_of_one_scene_are_interpolated_to_a_thousandth() -> None:
    psf = moffat(3.0, chromatic_index=0.5)
    wavelengths = np.linspace(500.0, 700.0, 9)
    together, alone = np.zeros((2, 60, 600), np.float32)
    x = 30.0 + 65.0 * np.arange(9)
    draw(together, one(x=x, wavelength_nm=wavelengths), psf, EXACT)
    for place, wavelength in zip(x, wavelengths, strict=True):
        draw(alone, one(x=place, wavelength_nm=wavelength), psf, EXACT)
    assert np.abs(together - alone).max() < 5e-4 * alone.max()


def test_shapes_follow_the_wcs() -> None:
    """North up, east left, 0.5 arcsec/px: an arcsecond east is two pixels left, the major axis turns with it."""
    jacobian = np.array([[-0.5, 0.0], [0.0, 0.5]])
    shapes = Shapes(
        np.array([0, 1]), np.ones(1), np.array([1.0]), np.array([0.5]), np.array([2.0]), np.array([1.0]),
        np.array([0.0]), np.array([0.4]),
    )  # fmt: skip
    source = Sources.of_shapes(
        x=0.0, y=0.0, electrons=1.0, wavelength_nm=600.0, shape=0, shapes=shapes, jacobian=jacobian
    )
    scale = (2.0 / 0.5) ** 2 / np.sqrt(1 - 0.16)
    np.testing.assert_allclose(source.parts[0], [1.0, -2.0, 1.0, scale, scale, -0.4 * scale], rtol=1e-12)


def test_dust_takes_light_away() -> None:
    disk, dust = (1.2, 0.0, 0.0, 5.0, 1.0, 0.0, 0.0), (-0.2, 1.0, 0.0, 2.0, 0.5, 0.0, 0.0)
    shapes = Shapes(np.array([0, 2]), *np.array([disk, dust]).T)
    stamp = draw_stamp(gaussian(1.5), size=129, x=0.0, y=0.0, shapes=shapes)
    bright = draw_stamp(gaussian(1.5), size=129, x=0.0, y=0.0, shapes=sersic(5.0))
    dark = draw_stamp(gaussian(1.5), size=129, x=1.0, y=0.0, shapes=sersic(2.0, 0.5))
    expected = 1.2 * bright - 0.2 * np.roll(dark, 1, axis=1)
    assert np.abs(stamp - expected).max() < 1e-4 * expected.max()


def test_a_cutout_is_part_of_the_whole() -> None:
    psf = moffat(3.0, 3.5, 4.0)
    rng = np.random.default_rng(1)
    sources = one(x=rng.uniform(0, 200, 50), y=rng.uniform(0, 200, 50), electrons=10 ** rng.uniform(2, 6, 50))
    whole, part = np.zeros((200, 200), np.float32), np.zeros((60, 80), np.float32)
    draw(whole, sources, psf)
    draw(part, sources, psf, origin_x=40, origin_y=100)
    assert np.abs(whole[100:160, 40:120] - part).max() < 0.05


def test_order_does_not_matter() -> None:
    psf = moffat(3.0, 3.5)
    rng = np.random.default_rng(2)
    x, y, electrons = rng.uniform(0, 150, 40), rng.uniform(0, 150, 40), 10 ** rng.uniform(2, 5, 40)
    first, second = np.zeros((2, 150, 150), np.float32)
    draw(first, one(x=x, y=y, electrons=electrons), psf)
    draw(second, one(x=x[::-1], y=y[::-1], electrons=electrons[::-1]), psf)
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-3)


def test_truth_gives_moments_and_area_of_the_psf_with_pixels() -> None:
    truth = draw(np.zeros((60, 60), np.float32), one(x=[5.0, 40.0]), gaussian(2.0))
    variance = 4.0 + 1.0 / 12.0
    np.testing.assert_allclose(truth.ixx, variance, rtol=1e-3)
    np.testing.assert_allclose(truth.iyy, variance, rtol=1e-3)
    np.testing.assert_allclose(truth.ixy, 0.0, atol=1e-4)
    np.testing.assert_allclose(truth.effective_area, 4 * np.pi * variance, rtol=1e-3)


def test_sources_off_the_image_leave_only_their_wings() -> None:
    image = np.zeros((50, 50), np.float32)
    draw(image, one(x=[-400.0, 1e7, 20.0], y=[20.0, 20.0, -1e9]), moffat(3.0))
    assert not image.any()
    draw(image, one(x=-3.0, y=20.0), moffat(3.0))
    assert image[20, 0] > 10 * image[20, 6] > 0


def test_nothing_is_drawn_from_nothing() -> None:
    image = np.zeros((20, 20), np.float32)
    none = np.zeros(0)
    truth = draw(image, one(x=none, y=none, electrons=none, wavelength_nm=none), moffat(3.0))
    assert not image.any()
    assert truth.ixx.size == 0
    draw(image, one(electrons=0.0, x=10.0, y=10.0), moffat(3.0))
    assert not image.any()


@pytest.mark.parametrize(
    "keywords",
    [{"x": np.nan}, {"electrons": -1.0}, {"electrons": np.inf}, {"wavelength_nm": 0.0}, {"trail_dx": np.nan}],
)
def test_refuses_values_that_cannot_be_drawn(keywords: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(keywords))):
        one(**keywords)


@pytest.mark.parametrize(("index", "e1"), [(0.3, 0.0), (7.0, 0.0), (1.0, 1.0)])
def test_refuses_shapes_that_cannot_be_drawn(index: float, e1: float) -> None:
    with pytest.raises(InputError):
        draw_stamp(gaussian(2.0), size=11, x=0.0, y=0.0, shapes=sersic(1.0, index, e1))


def test_refuses_an_image_of_another_type() -> None:
    with pytest.raises(InputError, match="float32"):
        draw(np.zeros((9, 9)), one(), gaussian(2.0))
