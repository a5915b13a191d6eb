import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.image.photon_transfer import PhotonTransfer
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.simulate.ccd.brighter_fatter import BrighterFatterSpec
from etendue.tasks.calib.brighter_fatter import MeasureBrighterFatterTask, solve_kernel
from etendue.tasks.calib.electrostatics import Electrostatics, refine_boundaries

ITL = BrighterFatterSpec()
E2V = BrighterFatterSpec(
    serial_shift=4.08e-7, parallel_shift=6.60e-7, serial_softening=0.42, parallel_softening=0.22, falloff=1.60
)


def ptc_of(area, error):
    """Return a table of two amplifiers whose curves show these areas."""
    zero, levels = np.zeros_like(area), np.zeros((1, *area.shape))
    curve = PhotonTransfer(np.ones(1), levels, levels, np.ones(1, bool), area, error, zero, zero, 1.0)
    return Ptc(tuple(AmplifierGain(name, 1.5, 0.0, 5.0, 0.0, np.nan, True, np.nan, curve) for name in "AB"))


def areas(spec, lag=8):
    out = np.zeros((lag + 1, lag + 1))
    out[:5, :5] = spec.area_coefficients()[4:, 4:]
    return out


@pytest.mark.parametrize(("spec", "tolerance"), [(ITL, 0.09), (E2V, 0.04)])
def test_boundaries_of_near_neighbours_come_out_of_areas_alone(spec, tolerance):
    error = np.full((9, 9), 1e-9)
    found = MeasureBrighterFatterTask().run(ptc_of(areas(spec), error))
    serial, parallel = spec.stencils()
    np.testing.assert_allclose(found.boundaries.serial[:2, 0], serial[:2, 0], rtol=tolerance)
    np.testing.assert_allclose(found.boundaries.parallel[0, :2], parallel[0, :2], rtol=tolerance)
    np.testing.assert_allclose(found.boundaries.area()[:2, :2], areas(spec)[:2, :2], rtol=0.05)
    assert found.area_err[0, 0] == pytest.approx(1e-9 / np.sqrt(2.0))


def test_the_end_of_a_field_is_found_where_areas_show_it_and_only_there():
    error = np.full((7, 7), 1e-9)
    assert MeasureBrighterFatterTask().run(ptc_of(areas(E2V, 6), error)).boundaries.reach == 4
    endless = Electrostatics(4e-7, 0.1, 0.3, 0.2, 1.0, 6.0).boundaries(7).area()[:7, :7]
    assert MeasureBrighterFatterTask().run(ptc_of(endless, error)).boundaries.reach == 6
    noisy = np.full((7, 7), 2e-8)  # as of some dozen pairs
    assert MeasureBrighterFatterTask().run(ptc_of(areas(ITL, 6), noisy)).boundaries.reach == 6


def test_the_kernels_laplacian_are_the_areas():
    area = Electrostatics(4e-7, 0.1, 0.3, 0.2, 1.0, 6.0).boundaries(8).area()
    found = solve_kernel(area).boundaries().area()
    np.testing.assert_allclose(found[:8, :8], area[:8, :8], atol=1e-4 * area[1, 0])


def test_the_field_falls_off_and_areas_sum_to_nothing():
    boundaries = Electrostatics(4e-7, 0.1, 0.3, 0.2, 1.0, 6.0).boundaries(8)
    assert (np.diff(boundaries.serial[0]) < 0.0).all()
    assert (np.diff(boundaries.parallel[:, 0]) < 0.0).all()
    area = boundaries.area()
    weight = np.full(9, 2.0)
    weight[0] = 1.0
    assert weight @ area @ weight == pytest.approx(0.0, abs=1e-20)


def test_refining_reaches_areas_that_are_known_and_keeps_the_model_where_they_are_not():
    model, true = (Electrostatics(s, 0.1, 0.3, 0.2, 1.0, 6.0).boundaries(4) for s in (4e-7, 4.4e-7))
    area = true.area()[:4, :4]
    sharp = refine_boundaries(model, area, np.full_like(area, 1e-11), freedom=0.2)
    np.testing.assert_allclose(sharp.area()[:3, :3], area[:3, :3], rtol=0.02)
    blind = refine_boundaries(model, area, np.full_like(area, 1.0), freedom=0.2)
    np.testing.assert_allclose(blind.serial, model.serial, rtol=1e-6)
    assert refine_boundaries(model, area, area, freedom=0.0) is model


def test_flats_that_show_no_effect_are_said_to():
    with pytest.raises(AlgorithmError, match="Flats show no brighter-fatter effect"):
        MeasureBrighterFatterTask().run(ptc_of(np.zeros((5, 5)), np.full((5, 5), 1e-9)))
    with pytest.raises(InputError, match="no covariances"):
        MeasureBrighterFatterTask().run(Ptc((AmplifierGain("A", 1.5, 0.0, 5.0, 0.0, np.nan, True),)))
