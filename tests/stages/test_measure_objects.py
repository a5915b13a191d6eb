import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.stages.measure_objects import MeasureObjects


@pytest.fixture
def coadd(visit_image, skymap, stars):
    """Return a function that makes the coadd of a patch in one band from the stars of the sky."""

    def make(band="r", patch=0, only=slice(None), **parts):
        target = skymap.tract(0).patch(patch)
        ra, dec = visit_image().wcs.pixel_to_sky(x=stars["x"][only], y=stars["y"][only])
        x, y = target.wcs.sky_to_pixel(ra_deg=ra, dec_deg=dec)
        near = target.outer.dilated(10).contains(x=x, y=y)
        return visit_image(
            x=x[near], y=y[near], flux=stars["flux"][only][near], box=target.outer, wcs=target.wcs, band=band, **parts
        )

    return make


def measured(coadds, skymap, patch=0):
    return MeasureObjects().run(coadds=tuple(coadds), skymap=skymap, data_id={"tract": 0, "patch": patch}).objects


def test_every_object_of_the_tract_is_kept_by_one_patch(coadd, skymap, stars):
    tables = [measured([coadd(patch=patch)], skymap, patch) for patch in range(skymap.tract(0).n_patches)]
    for patch, table in enumerate(tables):
        inner = skymap.tract(0).patch(patch).inner
        assert inner.contains(x=table["x"], y=table["y"]).all()
        assert (table["patch"] == patch).all()
    assert sum(len(table) for table in tables) == stars["x"].size
    ids = np.concatenate([table["objectId"] for table in tables])
    assert np.unique(ids).size == ids.size


def test_fluxes_are_those_of_the_stars(coadd, skymap, stars, wcs):
    table = measured([coadd()], skymap)
    x, y = wcs.sky_to_pixel(ra_deg=table["coord_ra"], dec_deg=table["coord_dec"])
    distance = np.hypot(x[:, None] - stars["x"], y[:, None] - stars["y"])
    nearest = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 0.1
    np.testing.assert_allclose(table["r_psfFlux"], stars["flux"][nearest], rtol=0.05)
    np.testing.assert_allclose(table["r_psfMag"], 31.4 - 2.5 * np.log10(table["r_psfFlux"]), rtol=1e-6)


def test_bands_are_merged_and_the_first_band_gives_the_position(coadd, skymap):
    both = measured([coadd("g", seed=5), coadd("r")], skymap)
    alone = measured([coadd("r")], skymap)
    assert len(both) == len(alone)
    assert set(np.asarray(both["refBand"])) == {"r"}
    np.testing.assert_allclose(both["coord_ra"], alone["coord_ra"], rtol=0, atol=1e-9)
    assert np.isfinite(both["g_psfFlux"]).all()


def test_an_object_of_one_band_is_measured_in_the_other(coadd, skymap, stars):
    half = np.arange(stars["x"].size) % 2 == 0
    table = measured([coadd("r", only=half), coadd("g", seed=5)], skymap)
    dropouts = np.asarray(table["refBand"]) == "g"
    assert 0 < dropouts.sum() < len(table)
    assert (np.abs(table["r_psfFlux"][dropouts] / table["r_psfFluxErr"][dropouts]) < 5.0).all()
    assert (table["g_psfFlux"] / table["g_psfFluxErr"] > 20.0).all()


def test_a_patch_without_any_psf_is_the_data_s_failure(coadd, skymap):
    with pytest.raises(AlgorithmError, match="PSF"):
        measured([coadd(psf=None)], skymap)
