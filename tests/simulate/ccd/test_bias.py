import numpy as np
import pytest

FLAT = {
    "amplifier_rms_adu": 0.0,
    "row_ramp_adu": 0.0,
    "column_ramp_adu": 0.0,
    "column_rms_adu": 0.0,
    "pixel_rms_adu": 0.0,
    "drift_adu": 0.0,
    "jitter_adu": 0.0,
    "row_drift_adu": 0.0,
}


def bias(ccd, seed=0, hours=0.0):
    return ccd.expose(np.zeros(ccd.shape, np.float32), 0.0, np.random.default_rng(seed), hours=hours).raw.astype(float)


def test_a_flat_bias_is_its_level(make_ccd):
    assert (bias(make_ccd(bias=FLAT)) == 1000.0).all()


def test_levels_of_amplifiers_are_those_of_the_truth(make_ccd):
    ccd = make_ccd(bias=FLAT | {"amplifier_rms_adu": 40.0, "jitter_adu": 5.0})
    out = ccd.expose(np.zeros(ccd.shape, np.float32), 0.0, np.random.default_rng(1))
    found = [out.raw[a.raw_data.slices_in(ccd.detector.raw_bbox)].mean() for a in ccd.detector.amplifiers]
    np.testing.assert_allclose(found, out.bias_levels, atol=0.51)
    assert np.std(out.bias_levels - ccd.bias.levels) > 0.5


def test_the_ramp_begins_at_the_register_in_data_and_overscan_alike(make_ccd):
    ccd = make_ccd(bias=FLAT | {"row_ramp_adu": 50.0, "row_ramp_px": 10.0})
    raw = bias(ccd)
    lower, upper = ccd.detector.amplifiers[0], ccd.detector.amplifiers[2]
    for amplifier, near in ((lower, lower.raw_data.y.start), (upper, upper.raw_data.y.max)):
        for section in (amplifier.raw_data, amplifier.raw_serial_overscan):
            assert raw[near, section.x.start] == 1050.0


def test_fixed_structure_is_what_biases_share(make_ccd):
    ccd = make_ccd(bias=FLAT | {"column_rms_adu": 3.0, "pixel_rms_adu": 4.0}, read_noise={"electrons": 6.0})
    one, two = (bias(ccd, seed) - 1000.0 for seed in (1, 2))
    assert np.sqrt(np.mean(one * two)) == pytest.approx(5.0, rel=0.05)


def test_drift_is_smooth_in_time_and_the_same_for_any_order(make_ccd):
    ccd = make_ccd(bias=FLAT | {"drift_adu": 10.0})
    hours = np.arange(0.0, 200.0, 0.5)
    levels = np.array([bias(ccd, hours=h)[0, 10] for h in hours])
    assert levels.std() == pytest.approx(10.0, rel=0.3)
    assert abs(bias(ccd, hours=3.0)[0, 10] - bias(ccd, hours=3.01)[0, 10]) <= 2.0


def test_rows_drift_within_an_exposure(make_ccd, make_chip):
    ccd = make_ccd(make_chip(2048, 16, columns=1, stories=1), bias=FLAT | {"row_drift_adu": 5.0, "row_drift_px": 20.0})
    rows = bias(ccd, 3)[:2048, 10] - 1000.0
    assert rows.std() == pytest.approx(5.0, rel=0.3)
    assert np.mean(rows[20:] * rows[:-20]) / rows.var() == pytest.approx(np.exp(-1.0), abs=0.2)
    assert not np.array_equal(rows, bias(ccd, 4)[:2048, 10] - 1000.0)
