import numpy as np
import pytest

from etendue.errors import InputError
from etendue.image.brighter_fatter import BrighterFatterKernel, PixelBoundaries, brighter_fatter_from_dict
from etendue.kernels.brighter_fatter import add_shifts
from etendue.kernels.charge_collection import collect
from etendue.simulate.ccd.brighter_fatter import BrighterFatterSpec
from etendue.tasks.isr.brighter_fatter import CorrectBrighterFatterConfig, CorrectBrighterFatterTask

SPEC = BrighterFatterSpec()
TRUE = PixelBoundaries(*SPEC.stencils())


def collected(light, noisy=False, steps=16, seed=1):
    """Return the charge that the simulator's sensor collects."""
    charge = np.zeros_like(light)
    words = np.random.default_rng(seed).integers(0, 2**64, steps * light.shape[0], dtype=np.uint64)
    collect(light, charge, *SPEC.stencils(), steps, 1e9, noisy, words)
    return charge


def gaussian(line, variance):
    return np.exp(-0.5 * line**2 / variance)


def star(peak, sigma=1.4, size=41):
    """Return the pixels of a Gaussian star; its light at points is narrower by a pixel's variance of 1/12."""
    line = gaussian(np.arange(size) - size // 2 + 0.2, sigma**2)
    return (peak * np.outer(line, line) + 100.0).astype(np.float32)


def collected_star(peak, sigma, size=41, steps=40):
    """Return the charge of the same star, with its true light at boundaries, not one interpolated from pixels."""
    light = star(peak, sigma, size).astype(float)
    line, sharp = np.arange(size) - size // 2 + 0.2, sigma**2 - 1.0 / 12.0
    profile = gaussian(line, sigma**2), sigma / np.sqrt(sharp) * gaussian(line + 0.5, sharp)
    at_right, at_up = (peak * np.outer(*pair) + 100.0 for pair in (profile, profile[::-1]))
    charge = np.zeros_like(light)
    for _ in range(steps):
        right, up = np.zeros(light.shape, np.float32), np.zeros(light.shape, np.float32)
        add_shifts((charge + 0.5 * light / steps).astype(np.float32), TRUE.serial, TRUE.parallel, 1.0, right, up)
        moved_right, moved_up = at_right[:, :-1] * right[:, :-1], at_up[:-1] * up[:-1]
        grown = light.copy()
        grown[:, :-1] += moved_right
        grown[:, 1:] -= moved_right
        grown[:-1] += moved_up
        grown[1:] -= moved_up
        charge += grown / steps
    return charge.astype(np.float32)


def trace(image, sigma=4.0):
    line = np.arange(image.shape[0]) - image.shape[0] // 2 + 0.2
    square = np.add.outer(line**2, line**2)
    weighted = (image.astype(float) - 100.0) * np.exp(-0.5 * square / sigma**2)
    return (weighted * square).sum() / weighted.sum()


@pytest.mark.parametrize(("sigma", "part"), [(1.4, 0.01), (0.75, 0.05)])
@pytest.mark.parametrize("peak", [1e3, 2e4, 1e5])
def test_stars_get_their_size_back_even_where_pixels_hardly_sample_them(peak, sigma, part):
    light, charge = star(peak, sigma), collected_star(peak, sigma)
    found = CorrectBrighterFatterTask().run(charge, TRUE).image
    grown, left = (trace(image) / trace(light) - 1.0 for image in (charge, found))
    assert grown > 5e-8 * peak
    assert abs(left) < part * grown + 2e-5


def test_charge_is_conserved_and_the_input_stays():
    light = star(8e4)
    charge = collected(light)
    before = charge.copy()
    found = CorrectBrighterFatterTask().run(charge, TRUE)
    assert found.image.sum(dtype=float) == pytest.approx(charge.sum(dtype=float), rel=1e-7)
    assert found.iterations < 10
    np.testing.assert_array_equal(charge, before)


def test_covariances_of_flats_go():
    frames = [collected(np.full((500, 500), 50000.0, np.float32), True, 4, seed) for seed in range(8)]
    corrected = [CorrectBrighterFatterTask().run(frame, TRUE).image for frame in frames]

    def covariances(images):
        rest = [(image - image.mean(dtype=float))[10:-10, 10:-10].astype(float) for image in images]
        return np.mean([[(r[1:] * r[:-1]).mean(), (r[:, 1:] * r[:, :-1]).mean()] for r in rest], axis=0)

    noise = 50000.0 / (480.0 * np.sqrt(8.0))
    assert (covariances(frames) > 5.0 * noise).all()
    assert (np.abs(covariances(corrected)) < 0.05 * covariances(frames) + 4.0 * noise).all()


def test_unknown_pixels_stay_and_hardly_touch_their_neighbours():
    charge = collected(star(5e4))
    holed = charge.copy()
    holed[5, 7], holed[:, 12] = np.nan, np.nan
    task = CorrectBrighterFatterTask()
    whole, found = task.run(charge, TRUE).image, task.run(holed, TRUE).image
    np.testing.assert_array_equal(np.isnan(found), np.isnan(holed))
    known = np.isfinite(found)
    assert np.abs(found - whole)[known].max() < 0.02 * np.abs(whole - charge).max()


def test_a_kernel_is_the_field_of_its_boundaries():
    kernel = BrighterFatterKernel(1e-6 * np.array([[3.0, 1.0], [1.2, 0.4]]))
    boundaries = kernel.boundaries()
    np.testing.assert_allclose(boundaries.serial, 1e-6 * np.array([[2.0, 1.0], [0.8, 0.4]]))
    np.testing.assert_allclose(boundaries.parallel, 1e-6 * np.array([[1.8, 0.6], [1.2, 0.4]]))


def test_areas_are_the_simulators():
    np.testing.assert_allclose(TRUE.area(), SPEC.area_coefficients()[4:, 4:], atol=1e-20)


def test_products_survive_json_and_nonsense_is_refused():
    for product in (TRUE, BrighterFatterKernel(1e-7 * np.ones((3, 3)))):
        again = brighter_fatter_from_dict(product.to_dict())
        np.testing.assert_array_equal(again.boundaries().serial, product.boundaries().serial)
    with pytest.raises(InputError, match="no such kind"):
        brighter_fatter_from_dict({"kind": "gaussian"})
    with pytest.raises(InputError, match="not finite"):
        PixelBoundaries(np.full((2, 2), np.nan), np.zeros((2, 2)))
    with pytest.raises(InputError, match="differ in size"):
        PixelBoundaries(np.zeros((2, 2)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="kernel is not finite and below"):
        BrighterFatterKernel(np.ones((3, 3)))
    with pytest.raises(InputError, match="too narrow"):
        CorrectBrighterFatterTask().run(np.zeros((3, 50), np.float32), TRUE)


def test_all_iterations_are_made_on_demand():
    config = CorrectBrighterFatterConfig(iterations=4, converged_e=0.0)
    assert CorrectBrighterFatterTask(config).run(star(1e4), TRUE).iterations == 4
