"""What a policy lets go goes, with its bytes told before; what anything needs stays."""

import os
from pathlib import Path

import pytest
from fault_commands import DRAWINGS
from lsst.daf.butler import CollectionType
from toy_survey import INPUTS

from etendue.errors import InputError
from etendue.middleware.content_hash import content_hashes
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.check import check
from etendue.middleware.upkeep.holdings import all_datasets, holdings
from etendue.middleware.upkeep.prune import PrunePolicy, plan_prune, prune

pytestmark = pytest.mark.thorough


def run(home: Repository, where: str, *overrides: str, reuse: bool = False) -> str:
    report = run_pipeline(
        home, DRAWINGS, inputs=INPUTS, output="toy/out", where=where, workers=1, progress=False, overrides=overrides,
        reuse=reuse,
    )  # fmt: skip
    assert report.ok
    return report.run


def size_of(home: Repository) -> int:
    return sum(path.stat().st_size for path in (home.path / "toy").rglob("*") if path.is_file())


def test_superseded_products_go_and_the_rest_is_what_it_was(toy_repository):
    first = run(toy_repository, "detector = 1 AND exposure < 4")
    second = run(toy_repository, "detector = 1 AND exposure < 3")
    before, size = content_hashes(toy_repository, "toy/out"), size_of(toy_repository)
    plan = plan_prune(toy_repository, PrunePolicy(superseded=True))
    assert {ref.run for ref, _ in plan.datasets.values()} == {first}
    assert size_of(toy_repository) == size
    prune(toy_repository, plan)
    assert content_hashes(toy_repository, "toy/out") == before
    assert size - size_of(toy_repository) == plan.bytes > 0
    left = {ref.datasetType.name for ref in all_datasets(toy_repository.butler, [first])}
    assert {"measured", "picture"} <= left  # of exposures that the second run left alone
    assert check(toy_repository, workers=1).ok
    assert plan_prune(toy_repository, PrunePolicy(superseded=True)).bytes == 0
    assert second in toy_repository.butler.collections.get_info("toy/out").children


def test_a_run_of_which_nothing_is_left_goes_too(toy_repository):
    where = "detector = 1 AND exposure < 3"
    first, _ = run(toy_repository, where), run(toy_repository, where)
    prune(toy_repository, plan_prune(toy_repository, PrunePolicy(superseded=True)))
    assert not toy_repository.has_collection(first)
    assert first not in toy_repository.butler.collections.get_info("toy/out").children
    assert check(toy_repository, workers=1).ok


def test_what_a_later_run_reused_or_somebody_tagged_or_certified_stays(toy_repository):
    where = "detector = 1 AND exposure IN (1, 2)"
    first = run(toy_repository, where)
    run(toy_repository, where, "measure:mode=double", reuse=True)
    [best, *_] = toy_repository.query("measured", collections=first)
    with toy_repository.writing() as butler:
        butler.collections.register("best", CollectionType.TAGGED)
        butler.registry.associate("best", [best])
    before = content_hashes(toy_repository, "toy/out")
    plan = plan_prune(toy_repository, PrunePolicy(superseded=True))
    assert plan.datasets
    assert best.id not in plan.datasets
    prune(toy_repository, plan)
    assert content_hashes(toy_repository, "toy/out") == before
    assert toy_repository.get(best)


def test_scratch_goes_except_what_is_bound(toy_repository):
    plan = plan_prune(toy_repository, PrunePolicy(scratch=("toy/*",)))
    names = {ref.datasetType.name for ref, _ in plan.datasets.values()}
    assert names == {"number", "label"}
    assert plan.kept == 4  # certified offsets
    only = plan_prune(toy_repository, PrunePolicy(scratch=("toy/*",), types=("label",)))
    assert len(only.datasets) == 1
    assert not plan_prune(toy_repository, PrunePolicy(scratch=("toy/*",), older_days=1.0)).datasets
    old = plan_prune(toy_repository, PrunePolicy(scratch=("toy/*",), older_days=1e-9))
    assert old.datasets.keys() == plan.datasets.keys()
    with pytest.raises(InputError, match="no RUN collection matches"):
        plan_prune(toy_repository, PrunePolicy(scratch=("nowhere/*",)))


def test_raw_frames_and_a_user_s_own_files_are_never_pruned(filled, tmp_path):
    home = filled()
    plan = plan_prune(home, PrunePolicy(scratch=("*",)))
    assert not {"raw", "camera"} & {ref.datasetType.name for ref, _ in plan.datasets.values()}
    prune(home, plan)
    assert len(home.query("raw", collections="simcam/raw/all")) == 2
    assert (tmp_path / "raw" / "frame2_0.fits").is_file()


def test_orphans_go_with_their_empty_folders(filled):
    home = filled()
    stray = home.path / "toy" / "lost" / "deep" / "stray.fits"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"12345")
    os.utime(stray, (1.0, 1.0))
    plan = plan_prune(home, PrunePolicy(orphans=True))
    assert plan.rows() == [{"why": "orphan", "where": "files", "number": 1, "bytes": 5}]
    files = len(holdings(home.butler).copies)
    prune(home, plan)
    assert not (home.path / "toy" / "lost").exists()
    assert check(home, workers=1).files == files


@pytest.mark.parametrize("kind", ["s3", "chain", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_all_stores_are_pruned(kind, filled):
    home = filled(kind)
    prune(home, plan_prune(home, PrunePolicy(scratch=("toy/numbers",))))
    report = check(home, workers=1)
    assert report.ok
    assert not home.has_collection("toy/numbers")
    assert not list(Path(home.path).rglob("number_*"))
