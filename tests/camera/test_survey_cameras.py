"""The cameras of the big surveys read what stands in their raw headers.

The cards are facts from headers of real exposures that Rubin's astro_metadata_translator and obs_lsst test with; only
those that are read are given.
"""

from typing import Any

import pytest

from etendue.camera.camera import Camera
from etendue.camera.header_wcs import pointing_wcs
from etendue.camera.header_writer import write_header
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.shipped import identify_camera, load_camera
from etendue.camera.translate import trace_cards, translate
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.geom.wcs_header import read_wcs

DECAM: dict[str, Any] = {
    "INSTRUME": "DECam", "TELESCOP": "CTIO 4.0-m telescope", "EXPTIME": 200.0, "OBSID": "ct4m20130901t060255",
    "DATE-OBS": "2013-09-01T06:02:55.753848", "TIMESYS": "UTC", "EXPNUM": 229388, "OBSTYPE": "object",
    "OBJECT": "DES supernova hex SN-S1 tiling 22", "FILTER": "z DECam SDSS c0004 9260.0 1520.0",
    "TELRA": "02:51:16.790", "TELDEC": "-00:00:05.699", "AIRMASS": 1.57, "CCDNUM": 25, "GAINA": 4.59347726229,
    "RDNOISEA": 7.17960496096, "CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "CRVAL1": 42.819958, "CRVAL2": -0.001583,
    "CRPIX1": 2151.2, "CRPIX2": 14826.0, "CD1_1": -1.8249413473e-07, "CD1_2": 7.28535892432e-05,
    "CD2_1": -7.2849900453899e-05, "CD2_2": -1.82181666096e-07, "PV1_0": 0.0107262491558, "PV1_1": 1.03899426784,
    "PV1_2": -0.00253295758814, "PV1_4": 0.0440579429998, "PV1_5": -0.00480948264558, "PV1_6": 0.00735227852542,
    "PV1_7": 0.01641672826, "PV1_8": -0.00253592468977, "PV1_9": 0.00562233785525, "PV1_10": -0.00235436587955,
    "PV2_0": -0.000677378816994, "PV2_1": 1.01170064187, "PV2_2": -0.00154844123095, "PV2_4": -0.000974573910792,
    "PV2_5": 0.015516347937, "PV2_6": -0.00176930825331, "PV2_7": -0.00664988058298, "PV2_8": -0.00246200658752,
    "PV2_9": 0.00641298947322, "PV2_10": -0.000605534691727,
}  # fmt: skip
HSC: dict[str, Any] = {
    "DATE-OBS": "2013-11-02", "UT-STR": "06:15:55.908", "UT-END": "06:16:27.928", "MJD": 56598.26106397435,
    "EXP-ID": "HSCA90402400", "FRAMEID": "HSCA90402512", "EXPTIME": 30.0, "OBJECT": "STRIPE82L", "DATA-TYP": "OBJECT",
    "FILTER01": "HSC-i", "RA2000": "21:22:59.982", "DEC2000": "+00:30:00.07", "INST-PA": "0.000", "DET-ID": 50,
    "AIRMASS": 1.121626027604189, "ALTITUDE": 63.04359233, "T_CCDTV": -101.158, "T_GAIN1": 3.53,
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 320.749925, "CRVAL2": 0.500019444444, "CRPIX1": 1024.5,
    "CRPIX2": 4395.167, "CD1_1": 2.9e-21, "CD1_2": 4.7222222e-05, "CD2_1": -4.7222222e-05, "CD2_2": 2.9e-21,
}  # fmt: skip
MEGACAM: dict[str, Any] = {
    "EXTNAME": "ccd02", "INSTRUME": "MegaPrime", "TELESCOP": "CFHT 3.6m", "OBSTYPE": "OBJECT", "EXPNUM": 1038843,
    "OBSID": 1038843, "EXPTIME": 615.037, "DATE-OBS": "2008-11-01", "UTC-OBS": "14:33:32.40", "UTCEND": "14:44:41.96",
    "OBJECT": "w2.+2+2", "FILTER": "i.MP9702", "RA_DEG": 135.409417, "DEC_DEG": -2.4, "AIRMASS": 1.269, "TELALT": 52.02,
    "GAIN": 1.62, "RDNOISE": 4, "DETTEM": -133.13, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 135.40942,
    "CRVAL2": -2.4, "CRPIX1": -3118.8, "CRPIX2": 9640.5, "CD1_1": 5.194e-05, "CD1_2": 0.0, "CD2_1": 0.0,
    "CD2_2": -5.194e-05,
}  # fmt: skip
LSSTCAM: dict[str, Any] = {
    "INSTRUME": "lsstCam", "TELESCOP": "Simonyi Survey Telescope", "IMGTYPE": "ACQ", "TIMESYS": "TAI",
    "DATE-OBS": "2025-04-16T00:53:13.573", "DATE-BEG": "2025-04-16T00:53:13.573", "MJD-OBS": 60781.03696264839,
    "OBSID": "MC_O_20250415_000060", "GROUPID": "2025-04-16T00:53:10.143", "DAYOBS": "20250415", "SEQNUM": 60,
    "RASTART": 127.50084038794044, "DECSTART": -44.200057330111896, "ROTPA": 46.37529671133568,
    "AMSTART": 1.068223247777951, "OBJECT": "Vela_SNR", "RAFTBAY": "R01", "CCDSLOT": "S01", "FILTER": "i_39",
    "EXPTIME": 15.0, "CTYPE1A": "Seg_X",
}  # fmt: skip
COMCAM: dict[str, Any] = LSSTCAM | {
    "INSTRUME": "ComCam", "IMGTYPE": "OBJECT", "DATE-BEG": "2024-11-09T06:34:41.323",
    "OBSID": "CC_O_20241108_000266", "GROUPID": "2024-11-09T06:33:55.311", "DAYOBS": "20241108", "SEQNUM": 266,
    "RASTART": 53.312407782266014, "DECSTART": -27.994761670941685, "ROTPA": 102.79926387330579, "RAFTBAY": "R22",
    "CCDSLOT": "S00", "FILTER": "g_01", "EXPTIME": 30.0, "OBJECT": "slew_icrs",
}  # fmt: skip
LATISS: dict[str, Any] = LSSTCAM | {
    "INSTRUME": "LATISS", "TELESCOP": "LSST AuxTelescope", "IMGTYPE": "CWFS", "DATE-OBS": "2024-06-25T01:27:55.160",
    "DATE-BEG": "2024-06-25T01:27:55.160", "OBSID": "AT_O_20240624_000106", "GROUPID": "2024-06-25T01:26:31.895#1",
    "DAYOBS": "20240624", "SEQNUM": 106, "RAFTBAY": "R00", "CCDSLOT": "S00", "FILTER": "SDSSr_65mm",
    "GRATING": "empty_1", "EXPTIME": 30.0,
}  # fmt: skip
ZTF: dict[str, Any] = {  # made from what public readers of raw files say: no raw header was at hand
    "INSTRUME": "ZTF/MOSAIC", "IMGTYPE": "object", "EXPTIME": 30.0, "OBSJD": 2459116.9317592, "FILTER": "ZTF_r",
    "RAD": 150.0, "DECD": 20.0, "CCD_ID": 13,
}  # fmt: skip


def read(header: dict[str, Any]) -> tuple[Camera, ObservationInfo]:
    camera = identify_camera(header)
    assert camera is not None
    return camera, translate(header, camera)


@pytest.mark.parametrize(
    ("name", "header", "expected"),
    [
        ("decam", DECAM, (2013083129388, 25, "science", DECAM["FILTER"], "z", "ct4m20130901t060255")),
        ("hsc", HSC, (2013110204024, 50, "science", "HSC-I", "i", "HSCA90402400")),
        ("megacam", MEGACAM, (2008110138843, 2, "science", "i.MP9702", "i", "1038843")),
        ("lsstcam", LSSTCAM, (2025041500060, 1, "other", "i_39", "i", "MC_O_20250415_000060")),
        ("lsstcomcam", COMCAM, (2024110800266, 0, "science", "g_01", "g", "CC_O_20241108_000266")),
        ("latiss", LATISS, (2024062400106, 0, "focus", "SDSSr_65mm~empty_1", "r", "AT_O_20240624_000106")),
    ],
)  # fmt: skip
def test_a_real_header_is_recognised_and_read(name: str, header: dict[str, Any], expected: tuple) -> None:
    camera, info = read(header)
    assert camera.name == name
    found = (
        info.exposure_id,
        info.detector_id,
        info.observation_type,
        info.physical_filter,
        info.band,
        info.observation_id,
    )
    assert found == expected
    assert info.exposure_time_s == header["EXPTIME"]
    assert info.object == header["OBJECT"]


def test_times_are_told_in_the_scale_that_the_header_names() -> None:
    assert read(DECAM)[1].mjd_tai_begin == pytest.approx(56536.25203419 + 35.0 / 86400.0, abs=2e-8)  # its MJD-OBS
    assert read(HSC)[1].mjd_tai_begin == pytest.approx(56598.26106374757 + 35.0 / 86400.0, abs=2e-8)  # its MJD-STR
    assert read(MEGACAM)[1].mjd_tai_begin == pytest.approx(54771.606625 + 33.0 / 86400.0, abs=2e-8)
    assert read(LSSTCAM)[1].mjd_tai_begin == pytest.approx(LSSTCAM["MJD-OBS"], abs=2e-8)  # TAI already


def test_a_night_is_the_headers_where_it_gives_one() -> None:
    assert read(LSSTCAM)[1].day_obs == 20250415
    with pytest.raises(InputError, match="DAYOBS is no date within a day of the exposure"):
        read(LSSTCAM | {"DAYOBS": "20250101"})


def test_snaps_of_one_visit_share_their_group() -> None:
    assert read(LSSTCAM)[1].group == "2025-04-16T00:53:10.143"
    assert read(DECAM)[1].group == "2013083129388"


@pytest.mark.parametrize(("header", "limit_arcsec"), [(DECAM, 16.0), (MEGACAM, 16.0)])
def test_pointing_and_geometry_agree_with_the_wcs_of_a_real_header(header: dict[str, Any], limit_arcsec: float) -> None:
    """The CCD is 0.9 deg (DECam), 0.4 deg (MegaCam) off axis: orientation, parity, scale and distortion are right."""
    camera, info = read(header)
    detector = camera.detector(info.detector_id)
    ours = pointing_wcs(camera, detector, info.ra_deg, info.dec_deg, info.rotation_deg)
    assert info.wcs is not None
    assert not info.wcs_is_approximate
    x, y = detector.bbox.corners()
    apart = separation_deg(*ours.pixel_to_sky(x=x, y=y), *info.wcs.pixel_to_sky(x=x, y=y))
    assert 3600.0 * apart.max() < limit_arcsec


def test_pixels_of_hsc_are_mirrored_as_in_lsst_pipelines() -> None:
    camera, info = read(HSC)
    detector = camera.detector(50)
    assert info.wcs_is_approximate
    assert info.wcs is not None
    header = read_wcs(HSC)  # counts the light-sensitive pixels of the file, and knows no distortion
    x, y = detector.bbox.corners()
    apart = separation_deg(*info.wcs.pixel_to_sky(x=x, y=y), *header.pixel_to_sky(x=2047 - x, y=y))
    assert 3600.0 * apart.max() < 8.0


def test_the_filter_of_a_bias_is_corrected_by_the_translator() -> None:
    header = DECAM | {"OBSTYPE": "zero", "EXPTIME": 0.0}
    assert read(header)[1].physical_filter == "solid plate 0.0 0.0"


def test_published_corrections_of_single_headers_are_applied(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "DECam-ct4m20130901t060255.yaml").write_text("EXPTIME: 90.0\n")
    monkeypatch.setenv("METADATA_CORRECTIONS_PATH", str(tmp_path))
    assert read(DECAM)[1].exposure_time_s == 90.0


def test_what_the_translator_cannot_read_is_read_by_the_yaml() -> None:
    assert read(MEGACAM | {"EXTNAME": "COMPRESSED_IMAGE", "EXTVER": 7})[1].detector_id == 7
    with pytest.raises(InputError, match="no time of observation"):
        read({key: value for key, value in DECAM.items() if key != "DATE-OBS"})


def test_an_unknown_type_is_other_where_the_camera_says_so() -> None:
    assert read(LSSTCAM | {"IMGTYPE": "STUTTERED"})[1].observation_type == "other"


def test_every_card_that_counts_is_named() -> None:
    uses, info = trace_cards(DECAM, load_camera("decam"))
    assert isinstance(info, ObservationInfo)
    told = {use.quantity: (use.card, use.value) for use in uses}
    assert told["exposure_time"] == ("EXPTIME", 200.0)
    assert told["time"][0] == "DATE-OBS+TIMESYS"
    assert told["ra"] == ("TELRA", "02:51:16.790")
    assert told["rotation"] == ("constant", 90)
    uses, error = trace_cards(DECAM | {"CCDNUM": 99}, load_camera("decam"))
    assert isinstance(error, InputError)
    assert "time" in {use.quantity for use in uses}


def test_ztf_is_read_from_cards_and_from_its_file_names() -> None:
    camera, info = read(ZTF)
    assert (camera.name, info.detector_id, info.band, info.observation_type) == ("ztf", 13, "r", "science")
    bare = {key: ZTF[key] for key in ("INSTRUME", "EXPTIME", "OBSJD", "RAD", "DECD")}
    info = translate(bare, camera, "ztf_20200924431759_000655_zi_c16_o.fits.fz")
    assert (info.detector_id, info.physical_filter, info.observation_id) == (16, "ZTF_i", "20200924431759")


@pytest.mark.parametrize("header", [DECAM, HSC, MEGACAM, COMCAM, LATISS, ZTF])
def test_what_a_camera_writes_it_reads_back(header: dict[str, Any]) -> None:
    camera, info = read(header)
    again = translate(write_header(info, camera), camera)
    for name in ("exposure_id", "detector_id", "observation_type", "physical_filter", "band", "group"):
        if camera.name != "hsc" or name != "group":
            assert getattr(again, name) == getattr(info, name), name
    assert again.mjd_tai_begin == pytest.approx(info.mjd_tai_begin, abs=1e-8)
    assert (again.ra_deg, again.dec_deg) == pytest.approx((info.ra_deg, info.dec_deg), abs=1e-5)
    assert again.rotation_deg == pytest.approx(info.rotation_deg)


@pytest.mark.parametrize(
    ("name", "science", "shape"),
    [("lsstcam", 189, (4004, 4096)), ("lsstcomcam", 9, (4000, 4072)), ("latiss", 1, (4000, 4072)),
     ("decam", 62, (4096, 2048)), ("hsc", 104, (4176, 2048)), ("ztf", 16, (6160, 6144)), ("megacam", 36, (4612, 2048))],
)  # fmt: skip
def test_the_mosaics_have_the_published_numbers_of_ccds_and_pixels(name: str, science: int, shape: tuple) -> None:
    camera = load_camera(name)
    ccds = [detector for detector in camera.detectors if detector.purpose == "science"]
    assert len(ccds) == science
    assert shape in {detector.bbox.shape for detector in ccds}


def test_rubins_ids_and_places_of_detectors_are_kept() -> None:
    camera = load_camera("lsstcam")
    center = camera.detector("R22_S11")
    assert (center.id, center.center_mm) == (94, (0.0, 0.0))
    assert (camera.detector("R01_S01").id, camera.detector("R43_S22").id, camera.detector("R44_SW1").id) == (
        1,
        188,
        204,
    )
    assert camera.detector("R00_SW0").center_mm == pytest.approx((-214.25, -202.625))
    assert (load_camera("decam").detector("S1").id, load_camera("hsc").detector("1_12").id) == (25, 50)
