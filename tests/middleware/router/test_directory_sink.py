import os
import uuid

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from etendue import faults
from etendue.errors import InputError
from etendue.middleware.router.directory_sink import file_name
from etendue.middleware.router.event import PutEvent

RULES = """
sinks: {files: {kind: directory, path: files%s}}
rules: [{name: some, datasets: %s, sinks: files}]
"""
FLAT = ', layout: "{dataset_type}_{exposure}_{detector}"'


def rules(extra=FLAT, datasets="picture"):
    return RULES % (extra, datasets)


def test_files_have_readable_names_and_the_bytes_of_the_source(routing, files):
    ref = routing.picture(2, 1)
    routing.once(rules(""))
    [path] = [path for path in files.rglob("*") if path.is_file()]
    assert path.relative_to(files).as_posix() == f"picture/toy_1_2_{ref.id.hex[-8:]}.fits"
    with open(routing.repository.butler.getURI(ref).ospath, "rb") as stream:  # noqa: PTH123
        assert path.read_bytes() == stream.read()


def test_images_can_be_written_without_compression(routing, files):
    ref = routing.picture(2, 1)
    routing.once(rules(FLAT + ", uncompressed: true"))
    with fits.open(files / "picture_2_1.fits") as hdus:
        assert not any(isinstance(hdu, fits.CompImageHDU) for hdu in hdus)
        np.testing.assert_array_equal(hdus["IMAGE"].data, routing.repository.get(ref).image.array)


def test_of_datasets_with_one_name_the_newest_stays(routing, files):
    routing.picture(2, run="toy/run1", seed=1)
    newest = routing.picture(2, run="toy/run2", seed=2)
    routing.once(rules())
    with open(routing.repository.butler.getURI(newest).ospath, "rb") as stream:  # noqa: PTH123
        assert (files / "picture_2_0.fits").read_bytes() == stream.read()
    assert routing.status()["files"].counts == {"done": 1, "replaced": 1, "retrying": 0}
    routing.picture(3)
    assert routing.once(rules())["files"].counts["done"] == 2


def test_a_folder_that_is_not_there_is_never_made(routing, tmp_path):
    routing.picture(2)
    status = routing.once(rules())["files"]
    assert (status.state, status.counts["waiting"]) == ("down", 1)
    assert "no such folder; make it, or mount its disk" in status.reason
    assert not (tmp_path / "files").exists()


@pytest.mark.parametrize("action", ["no-space", pytest.param("io-error", marks=pytest.mark.slow)])
def test_a_disk_that_refuses_is_waited_for(action, routing, files):
    routing.picture(2)
    faults.arm(f"router.before-named={action}")
    try:
        status = routing.once(rules())["files"]
    finally:
        faults.arm("")
    assert (status.state, status.counts["waiting"]) == ("down", 1)
    assert not list(files.glob("*.fits"))
    assert routing.once(rules())["files"].counts["done"] == 1
    assert os.listdir(files) == ["picture_2_0.fits"], "nothing half-written is left"  # noqa: PTH208


def test_a_file_of_the_source_that_cannot_be_read_stops_no_other(routing, files):
    routing.picture(1)
    bad = routing.picture(2)
    routing.picture(3)
    path = routing.repository.butler.getURI(bad).ospath
    os.unlink(path)  # noqa: PTH108
    os.mkdir(path)  # noqa: PTH102
    counts = routing.once(rules(FLAT + ", retries: {attempts: 1}"))["files"].counts
    assert (counts["done"], counts["dead"]) == (2, 1)
    assert "cannot read" in routing.queue("files").troubles("dead")[0][2]


def test_a_name_that_the_data_id_lacks_is_a_dead_letter(routing, files):
    routing.once(rules(', layout: "{visit}"', "label"))
    [(_, _, reason)] = routing.queue("files").troubles("dead")
    assert reason == "the layout names visit, which its data ID lacks"


def test_retention_deletes_files_and_empty_folders(routing, files):
    for number in (1, 2):
        routing.picture(number)
    layout = ', layout: "{exposure}/{dataset_type}"'
    size = 1e-9 * os.path.getsize(routing.repository.butler.getURI(routing.picture(3)).ospath)  # noqa: PTH202
    routing.once(rules(f"{layout}, retention: {{gigabytes: {1.5 * size}}}"))
    assert [path.relative_to(files).as_posix() for path in files.rglob("*")] == ["3", "3/picture.fits"]


@pytest.mark.parametrize("path", ["repo/files", "."])
def test_a_folder_inside_or_around_the_source_is_refused(path, routing):
    with pytest.raises(InputError, match="lie in each other"):
        routing.router(rules().replace("path: files", f"path: {path}"))


@given(st.dictionaries(st.sampled_from(["group", "object"]), st.text(max_size=30), min_size=2))
def test_no_data_id_leads_out_of_the_folder(data_id):
    event = PutEvent("r", uuid.uuid4(), 1, "raw", data_id, {}, "a/../b")
    parts = file_name("{group}/{object}_{run}", event).split("/")
    assert len(parts) == 2
    assert not any(part.startswith(".") or "\0" in part or not part for part in parts)
