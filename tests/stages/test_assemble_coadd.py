import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.stages.assemble_coadd import AssembleCoadd, AssembleCoaddStageConfig
from etendue.stages.assemble_template import AssembleTemplate, AssembleTemplateConfig

R = {"skymap": "field", "tract": 0, "patch": 0, "band": "r"}


@pytest.fixture
def warps(visit_image, handle, stars):
    """Return a function that makes warps of the same stars with seeing values."""

    def make(n, band="r", seeing=None):
        fwhm = np.full(n, 1.5) if seeing is None else seeing
        return tuple(
            handle(visit_image(**stars, seed=k, visit=k + 1, metadata={"fwhm_arcsec": fwhm[k]}), visit=k + 1, band=band)
            for k in range(n)
        )

    return make


def visits(coadd):
    return [entry["visit"] for entry in coadd.inputs]


def test_the_coadd_is_deeper_and_has_a_psf(warps):
    coadd = AssembleCoadd().run(warps=warps(4), data_id=R).coadd
    assert visits(coadd) == [1, 2, 3, 4]
    assert np.median(coadd.variance.array) == pytest.approx(100.0 / 4.0, rel=0.01)
    assert coadd.psf.fwhm(x=100.0, y=100.0)[0] == pytest.approx(2.3548 * 1.1, rel=0.1)


def test_other_bands_stay_out(warps):
    coadd = AssembleCoadd().run(warps=(*warps(2), *warps(3, band="g")), data_id=R).coadd
    assert len(coadd.inputs) == 2
    with pytest.raises(AlgorithmError, match="no warp in this band"):
        AssembleCoadd().run(warps=warps(2, band="g"), data_id=R)


def test_the_template_takes_the_visits_of_the_best_seeing(warps):
    seeing = [1.9, 1.2, 1.8, 1.1, 1.7, 1.6]
    template = AssembleTemplate(AssembleTemplateConfig(minimum_visits=1)).run(warps=warps(6, seeing=seeing), data_id=R)
    assert visits(template.coadd) == [2, 4]
    few = AssembleTemplate(AssembleTemplateConfig(minimum_visits=12)).run(warps=warps(6, seeing=seeing), data_id=R)
    assert len(few.coadd.inputs) == 6


def test_a_patch_with_too_few_stars_is_kept_without_a_psf(visit_image, handle):
    empty = tuple(handle(visit_image(seed=k), visit=k, band="r") for k in range(2))
    assert AssembleCoadd(AssembleCoaddStageConfig()).run(warps=empty, data_id=R).coadd.psf is None


def test_the_template_is_a_dataset_of_its_own():
    assert AssembleTemplate.outputs()["coadd"].name == "template_coadd"
    assert AssembleCoadd.outputs()["coadd"].name == "deep_coadd"
    assert AssembleTemplate().config.best_fraction == pytest.approx(1 / 3)
