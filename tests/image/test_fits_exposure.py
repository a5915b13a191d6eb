import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.polynomial import Polynomial2D
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.aperture_correction import ApertureCorrection
from etendue.image.background import Background
from etendue.image.exposure import Exposure
from etendue.image.fits_exposure import read_exposure, write_exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.noise import NoiseAutocorrelation
from etendue.image.photo_calib import PhotoCalib
from etendue.image.psf import GaussianMixturePsf
from etendue.image.valid_polygon import Polygon
from etendue.image.visit_info import VisitInfo

BOX = Box.from_shape((600, 700), y0=40, x0=-30)
SKY = 400.0


def make_exposure(seed=1, box=BOX):
    rng = np.random.default_rng(seed)
    star = np.zeros(box.shape)
    star[50::60, 45::60] = rng.uniform(100, 3e5, star[50::60, 45::60].shape)
    image = (star + rng.normal(0, np.sqrt(SKY + star))).astype(np.float32)
    image[3:5, 10:200] = np.nan
    image[10, 10:20] = 0.0
    wcs = SkyWcs.from_polynomial(
        crpix=(300.0, 250.0), crval=(150.0, 2.0), cd=np.diag([-1e-4, 1e-4]), sip_a=np.diag([0, 1e-6]), sip_b=[[0.0]]
    )
    return Exposure(
        image=Image(image, box),
        mask=Mask.empty(box).with_plane("SAT", star > 1e5).with_plane("VIGNETTED", np.isnan(image)),
        variance=Image((SKY + star).astype(np.float32), box),
        psf=GaussianMixturePsf([0.8, 0.2], [2.0, 9.0], [2.1, 9.0], [0.1, 0.0], 25),
        wcs=wcs,
        photo_calib=PhotoCalib(
            scale=3.7, scale_err=0.01, spatial=Polynomial2D([[1.0, 0.1], [0.2, 0.0]]), half_size=300.0
        ),
        background=Background(rng.normal(100, 1, [-(-n // 128) for n in box.shape]), box, 128),
        aperture_corrections={"ap06Flux": ApertureCorrection(value=1.05, err=0.001)},
        noise=NoiseAutocorrelation.from_filter(np.ones((2, 2))),
        band="r",
        physical_filter="VR",
        visit_info=VisitInfo(visit=2019032600132, mjd_tai=58568.1, object="Δ object", exposure_time_s=300.0),
        detector=4,
        inputs=({"visit": 3, "weight": 0.5},),
        valid_polygon=Polygon.from_box(box),
        metadata={"n_stars": np.int64(12), "note": "a", "scales": np.array([1.0, 2.0])},
    )


@pytest.fixture(scope="module")
def exposure():
    return make_exposure()


@pytest.fixture
def path(exposure, tmp_path):
    write_exposure(exposure, tmp_path / "e.fits")
    return tmp_path / "e.fits"


def test_parts_survive_exactly(exposure, path):
    back = read_exposure(path)
    for name in ("wcs", "photo_calib", "visit_info", "band", "physical_filter", "detector", "unit", "inputs"):
        assert getattr(back, name) == getattr(exposure, name), name
    assert back.psf.content_hash() == exposure.psf.content_hash()
    assert back._part_states() == exposure._part_states()
    assert back.mask.content_hash() == exposure.mask.content_hash()
    assert back.metadata == {"n_stars": 12, "note": "a", "scales": [1.0, 2.0]}
    assert back.bbox == BOX


def test_pixels_move_by_less_than_a_32nd_of_the_noise(exposure, path):
    back = read_exposure(path)
    np.testing.assert_array_equal(np.isnan(back.image.array), np.isnan(exposure.image.array))
    assert np.nanmax(np.abs(back.image.array - exposure.image.array)) <= np.sqrt(SKY) / 32 * 1.01
    assert (back.image.array[10, 10:20] == 0.0).all()
    assert np.abs(back.variance.array / exposure.variance.array - 1).max() < 1e-3


def test_sums_of_pixels_are_not_biased(tmp_path):
    box, shifts = Box.from_shape((1024, 1024)), []
    for seed in range(3):
        before = make_exposure(seed, box)
        write_exposure(before, tmp_path / "e.fits", seed=seed)
        shift = (read_exposure(tmp_path / "e.fits", component="image").array - before.image.array).astype(float)
        shifts.append(np.nan_to_num(shift).reshape(128, 8, 128, 8).sum(axis=(1, 3)).ravel())
    in_sigma = np.concatenate(shifts) / (8 * np.sqrt(SKY))  # of an 8 x 8 aperture
    assert abs(in_sigma.mean()) < 4 * in_sigma.std() / in_sigma.size**0.5
    assert in_sigma.std() < 1 / 16 / 12**0.5 * 1.05


def test_hash_of_what_was_read_is_stable(exposure, path, tmp_path):
    once = read_exposure(path)
    assert read_exposure(path).content_hash() == once.content_hash()
    for name in ("again.fits", "and_again.fits"):
        write_exposure(once, tmp_path / name)
    again = read_exposure(tmp_path / "again.fits")
    assert again.content_hash() == read_exposure(tmp_path / "and_again.fits").content_hash()
    # Parts and mask do not change by being copied; pixels move by less than half a step each time.
    assert again._part_states() == once._part_states()
    assert again.mask.content_hash() == once.mask.content_hash()
    assert np.nanmax(np.abs(again.image.array - once.image.array)) <= np.sqrt(SKY) / 32 * 1.01


def test_equal_exposures_give_equal_bytes(exposure, path, tmp_path):
    write_exposure(make_exposure(), tmp_path / "other.fits")
    assert (tmp_path / "other.fits").read_bytes() == path.read_bytes()


def test_hash_sees_every_part(exposure):
    changed = [
        exposure.replace(image=Image(exposure.image.array + 1, BOX)),
        exposure.replace(mask=exposure.mask.without_plane("SAT")),
        exposure.replace(variance=Image(exposure.variance.array + 1, BOX)),
        exposure.replace(wcs=exposure.wcs.shifted(dx=1, dy=0)),
        exposure.replace(psf=None),
        exposure.replace(photo_calib=None),
        exposure.replace(background=None),
        exposure.replace(noise=None),
        exposure.replace(aperture_corrections={}),
        exposure.replace(valid_polygon=None),
        exposure.replace(band="g"),
    ]
    assert len({e.content_hash() for e in [exposure, *changed]}) == len(changed) + 1
    assert exposure.replace(metadata={}).content_hash() == exposure.content_hash()


@pytest.mark.parametrize("limits", [[300, 310, 240, 260], [40, 41, -30, -29], [40, 640, -30, 670], [290, 560, 0, 100]])
def test_cutouts_are_the_same_pixels(path, limits):
    box = Box.from_list(limits)
    whole, cutout = read_exposure(path), read_exposure(path, box=box)
    assert cutout.content_hash() == whole.subset(box).content_hash()
    assert read_exposure(path, component="mask", box=box).content_hash() == whole.mask.subset(box).content_hash()


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")
def test_components_do_not_need_the_pixels(exposure, path, monkeypatch):
    monkeypatch.setattr("astropy.io.fits.CompImageHDU.data", property(lambda self: pytest.fail("pixels were read")))
    assert read_exposure(path, component="wcs") == exposure.wcs
    assert read_exposure(path, component="bbox") == BOX
    assert read_exposure(path, component="psf").content_hash() == exposure.psf.content_hash()
    assert read_exposure(path, component="aperture_corrections")["ap06Flux"].value == 1.05


def test_astropy_sees_an_ordinary_image_with_its_wcs(exposure, path):
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus[1:5]] == ["IMAGE", "MASK", "VARIANCE", "PARTS"]
        ra, dec = WCS(hdus["IMAGE"].header).all_pix2world(330.0, 210.0, 0)
        assert hdus["IMAGE"].header["BUNIT"] == "nJy"
    np.testing.assert_allclose((ra, dec), exposure.wcs.pixel_to_sky(x=300.0, y=250.0), rtol=1e-12)
    assert fits.getdata(path).shape == BOX.shape


def test_a_bare_exposure_survives_without_loss_where_there_is_no_variance(tmp_path):
    pixels = np.random.default_rng(0).normal(size=(5, 9)).astype(np.float32)
    box = Box.from_shape((5, 9))
    bare = Exposure(image=Image(pixels), mask=Mask.empty(box), variance=Image.full(box), unit="")
    write_exposure(bare, tmp_path / "bare.fits")
    assert read_exposure(tmp_path / "bare.fits").content_hash() == bare.content_hash()
    assert read_exposure(tmp_path / "bare.fits", component="wcs") is None


@pytest.mark.parametrize("value", [np.inf, -np.inf, 3e38])
def test_wild_pixels_do_not_harm_the_others(exposure, tmp_path, value):
    array = exposure.image.array.copy()
    array[300, 300] = value
    write_exposure(exposure.replace(image=Image(array, BOX)), tmp_path / "wild.fits")
    back = read_exposure(tmp_path / "wild.fits", component="image").array
    assert back[300, 300] == np.float32(value)
    assert np.nanmax(np.abs(np.delete(back - exposure.image.array, 300, axis=0))) < 1


def test_remote_files_go_through_fsspec(exposure, path):
    write_exposure(exposure, "memory://folder/e.fits")
    assert read_exposure("memory://folder/e.fits", box=BOX.dilated(-250)).content_hash() == (
        read_exposure(path, box=BOX.dilated(-250)).content_hash()
    )


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")
@pytest.mark.parametrize("keep", [0, 100, 5000, 0.3, 0.6, 0.95, 0.999])
def test_truncated_files_are_refused_in_one_line(path, keep):
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
    with pytest.raises(InputError, match=r"e\.fits") as caught:
        read_exposure(path)
    assert "\n" not in str(caught.value)


def test_foreign_and_newer_files_are_refused(path, tmp_path):
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "foreign.fits")
    with pytest.raises(InputError, match="not an etendue exposure"):
        read_exposure(tmp_path / "foreign.fits")
    fits.setval(path, "ETSCHEMA", value=99)
    with pytest.raises(InputError, match="99"):
        read_exposure(path)
    with pytest.raises(InputError, match="no such file"):
        read_exposure(tmp_path / "absent.fits")


def test_wrong_requests_name_the_value(path):
    with pytest.raises(InputError, match="colour"):
        read_exposure(path, component="colour")
    with pytest.raises(InputError, match=r"\[0, 9999"):
        read_exposure(path, box=Box.from_shape((9999, 9999)))


def test_a_failed_write_leaves_the_old_file(exposure, path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(fits.HDUList, "writeto", lambda self, stream: (stream.write(b"x"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        write_exposure(exposure, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["e.fits"]


def test_unwritable_places_are_named(exposure, tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        write_exposure(exposure, tmp_path / "nowhere" / "e.fits")
