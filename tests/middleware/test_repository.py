import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from frames import CAMERA, NIGHT, write_frame
from lsst.pipe.base import Instrument

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.skymap import SingleTractSkyMap
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.middleware.configuration import Places
from etendue.middleware.repository import Repository


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survey")
    repository = Repository.create(folder / "repo")
    repository.register_camera(CAMERA)
    write_frame(folder / "raw", 1, "bias")
    write_frame(folder / "raw", 2, "science")
    write_frame(folder / "raw", 2, "science", detector=1)
    return folder


@pytest.fixture
def survey(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "survey")
    return tmp_path / "survey"


def test_ingest_is_idempotent_and_says_why_it_refuses(survey):
    repository = Repository.open(survey / "repo")
    frames = sorted((survey / "raw").iterdir())
    broken = survey / "raw" / "broken.fits"
    broken.write_bytes(frames[0].read_bytes()[:1000])
    first = repository.ingest([*frames, broken])
    assert [o.status for o in first] == ["ingested"] * 3 + ["refused"]
    assert "broken.fits" in first[-1].reason
    assert first[0].observation_type == "bias"
    again = repository.ingest(frames)
    assert [o.status for o in again] == ["already there"] * 3
    other = write_frame(survey / "other", 2, "science")
    other.write_bytes(other.read_bytes().replace(b"\x83", b"\x84"))
    assert "is already there from" in repository.ingest([other])[0].reason
    assert (
        len(repository.query("raw", collections="simcam/raw/all", where="exposure.observation_type = 'science'")) == 2
    )


@pytest.mark.parametrize("transfer", ["copy", "link", "direct"])
def test_raws_are_read_back_with_their_translation(survey, transfer):
    repository = Repository.open(survey / "repo")
    repository.ingest(sorted((survey / "raw").iterdir()), transfer=transfer)
    [ref] = repository.query("raw", collections="simcam/raw/all", where="exposure.observation_type = 'bias'")
    frame = repository.get(ref)
    assert frame.array[0, 0] == 1001
    assert frame.info.observation_type == "bias"


@pytest.mark.parametrize("transfer", ["copy", "link", "direct"])
@pytest.mark.parametrize("name", ["100% #1? ünïcode 星.fits", "Mixed.Fits", "no_ending", "dots.in.the.name.fts"])
def test_a_file_may_be_called_anything(survey, transfer, name):
    repository = Repository.open(survey / "repo")
    odd = (survey / "raw" / "frame1_0.fits").rename(survey / "raw" / name)
    assert repository.ingest([odd], transfer=transfer)[0].status == "ingested"
    [ref] = repository.query("raw", collections="simcam/raw/all")
    assert repository.get(ref).array[0, 0] == 1001
    assert repository.ingest([odd], transfer=transfer)[0].status == "already there"


def test_visits_get_regions_of_their_detectors(survey):
    repository = Repository.open(survey / "repo")
    repository.ingest((survey / "raw").iterdir())
    outcomes = repository.define_visits()
    assert [(o.exposure, o.defined) for o in outcomes] == [(NIGHT * 100000 + 2, True)]
    assert repository.define_visits() == ()
    records = repository.butler.query_dimension_records("visit_detector_region", instrument="simcam")
    assert sorted(r.detector for r in records) == [0, 1]
    sizes = [np.degrees(2 * r.region.getBoundingCircle().getOpeningAngle().asRadians()) for r in records]
    assert sizes == pytest.approx([1124 * 2**0.5 * 0.5 / 3600] * 2, rel=0.01)


def test_visits_meet_the_patches_of_a_registered_skymap(survey):
    repository = Repository.open(survey / "repo")
    repository.ingest((survey / "raw").iterdir())
    repository.define_visits()
    skymap = SingleTractSkyMap(ra_deg=150.0, dec_deg=2.0, half_size_deg=0.3, pixel_scale=0.5, patch_size=1000)
    repository.register_skymap(skymap, "field")
    repository.register_skymap(skymap, "field")
    assert repository.get("skyMap", {"skymap": "field"}, collections="skymaps") == skymap
    where = "instrument = 'simcam' AND skymap = 'field' AND visit.seq_num = 2"
    with repository.butler.query() as query:
        pairs = {(d["detector"], d["patch"]) for d in query.where(where).data_ids(["visit", "detector", "patch"])}
    assert 0 < len(pairs) < 2 * skymap.tract().n_patches
    with pytest.raises(InputError, match="another skymap has this name"):
        repository.register_skymap(replace(skymap, patch_size=500), "field")


def test_cameras_are_found_by_name_in_the_repository(survey):
    repository = Repository.open(survey / "repo")
    repository.register_camera(CAMERA)
    assert repository.cameras() == ["simcam"]
    assert repository.camera() == CAMERA
    assert repository.get("camera", {"instrument": "simcam"}, collections="simcam/calib") == CAMERA
    changed = CAMERA.model_copy(update={"plate_scale": 0.4})
    with pytest.raises(InputError, match="a different camera of this name"):
        repository.register_camera(changed)
    repository.register_camera(changed, update=True)
    assert repository.camera("simcam").plate_scale == 0.4
    instrument = Instrument.fromName("simcam", repository.butler.registry)
    assert instrument.getName() == "simcam"
    with pytest.raises(InputError, match="no such camera"):
        repository.camera("unheard_of")


def exposure() -> Exposure:
    box = Box.from_shape((300, 280), y0=10, x0=20)
    rng = np.random.default_rng(1)
    plane = rng.normal(size=box.shape).astype(np.float32)
    wcs = SkyWcs.tan(crpix_x=100, crpix_y=100, crval_ra_deg=10, crval_dec_deg=5, cd=[[-1e-4, 0], [0, 1e-4]])
    variance = Image(np.ones(box.shape, np.float32), box)
    return Exposure(image=Image(plane, box), mask=Mask(np.zeros(box.shape, np.int32), box), variance=variance, wcs=wcs)


def test_exposures_give_components_and_cutouts(survey):
    repository = Repository.open(survey / "repo")
    repository.register_dataset_type("bias", ("instrument", "detector"), "EtendueExposure", calibration=True)
    original = exposure()
    ref = repository.put(original, "bias", {"instrument": "simcam", "detector": 0}, run="made")
    box = Box.from_list([50, 60, 100, 130])
    assert repository.get(ref, component="bbox") == original.bbox
    assert repository.get(ref, component="wcs").content_hash() == original.wcs.content_hash()
    assert repository.get(ref, component="psf") is None
    assert repository.get(ref, component="image", box=box).array.shape == (10, 30)
    cut = repository.get(ref, box=box)
    assert cut.bbox == box
    np.testing.assert_allclose(cut.image.array, original.image.subset(box).array, atol=0.05)
    assert repository.certify(["bias", "flat"], run="made", begin_mjd_tai=61000.0) == 1
    repository.put(original, "bias", {"instrument": "simcam", "detector": 0}, run="again")
    with pytest.raises(InputError, match="overlaps the validity"):
        repository.certify(["bias"], run="again", begin_mjd_tai=61100.0)
    assert repository.certify(["bias"], run="again", begin_mjd_tai=61100.0, replace=True) == 1


def test_bad_repositories_are_told_in_one_line(tmp_path):
    with pytest.raises(InputError, match="is not a repository"):
        Repository.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not an empty folder"):
        Repository.create(tmp_path)
    with pytest.raises(InputError, match="cannot create a repository"):
        Repository.create(tmp_path / "remote", Places(database="postgresql://nobody@localhost:1/none"))
    assert not (tmp_path / "remote").exists()


def test_a_read_only_repository_cannot_be_written(survey):
    repository = Repository.open(survey / "repo", writeable=False)
    with pytest.raises(InputError, match="read-only"):
        repository.ingest((survey / "raw").iterdir())
