import numpy as np
import pytest

SPEC = {"bands": {"y": {"amplitude": 0.04, "wavelength_nm": 980.0}, "z": {"amplitude": 0.01, "wavelength_nm": 890.0}}}


def fringes(ccd, band, sky=20000.0, light=30000.0, count=4):
    plane = np.full(ccd.shape, light, np.float32)
    frames = [
        ccd.detector.trim(ccd.expose(plane, 1.0, np.random.default_rng(k), band=band, sky=sky).raw)
        for k in range(count)
    ]
    return np.mean(frames, axis=0) * ccd.gains[0] - light


def test_amplitude_and_pattern_come_back_from_sky_frames(make_ccd, make_chip):
    ccd = make_ccd(make_chip(512, 512, columns=1, stories=1, gain=1.0), fringing=SPEC | {"scale_px": 100.0})
    found = fringes(ccd, "y")
    assert np.percentile(found, 98) == pytest.approx(0.04 * 20000.0, rel=0.2)
    nodes = 2.0 * 3600.0 * ccd.thickness / 980.0
    expected = 800.0 * np.cos(2.0 * np.pi * nodes[:-2, :-2])[1:, 1:]
    assert np.corrcoef(found[16::16, 16::16].ravel(), expected[:31, :31].ravel())[0, 1] > 0.9


def test_only_named_bands_and_only_the_sky_have_fringes(make_ccd, make_chip):
    ccd = make_ccd(make_chip(512, 512, columns=1, stories=1, gain=1.0), fringing=SPEC)
    assert np.std(fringes(ccd, "z")) == pytest.approx(0.25 * np.std(fringes(ccd, "y")), rel=0.25)
    assert np.std(fringes(ccd, "r")) < 100.0
    assert np.std(fringes(ccd, "y", sky=0.0)) < 100.0


def test_a_map_of_the_sky_acts_as_its_value(make_ccd, make_chip):
    ccd = make_ccd(make_chip(64, 64, columns=1, stories=1, gain=1.0), shot_noise=False, fringing=SPEC)
    even, mapped = (fringes(ccd, "y", sky=sky, count=1) for sky in (5000.0, np.full((64, 64), 5000.0, np.float32)))
    np.testing.assert_array_equal(even, mapped)
