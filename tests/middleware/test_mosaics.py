"""Files that hold several frames become several datasets: of many detectors, or of the snaps of a cube."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from astropy.io import fits
from lsst.daf.butler import Butler

from etendue.camera.camera import Camera
from etendue.middleware.formatters import camera_folders
from etendue.middleware.repository import Repository

HEAD = """
name: tiny
plate_scale: 1.0
filters: [{physical_filter: r, band: r}]
kinds: {ccd: {pixel_size_mm: 0.01, amplifiers: {grid: [1, 1], segment: [60, 40], data: '[1:60,1:40]'}}}
detectors:
  - {kind: ccd, columns: [id, name, x_mm, y_mm, purpose], rows: [[3, N1, -0.5, 0, science], [4, N2, 0.5, 0, wavefront]]}
header:
  match: {INSTRUME: tiny}
  time: {date: [DATE-OBS]}
  exposure_time: {keywords: [EXPTIME]}
  sequence: {keywords: [SEQNUM]}
  observation_type: {keywords: [KIND]}
  observation_id: {keywords: [OBSID]}
  detector: {keywords: [CCDNUM]}
  ra: {keywords: [RA], unit: deg}
  dec: {keywords: [DEC], unit: deg}
"""
CARDS: dict[str, Any] = {"INSTRUME": "tiny", "DATE-OBS": "2024-05-06T07:08:09", "EXPTIME": 30.0, "SEQNUM": 5,
                         "KIND": "science", "RA": 150.0, "DEC": 2.0, "OBSID": "ct5"}  # fmt: skip
PIXELS = np.arange(2400, dtype=np.uint16).reshape(40, 60)


@pytest.fixture(autouse=True)
def _only_the_cameras_of_this_test() -> None:
    camera_folders.clear()  # other tests of this process register cameras of the same name


def mosaic_file(path: Path) -> Path:
    hdus = [fits.PrimaryHDU(header=fits.Header(CARDS))]
    for number in (63, 3, 4):  # 63 is a guider that nobody described
        hdus.append(fits.ImageHDU(PIXELS + number, fits.Header({"CCDNUM": number})))
    fits.HDUList(hdus).writeto(path)
    return path


def repository(folder: Path, files: str) -> Repository:
    home = Repository.create(folder / "repo")
    home.register_camera(Camera.from_yaml(HEAD + files))
    return home


@pytest.mark.parametrize("transfer", ["copy", "link", "direct"])
def test_one_file_becomes_a_dataset_of_every_detector(
    tmp_path: Path, transfer: Literal["copy", "link", "direct"]
) -> None:
    home = repository(tmp_path, "files: {detectors: many}\n")
    path = mosaic_file(tmp_path / "a.fits")
    outcomes = home.ingest([path], transfer=transfer)
    assert [(o.status, o.exposure, o.detector) for o in outcomes] == [
        ("ingested", 2024050600005, 3), ("ingested", 2024050600005, 4),
    ]  # fmt: skip
    assert [o.status for o in home.ingest([path], transfer=transfer)] == ["already there"] * 2
    assert [o.defined for o in home.define_visits()] == [True]
    stock = Butler.from_config(str(tmp_path / "repo"), collections=["tiny/raw/all"])  # what Rubin's tools see
    refs = stock.query_datasets("raw", with_dimension_records=True)
    assert len({stock.getURI(ref) for ref in refs}) == 1
    for ref in refs:
        raw = stock.get(ref)
        assert raw.detector_id == ref.dataId["detector"]
        np.testing.assert_array_equal(raw.array, PIXELS + raw.detector_id)
    assert {ref.dataId.exposure.obs_id for ref in refs} == {"ct5"}
    purposes = {r.id: r.purpose for r in stock.query_dimension_records("detector", instrument="tiny")}
    assert purposes == {3: "SCIENCE", 4: "WAVEFRONT"}
    regions = stock.query_dimension_records("visit_detector_region", instrument="tiny", visit=2024050600005)
    assert len(regions) == 2


def test_removing_one_detector_leaves_the_file_of_the_others(tmp_path: Path) -> None:
    home = repository(tmp_path, "files: {detectors: many}\n")
    home.ingest([mosaic_file(tmp_path / "a.fits")], transfer="copy")
    one, other = home.query("raw", collections="tiny/raw/all")
    with home.writing() as butler:
        butler.pruneDatasets([one], disassociate=True, unstore=True, purge=True)
    assert home.get(other).array[0, 0] == 4


def test_planes_of_a_cube_become_exposures_of_one_group(tmp_path: Path) -> None:
    home = repository(tmp_path, "files: {cube: {snaps: 2, gap_s: 2}}\n")
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.stack([PIXELS, PIXELS + 1]), fits.Header(CARDS | {"CCDNUM": 3})).writeto(path)
    outcomes = home.ingest([path])
    assert [o.exposure for o in outcomes] == [2024050600010, 2024050600011]
    refs = home.query("raw", collections="tiny/raw/all")
    assert [home.get(ref).array[0, 0] for ref in refs] == [0, 1]
    records = home.butler.query_dimension_records("exposure", instrument="tiny")
    assert len({record.group for record in records}) == 1
    assert {record.obs_id for record in records} == {
        "2024050600010",
        "2024050600011",
    }  # one OBSID for two is not unique
    assert [o.defined for o in home.define_visits()] == [True, True]  # one visit each, as in Rubin's one-to-one


def test_a_file_with_one_bad_frame_keeps_its_good_ones(tmp_path: Path) -> None:
    home = repository(tmp_path, "files: {detectors: many}\n")
    path = tmp_path / "a.fits"
    hdus = [fits.PrimaryHDU(header=fits.Header(CARDS)), fits.ImageHDU(PIXELS, fits.Header({"CCDNUM": 3})),
            fits.ImageHDU(PIXELS[:5], fits.Header({"CCDNUM": 4}))]  # fmt: skip
    fits.HDUList(hdus).writeto(path)
    good, bad = home.ingest([path])
    assert (good.status, bad.status) == ("ingested", "refused")
    assert "wrong size for detector N2" in bad.reason
