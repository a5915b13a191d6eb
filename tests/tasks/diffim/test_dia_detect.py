import numpy as np
import pytest

from etendue.schema.table_schema import load_schema
from etendue.tasks.detect.detect import DetectConfig
from etendue.tasks.diffim.dia_detect import DiaDetectConfig, DiaDetectTask
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
