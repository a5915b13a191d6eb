import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from etendue.kernels.charge_transfer import bloom

PLAIN = {"electrons": 50000.0, "scatter": 0.0, "column_rms": 0.0}


@given(arrays(np.int64, (17, 3), elements=st.integers(0, 400)), st.integers(0, 17))
@settings(max_examples=60, deadline=None)
def test_charge_is_conserved_and_no_pixel_stays_over_full(charge, middle):
    image, bled = charge.astype(np.float32), np.zeros(charge.shape, bool)
    wall = np.zeros(18, bool)
    wall[[0, middle, 17]] = True
    lost = bloom(image, bled, np.full((1, 3), 100.0), np.zeros(17, np.int64), wall)
    assert image.max(initial=0.0) <= 100.0
    assert image.sum() + lost == charge.sum()
    np.testing.assert_array_equal(image[~bled], charge[~bled])
    for part in (slice(0, middle), slice(middle, 17)):  # lost only where a column is full
        room = 100.0 * charge[part].shape[0] - charge[part].sum(0)
        np.testing.assert_allclose(np.maximum(room, 0.0), (100.0 - image[part]).sum(0))


def test_bleeds_are_as_long_as_their_charge_needs(make_ccd, make_chip):
    ccd = make_ccd(make_chip(256, 256, columns=1, stories=1, gain=1.0), shot_noise=False, full_well=PLAIN)
    light = np.full(ccd.shape, 1000.0, np.float32)
    light[120, [40, 90]] = 500_000.0, 2_000_000.0
    out = ccd.expose(light, 1.0, np.random.default_rng(1))
    for col, charge in ((40, 500_000.0), (90, 2_000_000.0)):
        rows = np.flatnonzero(out.masks.saturated[:, col])
        assert rows.size == pytest.approx((charge - 50000.0) / 49000.0 + 1.0, abs=1.5)
        assert abs(rows.mean() - 120.0) <= 1.0
    assert not np.delete(out.masks.saturated, [40, 90], axis=1).any()
    found = ccd.detector.trim(out.raw).astype(float).sum() * ccd.gains[0]
    assert found == pytest.approx(light.sum(dtype=float), rel=1e-4)


@pytest.mark.parametrize("stop", [True, False])
def test_blooms_stop_at_the_midline_if_there_is_one(make_ccd, make_chip, stop):
    ccd = make_ccd(make_chip(64, 64), shot_noise=False, full_well=PLAIN | {"midline_stop": stop})
    light = np.zeros(ccd.shape, np.float32)
    light[30, 20] = 1_000_000.0
    out = ccd.expose(light, 1.0, np.random.default_rng(1))
    rows = np.flatnonzero(out.masks.saturated[:, 20])
    assert rows.size == 20
    assert (rows.max() == 31) == stop


def test_charge_that_finds_no_room_is_lost_and_told(make_ccd, make_chip):
    ccd = make_ccd(make_chip(64, 64), shot_noise=False, full_well=PLAIN)
    light = np.zeros(ccd.shape, np.float32)
    light[10, 5] = 1e7
    out = ccd.expose(light, 1.0, np.random.default_rng(1))
    assert out.lost_electrons == pytest.approx(1e7 - 32 * 50000.0, rel=1e-6)
    assert out.masks.saturated[:, 5].sum() == 32


def test_each_amplifier_has_its_own_full_well(make_ccd, make_chip):
    ccd = make_ccd(
        make_chip(gain=2.0), shot_noise=False, full_well={"electrons": 50000.0, "scatter": 0.1, "column_rms": 0.0}
    )
    raw = ccd.detector.trim(ccd.expose(np.full(ccd.shape, 90000.0, np.float32), 1.0, np.random.default_rng(1)).raw)
    wells = [raw[a.bbox.slices_in(ccd.detector.bbox)].max() for a in ccd.detector.amplifiers] * ccd.gains
    np.testing.assert_allclose(wells, ccd.full_wells.amplifiers, rtol=1e-4)
    assert np.ptp(wells) > 1000.0


@pytest.mark.parametrize("seed", range(20))
def test_full_pixels_reach_the_camera_s_saturation_unless_one_says_otherwise(make_ccd, make_chip, seed):
    ccd = make_ccd(
        make_chip(saturation=50000.0), seed=seed, full_well={}, gain={}, bias={}, read_noise={}, linearity={}
    )
    raw = ccd.detector.trim(ccd.expose(np.full(ccd.shape, 3e5, np.float32), 1.0, np.random.default_rng(seed)).raw)
    assert 50000 <= raw.min() < raw.max() < 65535
