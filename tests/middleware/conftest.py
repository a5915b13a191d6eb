"""Fixtures of the middleware tests; the toy modules beside this file become importable, for workers too."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from toy_survey import certify_offsets, fill

from etendue.middleware.repository import Repository


@pytest.fixture
def toy_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")])))
    repository = Repository.create(tmp_path / "repo")
    fill(repository)
    certify_offsets(repository)
    return repository
