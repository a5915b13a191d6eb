import numpy as np
import pytest

from etendue.alerts.decode import decode_alert
from etendue.errors import AlgorithmError
from etendue.stages.package_alerts import PackageAlerts, PackageAlertsConfig
from etendue.table.table import Table

VISIT = 2019032600101


@pytest.fixture
def package(visit_image, handle, dia_sources, wcs):
    """Return a function that packages two earlier and three present detections, one of them faint."""

    def run(band="r", **config):
        ra, dec = wcs.pixel_to_sky(x=np.array([100.0, 60.0, 100.0, 60.0, 150.0]), y=np.full(5, 100.0))
        sources = dia_sources(
            ra, dec, visit=[VISIT - 1] * 2 + [VISIT] * 3, midpointMjdTai=[58568.0] * 2 + [58568.01] * 3,
            diaObjectId=[7, 8, 7, 8, 0], diaSourceId=[1, 2, 13, 12, 11], snr=[9.0, 9.0, 9.0, 9.0, 4.0],
            x=[100.0, 60.0, 100.0, 60.0, 150.0],
        )  # fmt: skip
        objects = Table("dia_object", {"diaObjectId": [7, 8], "ra": ra[:2], "dec": dec[:2], "nDiaSources": [2, 2]})
        image = visit_image()
        return PackageAlerts(PackageAlertsConfig(**config)).run(
            difference=visit_image(seed=2), image=image, templates=(handle(visit_image(seed=3), band=band),),
            sources=(sources,), dia_objects=(objects,), data_id={"visit": VISIT, "detector": 0},
        ).alerts  # fmt: skip

    return run


def test_present_detections_above_the_limit_become_alerts(package):
    batch = package()
    assert (batch.visit, batch.detector) == (VISIT, 0)
    assert list(batch.ids) == [12, 13]
    assert list(package(min_snr=0.0).ids) == [11, 12, 13]


def test_alerts_decode_with_history_that_is_earlier_and_their_object(package):
    for alert in map(decode_alert, package().packets):
        history = alert["prvDiaSources"]
        assert len(history) == 1
        assert history[0]["midpointMjdTai"] < alert["diaSource"]["midpointMjdTai"]
        assert history[0]["diaObjectId"] == alert["diaSource"]["diaObjectId"] == alert["diaObject"]["diaObjectId"]


def test_cutouts_are_fits_images_around_the_detection(package):
    from io import BytesIO

    from astropy.io import fits

    alert = decode_alert(package(cutout_size=21).packets[0])
    for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        with fits.open(BytesIO(alert[name])) as hdus:
            assert hdus[0].data.shape == hdus["MASK"].data.shape == (21, 21)


def test_the_same_input_gives_the_same_bytes(package):
    assert package().packets == package().packets


def test_without_a_template_in_the_band_there_is_no_alert(package):
    with pytest.raises(AlgorithmError, match="template"):
        package(band="g")
