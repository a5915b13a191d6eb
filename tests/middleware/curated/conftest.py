"""A repository with measured calibrations, and a folder with curated ones."""

import shutil
from pathlib import Path

import pytest
from curated_survey import fill, write_folder

from etendue.middleware.repository import Repository


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(Repository.create(tmp_path_factory.mktemp("measured") / "repo")).path


@pytest.fixture
def survey(measured: Path, tmp_path: Path) -> Repository:
    return Repository.open(shutil.copytree(measured, tmp_path / "repo"))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "kept")
