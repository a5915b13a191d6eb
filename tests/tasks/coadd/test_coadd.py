from dataclasses import dataclass

import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.coadd.coadd import AssembleCoaddConfig, AssembleCoaddTask

SHAPE = (120, 130)
NOISE = 1.0


@dataclass
class Handle:
    exposure: Exposure
    data_id: dict

    def get(self, component=None, box=None):
        return self.exposure if box is None else self.exposure.subset(box)


def star(x, y, flux, fwhm):
    rows, cols = np.indices(SHAPE)
    sigma = fwhm / 2.3548
    return flux * np.exp(-0.5 * ((cols - x) ** 2 + (rows - y) ** 2) / sigma**2) / (2 * np.pi * sigma**2)


def epochs(n, *, seed, scene=None, sigma=None, x0=0, y0=0):
    rng = np.random.default_rng(seed)
    box = Box.from_shape(SHAPE, x0=x0, y0=y0)
    handles = []
    for k in range(n):
        level = NOISE if sigma is None else sigma[k]
        pixels = rng.normal(scale=level, size=SHAPE) + (0.0 if scene is None else scene(k))
        image = Image(pixels.astype(np.float32), box)
        exposure = Exposure(image=image, mask=Mask.empty(box), variance=Image.full(box, level**2), band="r")
        handles.append(Handle(exposure, {"visit": np.int64(100 + k)}))
    return handles


def test_variance_is_that_of_the_pixels():
    coadd = AssembleCoaddTask().run(warps=epochs(18, seed=1))
    pull = coadd.image.array / np.sqrt(coadd.variance.array)
    assert abs(pull.std() - 1.0) < 4 / (2 * pull.size) ** 0.5
    assert coadd.variance.array.mean() == pytest.approx(NOISE**2 / 18, rel=1e-3)


def test_weights_are_inverse_variances_and_recorded():
    coadd = AssembleCoaddTask().run(warps=epochs(3, seed=2, sigma=[1.0, 2.0, 2.0]))
    assert [entry["visit"] for entry in coadd.inputs] == [100, 101, 102]
    np.testing.assert_allclose([entry["weight"] for entry in coadd.inputs], [2 / 3, 1 / 6, 1 / 6], rtol=1e-5)


def test_noise_that_all_exposures_share_is_told_beside_the_variance_which_is_without_it():
    shared = 0.2 * np.random.default_rng(4).normal(size=SHAPE)
    warps = epochs(9, seed=5, scene=lambda k: shared)
    for handle in warps:
        handle.exposure = handle.exposure.replace(metadata={"calibration_noise": {"fraction": 0.04}})
    coadd = AssembleCoaddTask().run(warps=warps)
    told = coadd.metadata["calibration_noise"]
    assert told["sky"] == pytest.approx(0.2, rel=1e-3)
    assert told["fraction"] == pytest.approx(9 * 0.04, rel=1e-3)
    truth = coadd.image.array.std() / np.sqrt(coadd.variance.array.mean())
    assert np.sqrt(1.0 + told["fraction"]) == pytest.approx(truth, rel=0.02)


def test_a_mover_is_clipped_out():
    track = [(30.0 + 3.5 * k, 60.0) for k in range(18)]
    coadd = AssembleCoaddTask().run(warps=epochs(18, seed=3, scene=lambda k: star(*track[k], 60.0, 1.9)))
    pull = coadd.image.array / np.sqrt(coadd.variance.array)
    lane = pull[58:63, 25:95]
    assert coadd.mask.any_of("CLIPPED")[60, 30]
    assert lane.max() < 5.0
    assert abs(lane.mean()) < 0.25


def test_star_cores_survive_changes_of_seeing():
    seeing = np.linspace(1.5, 2.1, 18)
    coadd = AssembleCoaddTask().run(warps=epochs(18, seed=4, scene=lambda k: star(65.3, 60.2, 5e4, seeing[k])))
    expected = np.mean([star(65.3, 60.2, 5e4, fwhm) for fwhm in seeing], axis=0)
    core = np.s_[56:65, 61:70]
    assert coadd.image.array[core].sum() == pytest.approx(expected[core].sum(), rel=1e-3)


def test_missing_exposures_make_the_psf_inexact_and_none_make_no_data():
    handles = epochs(5, seed=5)
    for k, handle in enumerate(handles):
        handle.exposure.mask.set_plane("NO_DATA", np.arange(SHAPE[1]) < 10 + 5 * (k == 0) + np.zeros((SHAPE[0], 1)))
    coadd = AssembleCoaddTask().run(warps=handles)
    assert coadd.mask.any_of("NO_DATA")[:, :10].all()
    assert np.isnan(coadd.image.array[:, :10]).all()
    assert coadd.mask.any_of("INEXACT_PSF")[:, 10:15].all()
    assert coadd.mask.any_of("INEXACT_PSF")[:, 20:].mean() < 0.01


def test_saturated_cores_are_averaged_and_flagged():
    handles = epochs(6, seed=6, scene=lambda k: star(60.0, 60.0, 1e5, 2.0))
    for handle in handles:
        handle.exposure.mask.set_plane("SAT", handle.exposure.image.array > 5e3)
    coadd = AssembleCoaddTask().run(warps=handles)
    assert coadd.mask.any_of("SAT")[60, 60]
    assert coadd.image.array[60, 60] > 1e4


def test_strips_change_nothing():
    def scene(k):
        return star(65.0, 40.0 + k, 300.0, 2.0)

    whole = AssembleCoaddTask().run(warps=epochs(6, seed=7, scene=scene, x0=40, y0=-20))
    strips = AssembleCoaddTask(AssembleCoaddConfig(memory_mb=0.01)).run(
        warps=epochs(6, seed=7, scene=scene, x0=40, y0=-20)
    )
    np.testing.assert_array_equal(whole.image.array, strips.image.array)
    np.testing.assert_array_equal(whole.mask.array, strips.mask.array)


def test_what_does_not_fit_together_is_refused():
    handles = epochs(3, seed=8)
    with pytest.raises(InputError, match="as many weights"):
        AssembleCoaddTask().run(warps=handles, weights=[1.0])
    shifted = [*handles, *epochs(1, seed=9, x0=3)]
    with pytest.raises(InputError, match="warps cover"):
        AssembleCoaddTask().run(warps=shifted)


def test_empty_warps_are_a_failure_of_the_data():
    handles = epochs(2, seed=10)
    for handle in handles:
        handle.exposure.image.array[...] = np.nan
    with pytest.raises(AlgorithmError, match="usable pixels"):
        AssembleCoaddTask().run(warps=handles)
