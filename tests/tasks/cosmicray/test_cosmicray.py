import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf import GaussianMixturePsf
from etendue.tasks.cosmicray.cosmicray import CosmicRayConfig, CosmicRayTask

PSF = GaussianMixturePsf.circular(0.85)


def _exposure(*, hits, seed=1, sky=500.0, x0=1000):
    rng = np.random.default_rng(seed)
    electrons = np.full((200, 220), sky)
    for row in range(30, 180, 30):
        for col in range(30, 200, 30):
            stamps = PSF.draw(x=col + rng.uniform(-0.5, 0.5), y=row + rng.uniform(-0.5, 0.5))
            half = stamps.value.shape[1] // 2
            electrons[row - half + 0 : row + half + 1, col - half : col + half + 1] += 3e4 * stamps.value[0]
    for y, x in hits:
        electrons[y, x] += 2000.0
    image = rng.poisson(electrons).astype(np.float32)
    box = Box.from_shape(image.shape, y0=-50, x0=x0)
    plane = Image(image, box)
    return Exposure(image=plane, mask=Mask.empty(box), variance=Image(image.copy(), box), psf=PSF, unit="electron")


HITS = [(15, 15), (15, 16), (100, 45), (101, 46), (102, 47), (190, 200)]


def test_hits_are_flagged_and_filled_with_sky_and_stars_kept():
    exposure = _exposure(hits=HITS)
    out = CosmicRayTask().run(exposure=exposure)
    flagged = out.mask.any_of(("CR",))
    rows, cols = np.transpose(HITS)
    assert flagged[rows, cols].all()
    assert flagged.sum() == len(HITS)
    assert (out.mask.any_of(("INTRP",)) == flagged).all()
    assert np.abs(out.image.array[flagged] - 500.0).max() < 5.0 * 500.0**0.5
    assert (out.image.array[~flagged] == exposure.image.array[~flagged]).all()
    assert (out.variance.array[~flagged] == exposure.variance.array[~flagged]).all()


def test_leaves_its_argument_alone_and_repeats_exactly():
    exposure = _exposure(hits=HITS)
    before = exposure.content_hash()
    assert (
        CosmicRayTask().run(exposure=exposure).content_hash() == CosmicRayTask().run(exposure=exposure).content_hash()
    )
    assert exposure.content_hash() == before


def test_saturated_pixels_are_neither_flagged_nor_changed():
    exposure = _exposure(hits=HITS)
    where = np.zeros(exposure.bbox.shape, bool)
    where[99:104, 40:50] = True
    out = CosmicRayTask().run(exposure=exposure.replace(mask=exposure.mask.with_plane("SAT", where)))
    assert not (out.mask.any_of(("CR",)) & where).any()
    assert (out.image.array[where] == exposure.image.array[where]).all()


def test_needs_a_psf():
    with pytest.raises(ValueError, match="needs a PSF"):
        CosmicRayTask().run(exposure=_exposure(hits=[]).replace(psf=None))


def test_a_guess_that_is_too_broad_is_seen_through():
    exposure, broad = _exposure(hits=HITS), GaussianMixturePsf.circular(0.85 * 1.2)
    believed = CosmicRayTask(CosmicRayConfig(measure_width=False)).run(exposure=exposure, psf=broad).mask.any_of("CR")
    measured = CosmicRayTask().run(exposure=exposure, psf=broad).mask.any_of("CR")
    told = CosmicRayTask(CosmicRayConfig(psf_too_broad=0.25)).run(exposure=exposure, psf=broad).mask.any_of("CR")
    assert believed.sum() > 100
    rows, cols = np.transpose(HITS)
    for found in (measured, told):
        assert found[rows, cols].all()
        assert found.sum() <= len(HITS) + 2
