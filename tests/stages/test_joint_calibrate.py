import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.image.photo_calib import PhotoCalib
from etendue.stages.joint_calibrate import JointCalibrate, JointCalibrateConfig
from etendue.table.table import Table
from etendue.tasks.astrometry.joint import JointAstrometryConfig

DATA_ID = {"instrument": "toy", "skymap": "field", "tract": 0}
THROUGHPUT = np.array([1.0, 0.8, 1.1])
OFFSET = ((0.0, 0.0), (3.0, -2.0), (-4.0, 1.0))  # of the headers [px]
N = 144


@pytest.fixture(scope="module")
def sky(wcs):
    rng = np.random.default_rng(8)
    grid = np.stack(np.meshgrid(*2 * [np.linspace(10.0, 190.0, 12)]), -1).reshape(-1, 2)
    x, y = (grid + rng.uniform(-3.0, 3.0, grid.shape)).T  # no two so close that they are not isolated
    ra, dec = wcs.pixel_to_sky(x=x, y=y)
    return {"x": x, "y": y, "ra": ra, "dec": dec, "flux": 10 ** rng.uniform(3.5, 5.0, N)}


@pytest.fixture(scope="module")
def visits(sky, wcs, visit_image, handle):
    """Return three visits of one sky whose headers and throughputs differ; the scale is 2 nJy per unit."""
    rng, tables, images = np.random.default_rng(9), [], []
    calib = PhotoCalib(scale=2.0, kind="relative")
    for k, (dx, dy) in enumerate(OFFSET):
        header = wcs.shifted(dx=-dx, dy=-dy)
        flux = sky["flux"] * THROUGHPUT[k] * (1 + rng.normal(0, 0.002, N))
        x, y = sky["x"] + rng.normal(0, 0.01, N), sky["y"] + rng.normal(0, 0.01, N)
        ra, dec = header.pixel_to_sky(x=x, y=y)
        tables.append(Table("single_visit_star", {
            "sourceId": np.arange(N) + 1000 * k + 1, "visit": np.full(N, k + 1), "detector": np.zeros(N, int),
            "band": ["r"] * N, "x": x, "y": y, "xErr": np.full(N, 0.01), "yErr": np.full(N, 0.01), "ra": ra,
            "dec": dec, "psfFlux": flux, "psfFluxErr": 0.002 * flux, "calibFlux": flux, "calibFluxErr": 0.002 * flux,
            "extendedness": np.zeros(N), "snr": np.full(N, 500.0),
        }))  # fmt: skip
        images.append(handle(visit_image(wcs=header, photo_calib=calib, visit=k + 1), visit=k + 1, detector=0))
    return tuple(tables), tuple(images)


def run(visits, reference=()):
    return JointCalibrate().run(stars=visits[0], images=visits[1], reference=reference, data_id=DATA_ID)


@pytest.fixture(scope="module")
def solved(visits):
    return run(visits)


def test_exposures_agree_on_positions_after_the_solution(solved, visits):
    places = [
        solved.calibration.get(visit=k + 1, detector=0).wcs.pixel_to_sky(x=table["x"], y=table["y"])
        for k, table in enumerate(visits[0])
    ]
    scatter = np.std(np.array(places)[:, 1], axis=0) * 3600.0
    assert np.median(scatter) < 2.0 * 0.01 * 0.6


def test_exposures_agree_on_fluxes_and_the_correction_is_on_top_of_the_preliminary_scale(solved, visits):
    scales = np.array([solved.calibration.get(visit=k + 1, detector=0).photo_calib.scale for k in range(3)])
    product = scales * THROUGHPUT
    np.testing.assert_allclose(product / product.mean(), 1.0, atol=2e-3)
    assert np.log(scales / 2.0).mean() == pytest.approx(0.0, abs=0.15)  # relative: the mean scale stays


def test_every_star_is_an_isolated_star_once(solved):
    assert len(solved.isolated_stars) == N
    assert np.unique(solved.isolated_stars["isolated_star_id"]).size == N
    assert (solved.isolated_stars["nSource"] == 3).mean() > 0.98
    assert np.isfinite(solved.isolated_stars["r_psfFlux"]).mean() > 0.98


def test_only_wcs_and_scale_of_the_images_are_read(solved, visits):
    assert {name for image in visits[1] for name in image.read} == {"wcs", "photo_calib"}


@pytest.fixture(scope="module")
def calibrated(visits):
    """Return the visits as they are after each was calibrated on a catalog."""
    images = tuple(
        type(image)(image.value.replace(wcs=image.value.wcs.shifted(dx=dx, dy=dy)), image.data_id)
        for image, (dx, dy) in zip(visits[1], OFFSET, strict=True)
    )
    placed = []
    for table, image in zip(visits[0], images, strict=True):
        ra, dec = image.value.wcs.pixel_to_sky(x=table["x"], y=table["y"])
        placed.append(table.with_columns(ra=ra, dec=dec))
    return tuple(placed), images


def refcat(sky, **columns):
    return Table("refcat", {
        "id": np.arange(1, N + 1), "ra": sky["ra"], "dec": sky["dec"], "raErr": np.full(N, 1e-6),
        "decErr": np.full(N, 1e-6), **columns,
    })  # fmt: skip


def test_a_reference_catalog_anchors_positions_and_fluxes(calibrated, sky):
    flux = 7.0 * sky["flux"]
    result = run(calibrated, (refcat(sky, r_flux=flux, r_fluxErr=0.002 * flux),))
    stars = result.isolated_stars
    distance = np.hypot(
        (stars["ra"][:, None] - sky["ra"]) * np.cos(np.radians(25.3)), stars["dec"][:, None] - sky["dec"]
    )
    assert np.median(distance.min(axis=1)) * 3600.0 < 0.006
    for k in range(3):
        calib = result.calibration.get(visit=k + 1, detector=0).photo_calib
        assert calib.kind == "absolute"
        # the fluxes of the table are twice the image's, which the correction is on top of
        assert calib.scale * THROUGHPUT[k] == pytest.approx(14.0, rel=0.005)


def test_fluxes_may_rest_on_another_catalog(calibrated, sky):
    places, fluxes = refcat(sky), refcat(sky, r_flux=7.0 * sky["flux"], r_fluxErr=0.01 * sky["flux"])
    both = JointCalibrate().run(
        stars=calibrated[0], images=calibrated[1], reference=(places,), photometry_reference=(fluxes,), data_id=DATA_ID
    )
    assert both.calibration.get(visit=1, detector=0).photo_calib.kind == "absolute"
    assert run(calibrated, (places,)).calibration.get(visit=1, detector=0).photo_calib.kind == "relative"


def test_positions_rest_on_the_catalog_at_the_epoch_of_the_exposures(calibrated, sky):
    # 100 mas/yr northwards, ten years before: the catalog is south of where the stars are.
    moving = refcat(sky, epoch=np.full(N, 57000.0), pmra=np.zeros(N), pmdec=np.full(N, 100.0))
    late = tuple(table.with_columns(midpointMjdTai=np.full(N, 57000.0 + 3652.5)) for table in calibrated[0])
    shifts = []
    for tables in (calibrated[0], late):
        stars = run((tables, calibrated[1]), (moving,)).isolated_stars
        nearest = np.hypot(stars["ra"][:, None] - sky["ra"], stars["dec"][:, None] - sky["dec"]).argmin(axis=1)
        shifts.append(3600.0 * np.median(stars["dec"] - sky["dec"][nearest]))
    assert shifts == pytest.approx([0.0, 1.0], abs=0.01)


def test_exposures_without_any_star_are_the_data_s_failure(visits):
    with pytest.raises(AlgorithmError, match="no stars"):
        run((tuple(table.take([]) for table in visits[0]), visits[1]))


def test_an_exposure_without_stars_is_left_out(visits):
    result = run(((visits[0][0], visits[0][1].take([]), visits[0][2]), visits[1]))
    assert [e.visit for e in result.calibration.exposures] == [1, 3]


def test_a_single_frame_in_another_band_keeps_its_scale_and_costs_nobody_else(visits, solved):
    tables, images = visits
    columns = {name: np.asarray(tables[2][name]) for name in tables[2].names if name != "band"}
    green = Table("single_visit_star", columns | {"band": np.array(["g"] * N)})
    mixed = run(((*tables[:2], green), images)).calibration
    assert mixed.get(visit=3, detector=0).photo_calib.scale == pytest.approx(2.0)
    red = [mixed.get(visit=k, detector=0).photo_calib.scale for k in (1, 2)]
    before = [solved.calibration.get(visit=k, detector=0).photo_calib.scale for k in (1, 2)]
    assert red[1] / red[0] == pytest.approx(before[1] / before[0], rel=1e-3)


def test_refraction_of_stars_is_fitted_where_asked(visits):
    config = JointCalibrateConfig(astrometry=JointAstrometryConfig(fit_refraction=True))
    stars = JointCalibrate(config).run(stars=visits[0], images=visits[1], reference=(), data_id=DATA_ID).isolated_stars
    assert np.nanmax(np.abs(stars["r_refraction"])) < 0.05
    assert np.isnan(run(visits).isolated_stars["r_refraction"]).all()
