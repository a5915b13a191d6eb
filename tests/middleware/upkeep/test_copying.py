"""Datasets go from repository to repository with everything that makes them findable."""

import subprocess
import sys

import pytest
from frames import CAMERA
from lsst.daf.butler import Butler, CollectionType

from etendue.errors import InputError
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.check import check
from etendue.middleware.upkeep.copying import transfer
from etendue.middleware.upkeep.exporting import export, import_
from etendue.middleware.upkeep.holdings import all_datasets, holdings

pytestmark = pytest.mark.thorough

COLLECTIONS = ("toy/numbers", "toy/labels", "toy/offsets/early", "toy/offsets/late", "simcam/raw/all")


def validity(home: Repository) -> list[tuple[str, str, str]]:
    of = {CollectionType.CALIBRATION}
    found = home.butler.registry.queryDatasetAssociations("offset", "toy/certified", collectionTypes=of)
    return sorted((str(a.ref.id), a.ref.run, str(a.timespan)) for a in found)


def chains(home: Repository) -> dict[str, tuple[str, ...]]:
    return {info.name: info.children for info in home.butler.collections.query_info("*", CollectionType.CHAINED)}


@pytest.mark.parametrize(("source", "target"), [
    ("sqlite", "postgresql"), ("postgresql", "sqlite"), ("s3", "sqlite"), ("sqlite", "chain"),
    pytest.param("chain", "s3", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_whole_repository_is_transferred_between_all_kinds(source, target, filled, make):
    home, copy = filled(source), make(target, "copy")
    report = transfer(home, copy)
    assert (report.datasets, report.new) == (20, 20)
    assert transfer(home, copy).new == 0
    assert {ref.id for ref in all_datasets(copy.butler)} == {ref.id for ref in all_datasets(home.butler)}
    for name in COLLECTIONS:
        assert content_hashes(copy, name) == content_hashes(home, name)
    assert validity(copy) == validity(home)
    assert chains(copy) == chains(home)
    assert copy.camera("simcam") == CAMERA
    assert len(copy.butler.query_dimension_records("visit_detector_region", instrument="simcam")) == 2
    assert check(copy, depth="open", workers=1).ok
    assert not any(held.outside for held in holdings(copy.butler).copies)


def test_a_part_is_transferred_with_what_it_needs(filled, make):
    home, copy = filled(), make("sqlite", "copy")
    report = transfer(home, copy, collections=["toy/numbers"], where="exposure < 3 AND detector = 1")
    assert report.new == 2
    assert [tuple(ref.dataId.required_values) for ref in copy.query("number", collections="toy/numbers")] == [
        ("toy", 1, 1), ("toy", 1, 2)
    ]  # fmt: skip
    assert len(copy.butler.query_dimension_records("exposure", instrument="toy")) == 2
    assert not copy.has_collection("toy/labels")
    assert transfer(home, copy, collections=["toy/calib"], types=["offset"]).new == 4
    assert validity(copy) == validity(home)
    assert chains(copy) == {"toy/calib": ("toy/certified",)}
    with pytest.raises(InputError, match="no dataset matches"):
        transfer(home, copy, types=["quatsch"])


def test_a_chain_that_is_there_keeps_its_own_members(filled, make):
    home, copy = filled(), make("sqlite", "copy")
    copy.butler.collections.register("own")
    copy.butler.collections.register("toy/calib", CollectionType.CHAINED)
    copy.butler.collections.redefine_chain("toy/calib", ["own"])
    transfer(home, copy, collections=["toy/calib"])
    assert chains(copy)["toy/calib"] == ("toy/certified", "own")


def test_conflicts_are_told_in_one_line_and_change_nothing(filled, make):
    home, copy = filled(), make("sqlite", "copy")
    copy.register_camera(CAMERA.model_copy(update={"plate_scale": 0.4}))
    with pytest.raises(InputError, match=r"a different camera of this name is registered \(got 'simcam'\)"):
        transfer(home, copy)
    assert not copy.has_collection("toy/numbers")
    other = make("sqlite", "other")
    transfer(home, other, collections=["toy/numbers"])
    with other.writing(run="toy/labels") as butler:
        other.register_dataset_type("label", ("instrument",), "EtendueText")
        butler.put("another", "label", instrument="toy")
    with pytest.raises(InputError, match=r"\S+other: .*(another process|cannot copy)|database: another"):
        transfer(home, other, collections=["toy/labels"])
    assert other.get("label", {"instrument": "toy"}, collections="toy/labels") == "another"
    with pytest.raises(InputError, match="read-only"):
        transfer(home, Repository.open(copy.path, writeable=False))


@pytest.mark.parametrize("kind", ["sqlite", "chain"])
def test_an_export_is_imported_by_us_and_by_rubin_s_butler(kind, filled, make, tmp_path):
    home, copy = filled(kind), make("sqlite", "copy")
    assert export(home, tmp_path / "out").new == 20
    report = import_(copy, tmp_path / "out")
    assert report.new == 20
    assert import_(copy, tmp_path / "out").new == 0
    for name in COLLECTIONS:
        assert content_hashes(copy, name) == content_hashes(home, name)
    assert validity(copy) == validity(home)
    assert copy.camera("simcam") == CAMERA
    assert check(copy, workers=1).ok
    with pytest.raises(InputError, match="not an empty folder"):
        export(home, tmp_path / "out")
    with pytest.raises(InputError, match=r"holds no export\.yaml"):
        import_(copy, tmp_path)


@pytest.mark.slow
def test_the_stock_butler_imports_an_export(filled, make, tmp_path):
    home, copy = filled(), make("sqlite", "copy")
    export(home, tmp_path / "out", collections=["toy/numbers", "toy/calib"])
    command = "from lsst.daf.butler.cli.butler import main; main()"
    arguments = ["import", str(copy.path), str(tmp_path / "out"), "--transfer", "copy"]
    subprocess.run([sys.executable, "-c", command, *arguments], check=True, capture_output=True)
    butler = Butler.from_config(str(copy.path))
    assert len(butler.query_datasets("number", collections="toy/numbers")) == 12
    assert chains(Repository.open(copy.path)) == {"toy/calib": ("toy/certified",)}
