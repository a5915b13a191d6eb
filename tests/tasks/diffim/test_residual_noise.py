"""The noise that a foreign template brings along is read from the difference, where its faint sources are gone."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from etendue.errors import AlgorithmError
from etendue.image.image import Image
from etendue.image.noise import NoiseAutocorrelation
from etendue.tasks.diffim.external_template import ExternalTemplateTask, unmeasured
from etendue.tasks.diffim.residual_noise import ResidualNoiseTask
from etendue.tasks.diffim.scale_template import ScaleTemplateTask
from etendue.tasks.diffim.subtract import SubtractConfig, SubtractTask

SIZE = 500
SCIENCE, SMOOTHING = 3.0, 0.8  # noise of the science image; width of the filter that correlates the template's [px]


def measured(difference, **parts):
    shape = difference.shape
    given = {
        "sky": np.ones(shape, bool), "science_variance": np.full(shape, SCIENCE**2, np.float32),
        "science_noise": NoiseAutocorrelation.white(), "spread": np.full(shape, 7.0, np.float32),
    }  # fmt: skip
    return ResidualNoiseTask().run(difference=difference.astype(np.float32), **given | parts)


def noises(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, SCIENCE, (SIZE, SIZE)), gaussian_filter(rng.normal(0.0, 5.0, (SIZE, SIZE)), SMOOTHING)


@pytest.mark.parametrize("seed", [1, 2])
def test_power_of_correlated_noise_is_found_beside_that_of_the_science_image(seed):
    science, template = noises(seed)
    found = measured(science - template)
    assert abs(np.median(found.variance) / 25.0 - 1.0) < 0.1  # a filter of unit sum keeps the power at zero frequency
    assert abs(found.power[0, 0] / 25.0 - 1.0) < 0.1
    expected = 25.0 * np.exp(-((2.0 * np.pi * 8 / 64 * SMOOTHING) ** 2))
    assert abs(found.power[8, 0] - expected) < 0.1 * 25.0


def test_structure_on_large_scales_and_single_outliers_are_no_noise():
    science, template = noises(3)
    slow = gaussian_filter(np.random.default_rng(4).normal(size=(SIZE, SIZE)), 25.0)
    difference = science - template + 1.0 * slow / slow.std()
    difference[::40, ::40] += 500.0
    assert abs(np.median(measured(difference).variance) / 25.0 - 1.0) < 0.15


def test_a_template_that_holds_the_image_takes_noise_away():
    science, _ = noises(5)
    found = measured(science - 0.2 * science)
    assert abs(np.median(found.variance) / ((0.8**2 - 1.0) * SCIENCE**2) - 1.0) < 0.2


def test_too_little_sky_is_said():
    sky = np.zeros((SIZE, SIZE), bool)
    sky[:20, :20] = True
    with pytest.raises(AlgorithmError, match="too little sky"):
        measured(noises(6)[0], sky=sky)


def test_differences_from_a_confused_template_have_pulls_of_unit_width(field_factory):
    field = field_factory(11, size=500, n_transients=0, template_noise=4.0, correlated=True, n_faint=6000)
    plain = Image(field.template.image.array * 0.01 + 37.0, field.template.bbox)
    made = ExternalTemplateTask().run(image=plain, exposure=unmeasured(plain, wcs=field.template.wcs))
    template = ScaleTemplateTask().run(science=field.science, template=made)
    result = SubtractTask(SubtractConfig(measure_noise=True)).run(science=field.science, template=template)
    blank = result.matched_template.image.array < 20.0
    pull = (result.difference.image.array / np.sqrt(result.difference.variance.array))[blank]
    low, high = np.nanpercentile(pull, [25.0, 75.0])
    assert abs(0.7413 * (high - low) - 1.0) < 0.03
