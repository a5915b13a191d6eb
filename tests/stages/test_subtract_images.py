import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.ids import source_ids
from etendue.stages.subtract_images import SubtractImages

VISIT = 2019032600101


@pytest.fixture(scope="module")
def result(visit_image, handle, stars):
    """Subtract a template of another grid and seeing-equal PSF; one star of the visit is new."""
    x, y, flux = np.append(stars["x"], 63.0), np.append(stars["y"], 101.0), np.append(stars["flux"], 4000.0)
    image = visit_image(x=x, y=y, flux=flux)
    template = visit_image(**stars, seed=2, noise=3.0)
    other = visit_image(seed=3)
    return image, SubtractImages().run(image=image, templates=(handle(template, band="r"), handle(other, band="g")))


def test_what_is_new_is_detected_at_its_place(result):
    _, found = result
    distance = np.hypot(found.sources["x"] - 63.0, found.sources["y"] - 101.0)
    row = int(distance.argmin())
    assert distance[row] < 0.15
    assert found.sources["psfFlux"][row] == pytest.approx(4000.0, rel=0.1)
    assert not found.sources["isNegative"][row]


def test_constant_stars_are_gone(result, stars):
    image, found = result
    rows, columns = np.rint(stars["y"]).astype(int), np.rint(stars["x"]).astype(int)
    left = np.median(np.abs(found.difference.image.array[rows, columns]))
    assert left < 0.03 * np.median(image.image.array[rows, columns])


def test_rows_carry_the_ids_of_their_visit_and_are_all_measured(result):
    _, found = result
    known = source_ids(VISIT, 0, 1000)
    assert np.isin(found.sources["diaSourceId"], known).all()
    assert (found.sources["visit"] == VISIT).all()
    assert np.isfinite(found.sources["psfFlux"]).all()
    assert np.isfinite(found.sources["ra"]).all()


def test_without_a_template_in_the_band_the_data_fail(visit_image, handle, stars):
    with pytest.raises(AlgorithmError, match="no template"):
        SubtractImages().run(image=visit_image(**stars), templates=(handle(visit_image(), band="g"),))
