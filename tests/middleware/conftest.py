"""Fixtures of the middleware tests; the toy modules beside this file become importable, for workers too."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from fault_states import STATES, Server, said
from frames import CAMERA, write_frame
from toy_survey import certify_offsets, fill

from etendue.middleware.repository import Repository
from postgres import PostgresServer, running_server


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("moto", reason="no S3 server (pip install 'moto[s3,server]')")
    from s3 import s3_server

    with s3_server(monkeypatch) as address:
        yield address


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    repository = Repository.create(folder / "repo")
    fill(repository)
    certify_offsets(repository)
    Repository.create(folder / "survey").register_camera(CAMERA)
    Repository.create(folder / "replica")
    for seq in (1, 2):
        write_frame(folder / "raw", seq, "science")
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "place")


@pytest.fixture(scope="session")
def undisturbed(server: Server, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    known: dict[str, Any] = {}

    def state(command: str) -> Any:
        if command not in known:
            place = shutil.copytree(template, tmp_path_factory.mktemp("calm") / "place")
            assert server.do(command, place) == 0, said(place)
            known[command] = STATES[command](place)
        return known[command]

    return state
