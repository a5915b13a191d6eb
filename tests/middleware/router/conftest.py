"""A toy repository with pictures and tables, rules for it, and a router that works once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.middleware.repository import Repository
from etendue.middleware.router.courier import Notice
from etendue.middleware.router.queue import Queue
from etendue.middleware.router.router import Router
from etendue.middleware.router.rules import Rules
from etendue.middleware.router.status import SinkStatus, statuses


def picture(seed: int = 1) -> Exposure:
    box = Box.from_shape((96, 128))
    image = Image.full(box, 0.0)
    image.array[:] = np.random.default_rng(seed).normal(0.0, 1.0, image.array.shape)
    image.array[40:44, 60:64] += 100.0
    return Exposure(image=image, mask=Mask.empty(box), variance=Image.full(box, 1.0), unit="")


class Routing:
    """A repository with rules."""

    def __init__(self, repository: Repository, folder: Path):
        self.repository, self.folder, self.notices = repository, folder, list[Notice]()

    def picture(self, exposure: int, detector: int = 0, *, run: str = "toy/run1", seed: int = 1) -> Any:
        key = ("instrument", "exposure", "detector")
        self.repository.register_dataset_type("picture", key, "EtendueExposure")
        data_id = {"instrument": "toy", "exposure": exposure, "detector": detector}
        return self.repository.put(picture(seed), "picture", data_id, run=run)

    def rules(self, text: str) -> Path:
        path = self.folder / "rules.yaml"
        path.write_text(text)
        return path

    def router(self, text: str) -> Router:
        path = self.rules(text)
        return Router(self.repository, Rules.read(path), path, tell=self.notices.append)

    def once(self, text: str) -> dict[str, SinkStatus]:
        self.router(text).run(once=True)
        return self.status()

    @property
    def state(self) -> Path:
        return self.repository.path / "etendue" / "router"

    def status(self) -> dict[str, SinkStatus]:
        return {found.name: found for found in statuses(self.state)}

    def queue(self, sink: str) -> Queue:
        return Queue(self.state / sink / "queue.sqlite3")


@pytest.fixture
def routing(toy_repository: Repository, tmp_path: Path) -> Routing:
    return Routing(toy_repository, tmp_path)


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Repository.create(tmp_path_factory.mktemp("empty") / "repo").path


@pytest.fixture
def replica(empty_repository: Path, tmp_path: Path) -> Callable[[], Repository]:
    shutil.copytree(empty_repository, tmp_path / "replica")
    return lambda: Repository.open(tmp_path / "replica")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"
