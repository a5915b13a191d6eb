"""Repositories on SQLite, PostgreSQL, S3 and chains of stores, small and alike."""

from collections.abc import Callable
from pathlib import Path

import pytest
from frames import CAMERA, write_frame
from toy_survey import certify_offsets, fill

from etendue.middleware.configuration import Places
from etendue.middleware.repository import Repository


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Repository]:
    """Return what makes empty repositories: of a kind, under a name."""

    def made(kind: str = "sqlite", name: str = "repo") -> Repository:
        if kind == "postgresql":
            places = Places(database=request.getfixturevalue("postgres").new_database())
        elif kind == "s3":
            request.getfixturevalue("bucket")
            places = Places(files=f"s3://survey/{name}")
        elif kind == "chain":
            request.getfixturevalue("bucket")
            places = Places(mirrors=(f"s3://survey/{name}",))
        else:
            places = Places()
        return Repository.create(tmp_path / name, places)

    return made


@pytest.fixture
def filled(make: Callable[..., Repository], tmp_path: Path) -> Callable[..., Repository]:
    """Return what makes a repository with numbers, calibrations and three raw frames, one of them left outside."""

    def made(kind: str = "sqlite", name: str = "repo") -> Repository:
        repository = make(kind, name)
        fill(repository)
        certify_offsets(repository)
        repository.register_camera(CAMERA)
        frames = [write_frame(tmp_path / "raw", seq, "science") for seq in (1, 2)]
        repository.ingest(frames[:1], camera="simcam")
        repository.ingest(frames[1:], camera="simcam", transfer="direct")
        repository.define_visits("simcam")
        return repository

    return made
