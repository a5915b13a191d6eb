import shutil
from pathlib import Path

import pytest

from etendue.middleware.repository import Repository
from tiny_frames import CAMERA, SNAPPING


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "repo"
    home = Repository.create(path)
    home.register_camera(CAMERA)
    home.register_camera(SNAPPING)
    return path


@pytest.fixture
def home(empty: Path, tmp_path: Path) -> Repository:
    shutil.copytree(empty, tmp_path / "repo")
    return Repository.open(tmp_path / "repo")
