"""Fixtures of the middleware tests; the toy modules beside this file become importable, for workers too."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from toy_survey import certify_offsets, fill

from etendue.middleware.repository import Repository


@pytest.fixture(scope="session")
def filled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = Repository.create(tmp_path_factory.mktemp("toy") / "repo")
    fill(repository)
    certify_offsets(repository)
    return repository.path


@pytest.fixture
def toy_repository(filled_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")])))
    shutil.copytree(filled_folder, tmp_path / "repo")
    return Repository.open(tmp_path / "repo")
