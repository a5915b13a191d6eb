import numpy as np
import pytest

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.warp.mapping import map_pixels
from etendue.tasks.warp.warp import WarpTask

SCALE = 1.1 / 3600.0


def tan(*, x=100.0, y=100.0, scale=SCALE, turn_deg=0.0):
    c, s = scale * np.cos(np.radians(turn_deg)), scale * np.sin(np.radians(turn_deg))
    cd = np.array([[-c, s], [s, c]])
    return SkyWcs.tan(crpix_x=x, crpix_y=y, crval_ra_deg=124.6, crval_dec_deg=25.3, cd=cd)


def distorted():
    sip = np.zeros((2, 4, 4))
    sip[0, 2, 0], sip[1, 0, 3] = 2e-5, 3e-8
    return SkyWcs.from_polynomial(
        crpix=(100.0, 100.0),
        crval=(124.6, 25.3),
        cd=np.array([[-SCALE, 0.0], [0.0, SCALE]]),
        sip_a=sip[0],
        sip_b=sip[1],
    )


def exposure(array, wcs, *, x0=0, y0=0, variance=1.0):
    box = Box.from_shape(array.shape, x0=x0, y0=y0)
    return Exposure(
        image=Image(array.astype(np.float32), box), mask=Mask.empty(box), variance=Image.full(box, variance), wcs=wcs
    )


def star(shape, x, y, sigma=1.5):
    rows, cols = np.indices(shape)
    return np.exp(-0.5 * ((cols - x) ** 2 + (rows - y) ** 2) / sigma**2) / (2 * np.pi * sigma**2)


def test_a_star_lands_where_the_sky_says():
    source, target = distorted(), tan(x=90.4, y=113.7, turn_deg=3.0)
    at = {"x": 130.0, "y": 70.0}
    scene = exposure(star((200, 200), **at), source)
    warped = WarpTask().run(exposure=scene, wcs=target, bbox=Box.from_shape((220, 230)))
    sky = dict(zip(("ra_deg", "dec_deg"), source.pixel_to_sky(**at), strict=True))
    x, y = target.sky_to_pixel(**sky)
    pixels = np.nan_to_num(warped.image.array).astype(float)
    rows, cols = np.indices(pixels.shape)
    assert pixels.sum() == pytest.approx(1.0, abs=1e-3)
    assert (pixels * cols).sum() / pixels.sum() == pytest.approx(float(x), abs=5e-3)
    assert (pixels * rows).sum() / pixels.sum() == pytest.approx(float(y), abs=5e-3)


def test_boxes_are_parent_coordinates():
    array = np.random.default_rng(1).normal(size=(60, 60))
    wcs = tan()
    whole = WarpTask().run(exposure=exposure(array, wcs, x0=50, y0=70), wcs=wcs, bbox=Box.from_list([80, 100, 60, 95]))
    np.testing.assert_allclose(whole.image.array, array[10:30, 10:45], atol=1e-5)


def test_flux_per_pixel_follows_the_pixel_area():
    flat = exposure(np.ones((200, 200)), tan())
    warped = WarpTask().run(exposure=flat, wcs=tan(x=80.0, y=80.0, scale=1.25 * SCALE), bbox=Box.from_shape((120, 120)))
    np.testing.assert_allclose(warped.image.array[40:100, 40:100], 1.5625, rtol=1e-5)


def test_the_grid_is_refined_until_the_mapping_is_exact_enough():
    box = Box.from_shape((200, 200))
    coarse = map_pixels(source=distorted(), target=tan(), bbox=box, step=64, max_error=1.0)
    fine = map_pixels(source=distorted(), target=tan(), bbox=box, step=64, max_error=1e-4)
    assert coarse.step == 64
    assert fine.step < 64
    assert fine.error <= 1e-4 < coarse.error


def test_noise_power_of_correlated_input_is_kept():
    rng = np.random.default_rng(2)
    first = WarpTask().run(
        exposure=exposure(rng.normal(size=(300, 300)), tan()),
        wcs=tan(x=100.37, y=99.2),
        bbox=Box.from_shape((300, 300)),
    )
    again = WarpTask().run(exposure=first, wcs=tan(x=101.1, y=98.9), bbox=Box.from_shape((300, 300)))
    for result in (first, again):
        inner = np.s_[20:280, 20:280]
        pull = result.image.array[inner] / np.sqrt(result.variance.array[inner])
        lag = np.mean(pull[:, 1:] * pull[:, :-1]) / pull.var()
        k = result.noise.kernel
        assert pull.std() == pytest.approx(1.0, abs=0.015)
        assert k[k.shape[0] // 2, k.shape[0] // 2 + 1] == pytest.approx(lag, abs=0.015)
        assert result.variance.array[150, 150] * k.sum() == pytest.approx(1.0, abs=0.03)


def test_an_exposure_without_wcs_is_refused():
    with pytest.raises(InputError, match="without WCS"):
        WarpTask().run(exposure=exposure(np.ones((20, 20)), None), wcs=tan(), bbox=Box.from_shape((20, 20)))


def test_no_overlap_gives_no_data():
    far = SkyWcs.tan(
        crpix_x=0.0, crpix_y=0.0, crval_ra_deg=130.0, crval_dec_deg=25.3, cd=np.array([[-SCALE, 0.0], [0.0, SCALE]])
    )
    warped = WarpTask().run(exposure=exposure(np.ones((50, 50)), tan()), wcs=far, bbox=Box.from_shape((50, 50)))
    assert np.isnan(warped.image.array).all()
    assert warped.mask.any_of("NO_DATA").all()
