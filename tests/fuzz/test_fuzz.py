"""No damaged file gives the user a traceback, or makes anything hang."""

from pathlib import Path

import numpy as np
import pytest
from examine import Verdict, defects, examine
from mutator import FILE, HEADER, mutate_file, mutate_header, write_mutants
from originals import corner_camera, write_originals

from etendue.middleware.repository import Repository

SEED = 20260101


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_originals(tmp_path_factory.mktemp("originals"))


def examined(originals: list[Path], folder: Path, headers: int, files: int, seed: int) -> list[Verdict]:
    home = Repository.create(folder / "repo")
    home.register_camera(corner_camera())
    mutants = write_mutants(originals, folder / "mutants", headers=headers, files=files, seed=seed)
    return [verdict for path, what in mutants.items() for verdict in examine(path, what, home, corner_camera())]


def test_sound_files_pass_every_step(originals, tmp_path):
    home = Repository.create(tmp_path / "repo")
    home.register_camera(corner_camera())
    verdicts = [verdict for path in originals for verdict in examine(path, "sound", home, corner_camera())]
    assert {verdict.status for verdict in verdicts} == {"ok"}


def test_thirty_damaged_headers_and_thirty_damaged_files_are_refused_or_read(originals, tmp_path):
    verdicts = examined(originals, tmp_path, 30, 30, SEED)
    assert not defects(verdicts)
    assert {"ok", "refused"} == {verdict.status for verdict in verdicts}


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 2])
def test_three_hundred_damaged_headers_and_files_are_refused_or_read(originals, tmp_path, seed):
    assert not defects(examined(originals, tmp_path, 150, 150, seed))


def test_equal_seeds_give_equal_damage(originals):
    data = originals[0].read_bytes()
    for mutate in (mutate_header, mutate_file):
        first, again, other = (mutate(data, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert first == again
        assert first != other


@pytest.mark.parametrize("name", [*HEADER, *FILE])
def test_every_kind_of_damage_damages(originals, name):
    data = originals[0].read_bytes()
    damage = (HEADER | FILE)[name]
    assert any(damage(data, np.random.default_rng(seed))[0] != data for seed in range(5))
