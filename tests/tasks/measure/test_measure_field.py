"""Detect, fit the PSF and measure on one simulated, marginally sampled field with a varying PSF."""

from dataclasses import dataclass

import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box
from etendue.image.aperture_correction import aperture_name
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.noise import NoiseAutocorrelation
from etendue.image.psf import GaussianMixturePsf
from etendue.tasks.detect.detect import DetectConfig, DetectResult, DetectTask
from etendue.tasks.measure.aperture_corrections import ApertureCorrectionTask
from etendue.tasks.measure.measure import MeasureTask
from etendue.tasks.psf.psf import FitPsfTask, PsfResult

SKY, SHAPE, Y0, X0 = 900.0, (420, 440), 1000, 2000


def psf_at(x, y):
    u, v = (x - X0) / SHAPE[1], (y - Y0) / SHAPE[0]
    ixx, iyy, ixy = 0.55 + 0.15 * u, 0.6 + 0.1 * v, 0.05 * (u - v)
    return GaussianMixturePsf([0.85, 0.15], [ixx, 3.0], [iyy, 3.0], [ixy, 0.0], 31)


@dataclass
class Field:
    exposure: Exposure
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    detected: DetectResult
    psf: PsfResult


def add_star(image, x, y, flux):
    stamps = psf_at(x, y).draw(x=x, y=y)
    row, col = stamps.y0[0] - Y0 + 40, stamps.x0[0] - X0 + 40
    image[row : row + 31, col : col + 31] += flux * stamps.value[0]


@pytest.fixture(scope="module")
def field():
    rng = np.random.default_rng(11)
    n = 420
    x, y = rng.uniform(X0, X0 + SHAPE[1], n), rng.uniform(Y0, Y0 + SHAPE[0], n)
    flux = np.minimum(1000.0 * rng.random(n) ** -1.0, 1e5)
    image = np.zeros((SHAPE[0] + 80, SHAPE[1] + 80))
    for star in zip(x, y, flux, strict=True):
        add_star(image, *star)
    image = rng.poisson(image[40:-40, 40:-40] + SKY) - SKY
    box = Box.from_shape(SHAPE, y0=Y0, x0=X0)
    variance = Image((np.maximum(image, 0) + SKY).astype(np.float32), box)
    exposure = Exposure(
        image=Image(image.astype(np.float32), box), mask=Mask.empty(box), variance=variance, unit="electron"
    )
    first = DetectTask().run(exposure=exposure, threshold_snr=8.0)
    psf = FitPsfTask().run(exposure=exposure, x=first.x, y=first.y, snr=first.peak_snr)
    detected = DetectTask().run(exposure=exposure.replace(psf=psf.psf))
    return Field(detected.exposure, x, y, flux, detected, psf)


def nearest(field, x, y):
    distance = np.hypot(field.x[:, None] - x, field.y[:, None] - y)
    return distance.argmin(axis=1), distance.min(axis=1)


def isolated(field):
    distance = np.hypot(field.x[:, None] - field.x, field.y[:, None] - field.y)
    np.fill_diagonal(distance, np.inf)
    inside = (np.abs(field.x - X0 - 220) < 200) & (np.abs(field.y - Y0 - 210) < 190)
    return (distance.min(axis=1) > 10.0) & inside


def test_detects_every_isolated_star_well_above_threshold_and_little_else(field):
    _, distance = nearest(field, field.detected.x, field.detected.y)
    snr = field.flux / np.sqrt(SKY * 10.0)
    bright = isolated(field) & (snr > 9.0)
    assert (distance[bright] < 1.0).all()
    gap = np.hypot(field.x[:, None] - field.detected.x, field.y[:, None] - field.detected.y).min(axis=0)
    assert np.count_nonzero(gap > 2.0) <= 4


def test_footprints_hold_their_peaks(field):
    footprints = field.detected.footprints
    assert len(footprints.peaks) == field.detected.x.size
    assert field.exposure.mask.count("DETECTED") == footprints.spans.area
    largest = footprints[int(footprints.peak_owner[np.argmax(footprints.peaks.value)])]
    inside = largest.spans.mask(field.exposure.bbox)
    assert inside[largest.peaks.y - Y0, largest.peaks.x - X0].all()


def test_the_psf_is_recovered_over_the_field(field):
    for x, y in ((X0 + 80, Y0 + 80), (X0 + 220, Y0 + 210), (X0 + 360, Y0 + 330)):
        measured = [float(m[0]) for m in field.psf.psf.moments(x=x, y=y)]
        truth = [float(m[0]) for m in psf_at(x, y).moments(x=x, y=y)]
        np.testing.assert_allclose(measured, truth, atol=0.025)
        middle = np.s_[field.psf.psf.size // 2 - 15 : field.psf.psf.size // 2 + 16]
        stamp = field.psf.psf.stamp(x=x, y=y)[middle, middle]
        np.testing.assert_allclose(stamp, psf_at(x, y).stamp(x=x, y=y), atol=0.012)


def test_stars_held_back_fit_as_well_as_the_others(field):
    statistics = field.psf.statistics
    assert not (field.psf.used & field.psf.reserved).any()
    assert statistics["n_reserved"] == pytest.approx(0.25 * statistics["n_used"], rel=0.3)
    assert statistics["reserved_chi2"] < 1.4 * statistics["used_chi2"]


@pytest.mark.parametrize("forced", [False, True])
def test_fluxes_and_positions_agree_with_the_truth_within_their_errors(field, forced):
    stars = isolated(field) & (field.flux > 2000.0)
    x, y = (field.x, field.y) if forced else (field.detected.x, field.detected.y)
    columns = MeasureTask().run(exposure=field.exposure, x=x, y=y, forced=forced)
    match, _ = nearest(field, columns.x, columns.y)
    k, n = match[stars], np.count_nonzero(stars)
    pull = (columns.psf_flux[k] / field.flux[stars] - 1.0) / np.hypot(
        columns.psf_flux_err[k] / field.flux[stars], 0.005
    )
    assert abs(np.median(pull)) < 4 * 1.253 / np.sqrt(n) + 0.1
    assert 0.741 * np.subtract(*np.percentile(pull, [75, 25])) == pytest.approx(1.0, abs=0.3)
    if forced:
        assert np.isnan(columns.x_err).all()
        np.testing.assert_array_equal(columns.x, x)
        return
    for measured, error, truth in ((columns.x, columns.x_err, field.x), (columns.y, columns.y_err, field.y)):
        pull = (measured[k] - truth[stars]) / np.hypot(error[k], 0.004)
        assert abs(np.median(pull)) < 4 * 1.253 / np.sqrt(n) + 0.1
        assert 0.741 * np.subtract(*np.percentile(pull, [75, 25])) == pytest.approx(1.0, abs=0.3)


def test_stars_are_points_and_a_galaxy_is_extended(field):
    rng = np.random.default_rng(12)
    image = rng.normal(0.0, 30.0, SHAPE)
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image += 20000.0 / (2 * np.pi * 4.0) * np.exp(-0.5 * ((cols - 200.3) ** 2 + (rows - 150.6) ** 2) / 4.0)
    exposure = field.exposure.replace(image=Image(image.astype(np.float32), field.exposure.bbox))
    galaxy = MeasureTask().run(exposure=exposure, x=[X0 + 200.0], y=[Y0 + 151.0])
    assert galaxy.measured["extendedness"][0] == 1.0
    assert galaxy.measured["ixx"][0] == pytest.approx(4.0, rel=0.1)
    assert galaxy.measured["ixxPSF"][0] < 1.0
    stars = MeasureTask().run(exposure=field.exposure, x=field.detected.x, y=field.detected.y)
    match, _ = nearest(field, stars.x, stars.y)
    assert np.mean(stars.measured["extendedness"][match[isolated(field) & (field.flux > 3000.0)]]) < 0.05


def test_the_aperture_correction_falls_towards_one(field):
    columns = MeasureTask().run(exposure=field.exposure, x=field.detected.x, y=field.detected.y)
    task, names = ApertureCorrectionTask(), [aperture_name(radius) for radius in (3.0, 6.0, 9.0, 12.0)]
    factor = np.array([task.run(columns, field.exposure.bbox, name).value for name in names])
    assert (np.diff(factor) < 0.02).all()
    assert factor[-1] == pytest.approx(1.0, abs=0.02)


def test_flags_follow_the_mask_planes(field):
    mask = field.exposure.mask.copy()
    mask.array[100, 100] |= mask.bits("SAT")
    mask.array[200, 202] |= mask.bits("CR")
    exposure = field.exposure.replace(mask=mask)
    x, y = X0 + np.array([100.0, 200.0, 300.0, 0.0]), Y0 + np.array([100.0, 200.0, 300.0, 300.0])
    flags = MeasureTask().run(exposure=exposure, x=x, y=y, forced=True).pixel_flags
    assert flags["pixelFlags_saturatedCenter"].tolist() == [True, False, False, False]
    assert flags["pixelFlags_cr"].tolist() == [False, True, False, False]
    assert not flags["pixelFlags_crCenter"].any()
    assert flags["pixelFlags_edge"].tolist() == [False, False, False, True]


def test_correlated_noise_enlarges_errors(field):
    kernel = np.array([[0.1, 0.3, 0.1], [0.3, 1.0, 0.3], [0.1, 0.3, 0.1]])
    white = MeasureTask().run(exposure=field.exposure, x=field.x[:9], y=field.y[:9], forced=True)
    exposure = field.exposure.replace(noise=NoiseAutocorrelation(kernel))
    correlated = MeasureTask().run(exposure=exposure, x=field.x[:9], y=field.y[:9], forced=True)
    assert (correlated.psf_flux_err > 1.3 * white.psf_flux_err).all()


def test_both_polarities_are_found_on_a_difference():
    image = np.random.default_rng(13).normal(size=(80, 90))
    stamp = GaussianMixturePsf.circular(1.2, 21).stamp(x=0.0, y=0.0)
    image[20:41, 20:41] += 200.0 * stamp
    image[40:61, 60:81] -= 200.0 * stamp
    plane = Image(image.astype(np.float32))
    exposure = Exposure(
        image=plane,
        mask=Mask.empty(plane.bbox),
        variance=Image.full(plane.bbox, 1.0),
        psf=GaussianMixturePsf.circular(1.2),
    )
    result = DetectTask(DetectConfig(polarity="both", threshold_snr=6.0)).run(exposure=exposure)
    assert result.is_negative.tolist() == [False, True]
    np.testing.assert_allclose(result.x, [30.0, 70.0], atol=0.3)
    np.testing.assert_allclose(result.footprints.peaks.value, [1, -1] * result.peak_snr, rtol=1e-6)
    assert result.exposure.mask.count("DETECTED_NEGATIVE") > 9


def test_a_saturated_star_with_its_bleed_trail_is_one_source():
    image = np.random.default_rng(14).normal(size=(80, 90))
    image[10:70, 40:43] += 500.0
    plane = Image(image.astype(np.float32))
    mask = Mask.empty(plane.bbox).with_plane("SAT", image > 100.0)
    exposure = Exposure(image=plane, mask=mask, variance=Image.full(plane.bbox, 1.0))
    assert DetectTask(DetectConfig(sky_cell=0)).run(exposure=exposure).x.size == 1


def test_failures_are_told_plainly(field):
    empty = field.exposure.replace(mask=field.exposure.mask.with_plane("NO_DATA", True), psf=None)
    with pytest.raises(AlgorithmError, match="No usable pixel"):
        DetectTask().run(exposure=empty)
    with pytest.raises(AlgorithmError, match="Too few stars"):
        FitPsfTask().run(exposure=field.exposure, x=[X0 + 5.0], y=[Y0 + 5.0], snr=[50.0])
    with pytest.raises(InputError, match="no PSF"):
        MeasureTask().run(exposure=empty, x=[1.0], y=[2.0])
    with pytest.raises(InputError, match="finite columns"):
        MeasureTask().run(exposure=field.exposure, x=[np.nan], y=[2.0])


def test_nothing_to_measure_gives_empty_columns(field):
    columns = MeasureTask().run(exposure=field.exposure, x=[], y=[])
    assert len(columns) == 0
    assert columns.measured["ap06Flux"].shape == (0,)
