"""What a foreign template does not say is found from its own pixels and from the stars in common."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.image.image import Image
from etendue.tasks.diffim.align_template import AlignTemplateTask
from etendue.tasks.diffim.external_template import ExternalTemplateTask, unmeasured
from etendue.tasks.diffim.scale_template import ScaleTemplateTask
from etendue.tasks.warp.warp import WarpTask


@pytest.fixture(scope="module")
def field(field_factory):
    return field_factory(4, n_transients=9, correlated=True, template_noise=4.0)


@pytest.fixture(scope="module")
def characterized(field):
    plain = Image(field.template.image.array * 0.01 + 37.0, field.template.bbox)
    return ExternalTemplateTask().run(image=plain, exposure=unmeasured(plain, wcs=field.template.wcs))


def test_noise_and_its_correlation_are_measured(field, characterized):
    sigma = np.sqrt(np.median(characterized.variance.array))
    assert abs(sigma / 0.04 - 1.0) < 0.05
    truth = field.template.noise.kernel
    half = truth.shape[0] // 2
    middle = characterized.noise.kernel.shape[0] // 2
    found = characterized.noise.kernel[middle - half : middle + half + 1, middle - half : middle + half + 1]
    assert np.abs(found - truth).max() < 0.05


def test_the_psf_is_that_of_the_stars(characterized):
    x, y = characterized.bbox.x.center, characterized.bbox.y.center
    assert abs(float(characterized.psf.fwhm(x=x, y=y)[0]) - 2.2) < 0.25


def test_zeros_that_fill_the_border_hold_no_data(field):
    pixels = field.template.image.array.copy()
    pixels[:, :40] = 0.0
    plain = Image(pixels, field.template.bbox)
    made = ExternalTemplateTask().run(image=plain, exposure=unmeasured(plain, wcs=field.template.wcs))
    assert made.mask.any_of("NO_DATA")[:, :40].all()
    assert not made.mask.any_of("NO_DATA")[:, 40:].any()


@pytest.mark.parametrize("ratio", [0.003, 40.0])
def test_an_unknown_zero_point_is_found_to_one_percent(field, ratio):
    template = field.template.replace(
        image=Image(field.template.image.array * ratio, field.template.bbox),
        variance=Image(field.template.variance.array * ratio**2, field.template.bbox),
    )
    scaled = ScaleTemplateTask().run(science=field.science, template=template)
    assert abs(np.median(scaled.variance.array / field.template.variance.array) - 1.0) < 0.02
    assert scaled.unit == field.science.unit


@pytest.mark.parametrize(("dx", "dy"), [(3.4, -7.7), (-11.0, 0.6)])
def test_a_wrong_wcs_is_shifted_until_stars_fall_on_stars(field, dx, dy):
    off = field.template.replace(wcs=field.template.wcs.shifted(dx=dx, dy=dy))
    warped = WarpTask().run(exposure=off, wcs=field.science.wcs, bbox=field.science.bbox)
    moved = AlignTemplateTask().run(science=field.science, warped=warped, template=off)
    x, y = moved.wcs.sky_to_pixel(ra_deg=124.6, dec_deg=25.3)
    x0, y0 = field.template.wcs.sky_to_pixel(ra_deg=124.6, dec_deg=25.3)
    assert np.hypot(x - x0, y - y0) < 0.1


def test_a_right_wcs_is_left_alone(field):
    task = AlignTemplateTask()
    assert task.run(science=field.science, warped=field.template, template=field.template) is field.template


def test_a_template_of_another_field_is_refused(field, field_factory):
    other = field_factory(99, n_transients=0).template
    with pytest.raises(AlgorithmError, match="template"):
        AlignTemplateTask().run(science=field.science, warped=other, template=other)
