import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf_gaussian import GaussianMixturePsf
from etendue.schema.table_schema import load_schema
from etendue.tasks.detect.detect import DetectConfig
from etendue.tasks.diffim.dia_detect import DiaDetectConfig, DiaDetectTask
from etendue.tasks.diffim.dipole_columns import dipole_columns
from etendue.tasks.diffim.subtract import SubtractTask


def detect(field):
    result = SubtractTask().run(science=field.science, template=field.template)
    return DiaDetectTask().run(
        difference=result.difference, science=field.science, matched_template=result.matched_template
    )


def nearest(found, field):
    distance = np.hypot(
        found.columns["x"][:, None] - field.transient_x[None], found.columns["y"][:, None] - field.transient_y[None]
    )
    return distance.argmin(axis=0), distance.min(axis=0), distance.min(axis=1)


def test_transients_are_found_and_little_else(field_factory):
    field = field_factory(41)
    found = detect(field)
    _, to_transient, to_any = nearest(found, field)
    assert (to_transient < 0.6).mean() > 0.95
    assert (to_any > 3.0).sum() <= 6


def test_positions_and_fluxes_have_honest_errors(field_factory):
    pulls = []
    for seed in (42, 43, 44):
        field = field_factory(seed, n_transients=36)
        found = detect(field)
        match, distance, _ = nearest(found, field)
        c = {name: column[match[distance < 1.0]] for name, column in found.columns.items()}
        good = distance < 1.0
        pulls.append((c["x"] - field.transient_x[good]) / c["xErr"])
        pulls.append((c["y"] - field.transient_y[good]) / c["yErr"])
    pulls = np.concatenate(pulls)
    robust = 0.7413 * np.subtract(*np.percentile(pulls, [75, 25]))
    assert abs(np.median(pulls)) < 4 / pulls.size**0.5
    assert 0.8 < robust < 1.2


def test_both_polarities_are_found(field_factory):
    field = field_factory(45, transient_flux=-600.0)
    found = detect(field)
    match, distance, _ = nearest(found, field)
    good = match[distance < 0.6]
    assert good.size > 50
    assert found.columns["isNegative"][good].all()
    assert (found.columns["psfFlux"][good] < 0.0).all()


def test_science_flux_minus_template_flux_is_the_difference(field_factory):
    field = field_factory(46, n_transients=36)
    c = detect(field).columns
    plain = ~c["isNegative"] & (c["templateFlux"] < 50.0)
    balance = c["scienceFlux"][plain] - c["templateFlux"][plain] - c["psfFlux"][plain]
    assert np.abs(np.median(balance)) < 15.0


def test_a_displaced_star_is_a_dipole(field_factory):
    field = field_factory(47, n_transients=0)
    image = field.science.image.array
    source = field.template.image.array
    peak = np.unravel_index(np.argmax(source[40:-40, 40:-40]), source[40:-40, 40:-40].shape)
    row, column = peak[0] + 40, peak[1] + 40
    patch = np.s_[row - 8 : row + 9, column - 8 : column + 9]
    image[patch] = np.roll(image, 1, axis=1)[patch]
    c = detect(field).columns
    box = field.science.bbox
    near = np.hypot(c["x"] - column - box.x.start, c["y"] - row - box.y.start) < 4.0
    assert near.any()
    assert c["isDipole"][near].any()


def test_mask_planes_become_flags(field_factory):
    field = field_factory(48)
    box = field.science.bbox
    column, row = round(field.transient_x[20]) - box.x.start, round(field.transient_y[20]) - box.y.start
    where = np.zeros(box.shape, np.bool_)
    where[row + 3, column + 3] = True
    field.science.mask.set_plane("INTRP", where)
    found = detect(field)
    match, distance, _ = nearest(found, field)
    assert distance[20] < 1.0
    assert found.columns["pixelFlags_interpolated"][match[20]]
    assert not found.columns["pixelFlags_interpolatedCenter"][match[20]]


def test_every_column_is_in_the_schema(field_factory):
    names = {column.name for column in load_schema("dia_source").columns}
    found = detect(field_factory(49))
    assert set(found.columns) <= names
    assert {column.shape for column in found.columns.values()} == {(len(found),)}


def test_an_empty_difference_has_empty_columns(field_factory):
    field = field_factory(50, n_transients=0)
    result = SubtractTask().run(science=field.science, template=field.template)
    task = DiaDetectTask(DiaDetectConfig(detect=DetectConfig(polarity="both", threshold_snr=100.0)))
    found = task.run(difference=result.difference, science=field.science, matched_template=result.matched_template)
    assert len(found) == 0
    assert all(column.shape == (0,) for column in found.columns.values())


def test_a_difference_without_psf_is_refused(field_factory):
    field = field_factory(51)
    bare = field.science.replace(psf=None)
    with pytest.raises(Exception, match="needs PSF"):
        DiaDetectTask().run(difference=bare, science=bare, matched_template=bare)


def test_dipoles_are_measured_on_the_sky():
    rng, box = np.random.default_rng(8), Box.from_shape((120, 120), y0=300, x0=700)
    psf = GaussianMixturePsf.circular(1.6, 41)
    image = rng.normal(0.0, 2.0, (200, 200))
    for x, y, flux in ((760.4, 358.0, 3000.0), (757.4, 354.0, -2400.0)):
        stamps = psf.draw(x=x, y=y)
        row, col = int(stamps.y0[0]) - 260, int(stamps.x0[0]) - 660
        image[row : row + 41, col : col + 41] += flux * stamps.value[0]
    difference = Exposure(
        image=Image(image[40:160, 40:160].astype(np.float32), box), mask=Mask.empty(box), variance=Image.full(box, 4.0),
        psf=psf, wcs=SkyWcs.from_polynomial(
            crpix=(760.0, 360.0), crval=(10.0, 30.0), cd=np.diag([-2e-4, 2e-4]), sip_a=[[0.0]], sip_b=[[0.0]]
        ),
    )  # fmt: skip
    candidate, none = np.array([True, False]), np.zeros((120, 120), bool)
    c = dipole_columns(difference, none, np.array([758.9, 800.0]), np.array([356.0, 400.0]), 3.8, candidate)
    assert c["dipoleFitAttempted"].tolist() == [True, False]
    assert np.isnan(c["dipoleMeanFlux"][1])
    assert c["dipoleMeanFlux"][0] == pytest.approx(2700.0, abs=4.0 * c["dipoleMeanFluxErr"][0])
    assert c["dipoleFluxDiff"][0] == pytest.approx(600.0, abs=4.0 * c["dipoleFluxDiffErr"][0])
    assert c["dipoleLength"][0] == pytest.approx(5.0 * 0.72, rel=0.02)
    assert c["dipoleAngle"][0] == pytest.approx(360.0 - np.degrees(np.arctan2(3.0, 4.0)), abs=1.0)  # x runs west
    assert set(c) <= {column.name for column in load_schema("dia_source").columns}
