"""Headers become `ObservationInfo`, and back."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.camera.airmass import airmass_of_altitude, altitude_of
from etendue.camera.frame_override import FrameOverride
from etendue.camera.header_field import read_number, write_value
from etendue.camera.header_spec import FieldSpec
from etendue.camera.header_wcs import write_wcs_cards
from etendue.camera.header_writer import write_header
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.shipped import identify_camera, load_camera
from etendue.camera.translate import translate
from etendue.errors import InputError
from etendue.geom.sky_wcs import SkyWcs

LOWELL: dict[str, Any] = {
    "LCAMMOD": "nasa42",
    "LTELMOD": "hall",
    "DATE-OBS": "2019-03-26",
    "UTCSTART": "02:58:25.38",
    "EXPTIME": 300.0,
    "OBSTYPE": "OBJECT",
    "OBSERNO": 132,
    "FILTNAME": "VR",
    "RA": "08:18:29.9",
    "DEC": "+25:20:01",
    "AIRMASS": 1.02,
    "AGAIN_01": 4.95,
    "ARDNS_01": 9.3,
    "DETTEMP": -102.25,
}


def test_a_lowell_header_is_translated() -> None:
    camera = identify_camera(LOWELL)
    assert camera is load_camera("lowell42")
    info = translate(LOWELL, camera, "raw/20190326.0132.fits.fz")
    assert (info.exposure_id, info.day_obs, info.seq) == (2019032600132, 20190326, 132)
    assert (info.observation_type, info.physical_filter, info.band) == ("science", "VR", "VR")
    assert info.mjd_tai_mid == pytest.approx(58568.125640972 + 37.0 / 86400.0, abs=1e-8)  # the header's MIDTIMJD
    assert (info.ra_deg, info.dec_deg) == pytest.approx((124.624583, 25.333611), abs=1e-6)
    assert (info.header_gain, info.header_read_noise, info.temperature_c) == (4.95, 9.3, -102.25)


def test_pointing_and_plate_scale_give_an_approximate_wcs_where_the_header_has_none() -> None:
    info = translate(LOWELL, load_camera("lowell42"))
    assert info.wcs_is_approximate
    assert info.wcs is not None
    ra, dec = info.wcs.pixel_to_sky(x=682.0, y=684.5)
    assert (float(ra), float(dec)) == pytest.approx((info.ra_deg, info.dec_deg))
    assert float(info.wcs.pixel_scale()) == pytest.approx(1.108)


def test_the_header_wcs_is_moved_to_trimmed_pixels() -> None:
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": "124.6", "CRVAL2": "25.3", "CRPIX1": "716.0"}
    cards |= {"CRPIX2": "685.0", "CD1_1": "-3e-4", "CD1_2": "0", "CD2_1": "0", "CD2_2": "3e-4"}
    info = translate(LOWELL | cards, load_camera("lowell42"))
    assert info.wcs is not None
    assert not info.wcs_is_approximate
    assert info.wcs.crpix == (698.0, 684.0)  # 17 prescan columns less, counted from 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"EXPTIME": None}, "exposure time"),
        ({"EXPTIME": "long"}, "EXPTIME is no number"),
        ({"EXPTIME": -1.0}, "exposure time"),
        ({"DATE-OBS": None}, "DATE-OBS is missing"),
        ({"UTCSTART": None}, "no time of day"),
        ({"FILTNAME": "Halpha"}, "known: VR"),
        ({"FILTNAME": None}, "FILTNAME or FILTER is missing"),
        ({"OBSTYPE": "TEAPOT"}, "no known observation type"),
        ({"OBSERNO": 123456}, "OBSERNO"),
        ({"EXPTIME": 1e30}, "exposure time"),
        ({"DATE-OBS": "1999-12-31"}, "is not between 2000 and 2089"),
        ({"DATE-OBS": "9999-12-31"}, "is not between 2000 and 2089"),
        ({"DATE-OBS": "0000-00-00"}, "is no date"),
        ({"RA": "99:99:99"}, "no place on the sky"),
        ({"DEC": -123.0}, "no place on the sky"),
    ],
)
def test_bad_headers_are_refused_with_file_and_keyword(change: dict[str, Any], words: str) -> None:
    header = {key: value for key, value in (LOWELL | change).items() if value is not None}
    with pytest.raises(InputError, match=words) as caught:
        translate(header, load_camera("lowell42"), Path("night/frame.fits"))
    assert "night/frame.fits" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "cards",
    [
        {"CD1_1": 1.0, "CD2_2": 1.0},
        {"CD1_1": 1e-300, "CD2_2": 1e-300},
        {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 9, "B_ORDER": 9, "A_9_0": 1e30, "B_0_9": 1e30},
    ],
)
def test_a_wcs_of_absurd_size_is_refused(cards: dict[str, Any]) -> None:
    sound = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 124.6, "CRVAL2": 25.3, "CRPIX1": 716.0}
    sound |= {"CRPIX2": 685.0, "CD1_1": -3e-4, "CD1_2": 0, "CD2_1": 0, "CD2_2": 3e-4}
    translate(LOWELL | sound, load_camera("lowell42"))
    with pytest.raises(InputError, match=r"makes the image|invertible"):
        translate(LOWELL | sound | cards, load_camera("lowell42"))


def test_no_frame_is_refused_for_what_is_only_told() -> None:
    odd = dict.fromkeys(("DETTEMP", "AGAIN_01", "ARDNS_01", "AIRMASS"), "n/a")
    info = translate(LOWELL | odd, load_camera("lowell42"))
    assert math.isnan(info.temperature_c + info.header_gain)
    assert math.isnan(info.header_read_noise)
    assert info.airmass == pytest.approx(1.02, abs=0.02)  # from position and time


def test_what_a_photodiode_saw_is_read_where_the_camera_names_its_card() -> None:
    assert math.isnan(translate(LOWELL, load_camera("lowell42")).lamp_monitor)
    camera = load_camera("lowell42")
    monitor = FieldSpec(keywords=("PDCHARGE",), factor=1e9)
    camera = camera.model_copy(update={"header": camera.header.model_copy(update={"lamp_monitor": monitor})})
    info = translate(LOWELL | {"PDCHARGE": "2.5e-7"}, camera)
    assert info.lamp_monitor == pytest.approx(250.0)
    assert write_header(info, camera)["PDCHARGE"] == pytest.approx(2.5e-7)


@pytest.mark.parametrize("kind", ["BIAS", "SKYFLAT"])
def test_an_absurd_pointing_is_unknown_where_it_is_not_needed(kind: str) -> None:
    info = translate(LOWELL | {"DEC": "-123:00:00", "OBSTYPE": kind}, load_camera("lowell42"))
    assert math.isnan(info.ra_deg)
    assert math.isnan(info.dec_deg)


def test_the_folder_tells_the_type_where_the_header_is_silent() -> None:
    header = {key: value for key, value in LOWELL.items() if key != "OBSTYPE"}
    camera = load_camera("lowell42")
    kinds = {
        folder: translate(header, camera, f"x/{folder}/f.fits").observation_type for folder in ("Flats", "bias", "m31")
    }
    assert kinds == {"Flats": "flat", "bias": "bias", "m31": "science"}


def test_a_camera_without_sequence_numbers_uses_the_second_of_the_night() -> None:
    header = {"CREATOR": "MicroObservatory2014", "UT-OBS": "2017-12-20T01:33:43.317-0000", "EXPTIME": 60.0}
    header |= {"FILTER": "Clear", "RA": 31.312099, "DEC": 46.769087, "TELALT": 62.592, "CAMTEMP": 271.0}
    camera = identify_camera(header)
    assert camera is not None
    info = translate(header, camera)
    assert info.exposure_id == 20171220 * 100000 + (1 + 5) * 3600 + 33 * 60 + 43
    assert info.ra_deg == 31.312099
    assert info.airmass == pytest.approx(1.126, abs=1e-3)
    assert info.temperature_c == pytest.approx(-2.15)
    assert math.isnan(translate(header | {"CAMTEMP": -1}, camera).temperature_c)


@pytest.mark.parametrize("name", ["lowell42", "microobservatory", "simcam", "simcam4", "simcam9"])
def test_a_written_header_is_read_back(name: str) -> None:
    camera = load_camera(name)
    info = ObservationInfo(
        instrument=name,
        detector_id=camera.detectors[-1].id,
        exposure_id=2025093000017,
        day_obs=20250930,
        seq=17,
        observation_type="science",
        physical_filter=camera.filters[0].physical_filter,
        band=camera.filters[0].band,
        exposure_time_s=90.0,
        mjd_tai_begin=60948.5 + 37.0 / 86400.0,
        mjd_tai_end=60948.5 + 127.0 / 86400.0,
        ra_deg=330.1,
        dec_deg=-29.9,
        airmass=1.02,
        object="field",
        header_gain=1.5,
        header_read_noise=5.0,
        temperature_c=-100.0,
    )
    back = translate(write_header(info, camera), camera)
    for field in ("detector_id", "observation_type", "physical_filter", "band", "object", "day_obs"):
        assert getattr(back, field) == getattr(info, field)
    for field in ("exposure_time_s", "ra_deg", "dec_deg", "temperature_c"):
        assert getattr(back, field) == pytest.approx(getattr(info, field), abs=1e-6)
    assert back.mjd_tai_begin == pytest.approx(info.mjd_tai_begin, abs=1e-8)
    if camera.header.sequence.keywords:
        assert dataclasses.replace(back, wcs=None, wcs_is_approximate=False).seq == info.seq
    wcs = SkyWcs((300.5, 200.25), (31.0, 46.7), 1e-4 * np.array([[-3.0, 0.2], [0.1, 3.0]]))
    cards = write_wcs_cards(wcs, camera, camera.detectors[-1])
    placed = translate(write_header(info, camera), camera, override=FrameOverride(exposure=0, detector=0, wcs=cards))
    assert placed.wcs is not None
    np.testing.assert_allclose(placed.wcs.pixel_to_sky(x=10.0, y=900.0), wcs.pixel_to_sky(x=10.0, y=900.0), atol=1e-11)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("-00:30:36", "deg", -0.51),
        ("08 18 29.9", "hour", 124.624583),
        (" 1.5 ", "min", 90.0),
        (250, "ms", 0.25),
        (271.0, "K", -2.15),
        (50.0, "F", 10.0),
    ],
)
def test_numbers_come_in_etendue_units_and_go_back(value: Any, unit: Any, expected: float) -> None:
    spec = FieldSpec(keywords=("KEY",), unit=unit)
    number = read_number({"KEY": value}, spec)
    assert number == pytest.approx(expected, abs=1e-5)
    assert read_number(write_value(number, spec), spec) == pytest.approx(number, abs=1e-6)


def test_airmass_follows_the_secant_high_up_and_stays_finite_at_the_horizon() -> None:
    altitudes = np.array([90.0, 60.0, 30.0])
    np.testing.assert_allclose(
        [airmass_of_altitude(a) for a in altitudes], 1 / np.sin(np.radians(altitudes)), rtol=4e-3
    )
    assert 30.0 < airmass_of_altitude(0.01) < 45.0
    assert math.isnan(airmass_of_altitude(-1.0))


def test_altitude_agrees_with_the_telescope() -> None:
    site = load_camera("microobservatory").observatory
    assert site is not None
    altitude = altitude_of(31.312099, 46.769087, 58107.065, site)
    assert altitude == pytest.approx(62.592, abs=0.5)


def test_the_y_axis_points_to_the_rotation_from_north_through_east() -> None:
    camera = load_camera("simcam")
    header = {"INSTRUME": "simcam", "DATE-OBS": "2025-10-02T01:02:03", "EXPTIME": 90.0, "IMGTYPE": "OBJECT",
              "SEQNUM": 3, "FILTER": "r_sim", "CCDNUM": 0, "RA": "22:00:24", "DEC": "-29:54:00",
              "ROTPA": 30.0}  # fmt: skip
    wcs = translate(header, camera).wcs
    assert wcs is not None
    (ra0, ra1), (dec0, dec1) = wcs.pixel_to_sky(x=np.array([0.0, 0.0]), y=np.array([0.0, 1000.0]))
    east, north = (ra1 - ra0) * math.cos(math.radians(dec0)), dec1 - dec0
    assert math.degrees(math.atan2(east, north)) == pytest.approx(30.0, abs=0.2)
