import numpy as np
import pytest
from scipy.ndimage import convolve

from etendue.errors import AlgorithmError, InputError
from etendue.tasks.diffim.decorrelate import convolved_psf, decorrelation_kernel, noise_power
from etendue.tasks.diffim.point_source_fit import fit_point_sources
from etendue.tasks.diffim.subtract import SubtractConfig, SubtractTask

CASES = {
    "sharper template": {},
    "correlated template noise": {"correlated": True, "template_noise": 8.0},
    "broader template": {"science_fwhm": 2.2, "template_fwhm": 2.6, "template_noise": 6.0},
    "other flux scale": {"ratio": 0.8},
}


def blank_pulls(field, result):
    """Difference over its noise, NaN near bright stars and transients."""
    pull = result.difference.image.array / np.sqrt(result.difference.variance.array)
    box = field.science.bbox
    pull[result.matched_template.image.array > 40.0] = np.nan  # far above noise, which must not select
    for x, y in zip(field.transient_x, field.transient_y, strict=True):
        column, row = int(x) - box.x.start, int(y) - box.y.start
        pull[row - 8 : row + 9, column - 8 : column + 9] = np.nan
    return pull


@pytest.mark.parametrize("case", CASES)
def test_noise_is_white_and_of_the_stated_variance(field_factory, case):
    field = field_factory(21, **CASES[case])
    result = SubtractTask().run(science=field.science, template=field.template)
    pull = blank_pulls(field, result)
    n = np.isfinite(pull).sum()
    assert abs(np.nanstd(pull) - 1.0) < 0.01 + 4 / (2 * n) ** 0.5
    for axis in (0, 1):
        neighbour = np.roll(pull, 1, axis=axis)
        assert abs(np.nanmean(pull * neighbour)) < 0.01 + 4 / n**0.5


def test_without_decorrelation_neighbours_are_correlated(field_factory):
    field = field_factory(22, template_noise=10.0, template_fwhm=2.0)
    plain = SubtractTask(SubtractConfig(decorrelate=False)).run(science=field.science, template=field.template)
    pull = blank_pulls(field, plain)
    assert np.nanmean(pull[:, 1:] * pull[:, :-1]) > 0.03
    assert plain.decorrelation.size == 1


@pytest.mark.parametrize("case", CASES)
def test_fluxes_of_transients_are_unbiased_with_honest_errors(field_factory, case):
    pulls, ratios = [], []
    for seed in (31, 32):
        field = field_factory(seed, n_transients=36, **CASES[case])
        result = SubtractTask().run(science=field.science, template=field.template)
        difference = result.difference
        fit = fit_point_sources(
            exposure=difference,
            psf=difference.psf,
            x=field.transient_x,
            y=field.transient_y,
            bad=~np.isfinite(difference.image.array),
            half=5,
            iterations=0,
        )
        pulls.append((fit.flux - field.transient_flux) / fit.flux_err)
        ratios.append(fit.flux / field.transient_flux)
    pulls = np.concatenate(pulls)
    ratio_error = 1.25 * np.std(np.concatenate(ratios)) / pulls.size**0.5
    assert np.median(np.concatenate(ratios)) == pytest.approx(1.0, abs=0.01 + 3 * ratio_error)
    assert abs(pulls.mean()) < 0.1 + 3 / pulls.size**0.5
    assert abs(pulls.std() - 1.0) < 0.05 + 3 / (2 * pulls.size) ** 0.5


def test_the_kernel_carries_the_flux_ratio(field_factory):
    field = field_factory(23, ratio=0.8)
    result = SubtractTask().run(science=field.science, template=field.template)
    assert result.difference.metadata["kernelSum"] == pytest.approx(0.8, abs=0.01)
    kernel = result.kernel.at(x=200.0, y=200.0)
    assert kernel.sum() == pytest.approx(float(result.kernel.flux_ratio(x=np.array([200.0]), y=np.array([200.0]))[0]))


def test_missing_template_pixels_stay_missing(field_factory):
    field = field_factory(24)
    template = field.template
    template.image.array[:, :40] = np.nan
    template.mask.set_plane("SAT", np.arange(template.bbox.area).reshape(template.bbox.shape) == 200 * 400 + 200)
    result = SubtractTask().run(science=field.science, template=template)
    assert np.isnan(result.difference.image.array[:, :40]).all()
    assert result.difference.mask.any_of("NO_DATA")[:, :40].all()
    assert result.difference.mask.any_of("SAT")[200, 198:203].all()
    assert np.isfinite(result.difference.image.array[:, 60:]).all()


def test_the_inputs_are_not_changed(field_factory):
    field = field_factory(25)
    before = [e.content_hash() for e in (field.science, field.template)]
    SubtractTask().run(science=field.science, template=field.template)
    assert before == [e.content_hash() for e in (field.science, field.template)]


def test_too_few_stars_are_a_failure_of_the_data(field_factory):
    field = field_factory(26, n_stars=3)
    with pytest.raises(AlgorithmError, match="Too few stars"):
        SubtractTask().run(science=field.science, template=field.template)


def test_other_boxes_are_refused(field_factory):
    field = field_factory(27)
    box = field.science.bbox.dilated(-10)
    with pytest.raises(InputError, match=r"template \["):
        SubtractTask().run(science=field.science, template=field.template.subset(box))


def test_white_noise_needs_no_whitening():
    delta = np.zeros((5, 5))
    delta[2, 2] = 1.0
    white = noise_power(None)
    kernel, factor = decorrelation_kernel(science_power=white, template_power=white, kernels=delta[None], half=3)
    expected = np.zeros((7, 7))
    expected[3, 3] = 1.0
    np.testing.assert_allclose(kernel, expected, atol=1e-12)
    assert factor == pytest.approx(1.0)


def test_the_convolved_psf_is_the_psf_convolved(field_factory):
    psf = field_factory(28).science.psf
    kernel = np.array([[0.0, 0.02, 0.0], [-0.1, 1.15, -0.05], [0.0, -0.02, 0.0]])
    result = convolved_psf(psf, kernel, x=100.0, y=100.0)
    expected = convolve(psf.draw(x=100.3, y=99.8).value[0], kernel, mode="constant")
    np.testing.assert_allclose(result.draw(x=100.3, y=99.8).value[0], expected, atol=3e-4)
