"""A repository of small datasets for the router's benchmark, filled by plain Butler code; and what arrived where.

Usage as a writer: python benchmarks/router_scene.py REPOSITORY FIRST COUNT PAUSE_S
"""

import json
import sqlite3
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

RUN = "scene/run"
PICTURES = 20  # every so manieth dataset is an image


def make(folder: Path, exposures: int) -> None:
    """Make a repository with so many exposures and no datasets."""
    from astropy.time import Time
    from lsst.daf.butler import Timespan

    from etendue.middleware.repository import Repository

    home = Repository.create(folder)
    span = Timespan(Time(60000.0, format="mjd", scale="tai"), Time(60000.1, format="mjd", scale="tai"))
    common = {"instrument": "scene", "physical_filter": "none", "group": "1", "day_obs": 20230225, "timespan": span}
    insert = home.butler.registry.insertDimensionData
    insert("instrument", {"name": "scene", "class_name": "etendue.middleware.cameras.scene", "detector_max": 2})
    insert("physical_filter", {"instrument": "scene", "name": "none", "band": "none"})
    insert("day_obs", {"instrument": "scene", "id": 20230225})
    insert("group", {"instrument": "scene", "name": "1"})
    insert("detector", {"instrument": "scene", "id": 0, "full_name": "d0"})
    rows = [common | {"id": k, "obs_id": str(k), "observation_type": "science"} for k in range(1, exposures + 1)]
    insert("exposure", *rows)
    for name, storage in (("number", "EtendueJson"), ("picture", "EtendueExposure")):
        home.register_dataset_type(name, ("instrument", "exposure", "detector"), storage)


def write(folder: Path, first: int, count: int, pause_s: float) -> None:
    """Put datasets one after the other, as any tool may; every line on stdout is one that was put."""
    import numpy as np
    from lsst.daf.butler import Butler

    from etendue.geom.box import Box
    from etendue.image.exposure import Exposure
    from etendue.image.image import Image
    from etendue.image.mask import Mask

    butler = Butler.from_config(str(folder), run=RUN, writeable=True)
    box, rng = Box.from_shape((256, 256)), np.random.default_rng(first)
    for number in range(first, first + count):
        data_id = {"instrument": "scene", "exposure": number, "detector": 0}
        if number % PICTURES == 0:
            image = Image.full(box, 0.0)
            image.array[:] = rng.normal(0.0, 1.0, image.array.shape)
            butler.put(
                Exposure(image=image, mask=Mask.empty(box), variance=Image.full(box, 1.0), unit=""), "picture", data_id
            )
        else:
            butler.put(number, "number", data_id)
        print(number, time.time(), flush=True)
        time.sleep(pause_s)


class Subscriber:
    """Reads the stream again and again, each time after the last event that it saw."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.last = "0"
        self.sessions = 0

    def read(self, url: str) -> None:
        """Read what there is until the connection breaks or everything is read."""
        self.sessions += 1
        request = urllib.request.Request(f"{url}events?end=now", headers={"Last-Event-ID": self.last})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                number = ""
                for line in answer:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name == "id":
                        number = value
                    elif name == "data":
                        self.keys.append(json.loads(value)["key"])
                        self.last = number
        except (OSError, ValueError):  # the router was killed: the next one goes on
            return


def judge(place: Path, subscriber: Subscriber) -> dict[str, Any]:
    """Compare every sink with the source."""
    from etendue.middleware.content_hash import content_hashes
    from etendue.middleware.repository import Repository
    from etendue.middleware.router.status import statuses

    source, replica = (Repository.open(place / name, writeable=False) for name in ("source", "replica"))
    refs = [ref for name in ("number", "picture") for ref in source.query(name, collections=RUN)]
    there = {ref.id for name in ("number", "picture") for ref in replica.query(name, collections=RUN)}
    stored = {Path(source.butler.getURI(ref).ospath).read_bytes() for ref in refs}
    copies = [path.read_bytes() for path in (place / "files").rglob("*") if path.is_file()]
    ran = Counter((place / "log").read_text().splitlines())
    with sqlite3.connect(place / "source" / "etendue" / "router" / "live" / "stream.sqlite3") as database:
        published = [key for [key] in database.execute("SELECT key FROM event ORDER BY id")]
    seen = Counter(subscriber.keys)
    known = {
        Path(replica.butler.getURI(ref).ospath).name
        for name in ("number", "picture")
        for ref in replica.query(name, collections=RUN)
    }
    ids, files = {ref.id for ref in refs}, list((place / "replica" / "scene").rglob("*.*"))
    return {
        "datasets": len(refs),
        "replica": {"missing": len(ids - there), "additional": len(there - ids),
                    "equal_content_hashes": content_hashes(source, RUN) == content_hashes(replica, RUN),
                    "files_nobody_knows": sum(path.name not in known for path in files)},
        "directory": {"missing": len(stored - set(copies)), "additional": len(copies) - len(refs)},
        "stream": {"missing": len(refs) - len(set(published)), "twice": len(published) - len(set(published))},
        "subscriber": {"sessions": subscriber.sessions, "missing": len(set(published) - set(seen)),
                       "twice": sum(count - 1 for count in seen.values())},
        "command": {"missing": len(refs) - len(ran), "twice": sum(count - 1 for count in ran.values())},
        "states": {one.name: {"state": one.state, **one.counts} for one in statuses(place / "source/etendue/router")},
    }  # fmt: skip


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
