import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.tasks.calib.illumination import BuildIlluminationConfig, BuildIlluminationTask, StarFluxes

BOX = Box.from_shape((400, 500))


def _response(x, y):
    u, v = 2.0 * x / 500.0 - 1.0, 2.0 * y / 400.0 - 1.0
    return 1.0 + 0.05 * u - 0.03 * v + 0.04 * (u**2 + v**2) - 0.02 * u * v


def _stars(seed=1, n=400, dithers=10, error=0.005, variables=0):
    rng = np.random.default_rng(seed)
    sky = rng.uniform(0.0, 700.0, (n, 2))
    flux = 10.0 ** rng.uniform(3.0, 5.0, n)
    parts = []
    for exposure in range(dithers):
        angle = rng.uniform(0.0, 2.0 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        x, y = (turn @ (sky - 350.0).T) + np.array([[250.0], [200.0]]) + rng.uniform(-100.0, 100.0, (2, 1))
        inside = (x > 0) & (x < 499) & (y > 0) & (y < 399)
        seen = flux * _response(x, y) * rng.uniform(0.7, 1.0)
        seen[:variables] *= rng.uniform(0.5, 2.0, variables)
        seen *= 1.0 + error * rng.standard_normal(n)
        parts.append(np.stack([np.full(n, exposure), sky[:, 0] * 1e-3, sky[:, 1] * 1e-3, x, y, seen])[:, inside])
    exposure, ra, dec, x, y, flux = np.concatenate(parts, axis=1)
    return StarFluxes(exposure.astype(np.int64), ra, dec, x, y, flux, error * flux)


@pytest.mark.parametrize("variables", [0, 20])
def test_stars_that_move_over_the_detector_tell_its_response(variables):
    illumination = BuildIlluminationTask().run(_stars(variables=variables), BOX)
    y, x = np.mgrid[:400, :500]
    ratio = illumination.image.array / _response(x, y)
    assert np.std(ratio) / np.mean(ratio) < 2e-3
    assert illumination.metadata["rms_mag"] == pytest.approx(1.0857 * 0.005, rel=0.15)
    assert np.median(illumination.image.array) == pytest.approx(1.0, abs=1e-6)


def test_stars_of_one_exposure_say_nothing():
    with pytest.raises(AlgorithmError, match="too few stars were seen at two places"):
        BuildIlluminationTask().run(_stars(dithers=1), BOX)


def test_the_map_is_the_polynomial():
    fine = BuildIlluminationTask(BuildIlluminationConfig(node_px=1)).run(_stars(), BOX)
    coarse = BuildIlluminationTask().run(_stars(), BOX)
    np.testing.assert_allclose(coarse.image.array, fine.image.array, atol=1e-4)
