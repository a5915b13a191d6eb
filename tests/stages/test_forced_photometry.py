import numpy as np
import pytest

from etendue.stages.forced_photometry import ForcedPhotometry
from etendue.table.table import Table


@pytest.fixture
def objects(stars, wcs):
    """Return the stars as objects of two patches, and one far outside the image."""
    x, y = np.append(stars["x"], 900.0), np.append(stars["y"], 100.0)
    ra, dec = wcs.pixel_to_sky(x=x, y=y)
    n = x.size
    table = Table("object", {
        "objectId": np.arange(1, n + 1), "coord_ra": ra, "coord_dec": dec, "tract": np.zeros(n, int),
        "patch": np.arange(n) % 2, "refBand": ["r"] * n, "x": x, "y": y,
    })  # fmt: skip
    return tuple(table.take(table["patch"] == patch) for patch in (0, 1))


def test_objects_on_the_image_are_measured_where_they_are(visit_image, objects, stars):
    forced = ForcedPhotometry().run(image=visit_image(**stars), objects=objects).forced_source
    assert len(forced) == stars["x"].size
    rows = np.asarray(forced["objectId"]) - 1
    np.testing.assert_allclose(forced["x"], stars["x"][rows], atol=1e-6)
    pull = (forced["psfFlux"] - stars["flux"][rows]) / forced["psfFluxErr"]
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert (forced["band"] == "r").all()


def test_where_there_is_nothing_fluxes_are_noise_about_zero(visit_image, objects):
    forced = ForcedPhotometry().run(image=visit_image(seed=9), objects=objects).forced_source
    pull = forced["psfFlux"] / forced["psfFluxErr"]
    assert np.abs(pull).max() < 5.0
    assert pull.std() == pytest.approx(1.0, abs=0.4)


def test_an_image_without_any_object_has_an_empty_table(visit_image, objects):
    nowhere = tuple(table.with_columns(coord_dec=np.full(len(table), -60.0)) for table in objects)
    assert len(ForcedPhotometry().run(image=visit_image(), objects=nowhere).forced_source) == 0
