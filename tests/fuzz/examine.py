"""Put a damaged file through everything that reads raw frames, and tell what came of it."""

import signal
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from etendue.camera.camera import Camera
from etendue.camera.guess import guess_camera
from etendue.camera.raw import read_raw
from etendue.errors import EtendueError
from etendue.middleware.repository import Repository
from etendue.tasks.characterize.characterize import CharacterizeTask
from etendue.tasks.isr.isr import IsrTask

LIMIT_S = 20


@dataclass(frozen=True)
class Verdict:
    """What one step made of one file: ``ok``, ``refused`` with its line, or ``defect`` with the traceback."""

    file: str
    what: str
    step: str
    status: str
    message: str = ""


class TooSlowError(BaseException):
    """Not an Exception: nothing on the way may swallow it."""


def examine(path: Path, what: str, home: Repository, camera: Camera) -> list[Verdict]:
    """Guess a camera, ingest, define the visit, read, calibrate and characterize."""
    steps: dict[str, Callable[[], Any]] = {
        "guess": lambda: guess_camera(path),
        "ingest": lambda: ingest(home, path),
        "process": lambda: process(path, camera),
    }
    return [run(path, what, step, action) for step, action in steps.items()]


def ingest(home: Repository, path: Path) -> None:
    """Ingest a file; a refusal, which is no exception there, becomes one here."""
    (outcome,) = home.ingest([path], transfer="direct")
    if outcome.status == "refused":
        raise RefusedError(outcome.reason)
    for visit in home.define_visits():
        if visit.exposure == outcome.exposure and not visit.defined:
            raise RefusedError(visit.reason)


class RefusedError(EtendueError):
    """A reason that a command would print."""


def process(path: Path, camera: Camera) -> None:
    """Read, calibrate and characterize a frame as the first stage does."""
    raw = read_raw(path, camera)
    exposure = IsrTask().run(raw=raw, camera=camera)
    if raw.info.observation_type == "science":
        CharacterizeTask().run(exposure=exposure)


def run(path: Path, what: str, step: str, action: Callable[[], Any]) -> Verdict:
    """Run one step under a time limit."""

    def stop(*_: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_S)
    try:
        action()
    except EtendueError as error:
        text = str(error)
        good = "\n" not in text and text.strip() and len(text) < 1000
        return Verdict(path.name, what, step, "refused" if good else "defect", text)
    except TooSlowError:
        return Verdict(path.name, what, step, "defect", f"took more than {LIMIT_S} s")
    except Exception:
        return Verdict(path.name, what, step, "defect", traceback.format_exc())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return Verdict(path.name, what, step, "ok")


def defects(verdicts: list[Verdict]) -> str:
    """Return the defects as text, empty where there are none."""
    return "\n".join(f"{v.file} {v.step} ({v.what}): {v.message}" for v in verdicts if v.status == "defect")


def as_rows(verdicts: list[Verdict]) -> list[dict[str, str]]:
    """Return the verdicts for JSON."""
    return [asdict(verdict) for verdict in verdicts]
