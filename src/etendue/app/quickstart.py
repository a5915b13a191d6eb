"""From folders of FITS files to the report of a night, without a question."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from etendue.app.frame_finder import FoundFrames, find_frames
from etendue.app.locate import LocateOutcome
from etendue.app.missing_calibrations import missing_calibrations
from etendue.app.survey_stars import SurveyStars
from etendue.camera.camera import Camera
from etendue.camera.observation_info import ObservationInfo
from etendue.errors import InputError
from etendue.geom.fields import FieldsSkyMap
from etendue.log import get_logger
from etendue.middleware.changes import Changes, certify_current
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.ingest.outcome import IngestOutcome
from etendue.middleware.refcats import REFCATS
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport
from etendue.middleware.sinks import AlertLogSink, ArchiveSink, publish
from etendue.middleware.skymaps import SKYMAP_RUN
from etendue.middleware.visits import VisitOutcome
from etendue.refcat.source import open_reference
from etendue.tasks.readout.calibrations import CALIBRATION_TYPES

_log = get_logger(__name__)
SKYMAP = "field"
_LARGEST_PATCH = 2000
_SERIES_LENGTH = 10  # images of one band from which light curves are made
_LIGHT_CURVES = ("light_curve", "light_curve_star")


@dataclass(frozen=True)
class QuickstartResult:
    """What `quickstart` did.

    Parameters
    ----------
    repository, report : Path
        Where everything is, and the page to look at.
    camera : str
        Name of the camera.
    ingested : tuple of IngestOutcome
        One per file.
    refused : tuple of (Path, str)
        Files that did not even reach ingest.
    places : tuple of LocateOutcome
        Frames that were searched on the sky.
    no_visit : tuple of VisitOutcome
        Science exposures that are no visit, and why: without a pointing they are not processed.
    missing : tuple of str
        Calibrations that frames were processed without.
    runs : tuple of RunReport
        One per pipeline.
    wall_s : dict of str to float
        Wall time by step [s].
    """

    repository: Path
    report: Path
    camera: str
    ingested: tuple[IngestOutcome, ...]
    refused: tuple[tuple[Path, str], ...]
    places: tuple[LocateOutcome, ...]
    no_visit: tuple[VisitOutcome, ...]
    missing: tuple[str, ...]
    runs: tuple[RunReport, ...]
    wall_s: dict[str, float]

    def lines(self) -> list[Any]:
        """Return what the terminal shows: refusals, a table per run, the report's path."""
        bad = [f"refused {path}: {reason}" for path, reason in self.refused]
        bad += [f"refused {Path(o.path).name}: {o.reason}" for o in self.ingested if o.status == "refused"]
        bad += [f"passed over {Path(o.path).name}: {o.reason}" for o in self.ingested if _is_double(o)]
        bad += [f"not found on the sky {o.file}: {o.reason}" for o in self.places if o.reason]
        bad += [f"no visit of exposure {o.exposure}: {o.reason}" for o in self.no_visit]
        bad += [f"missing: {line}" for line in self.missing]
        files = {o.exposure: Path(o.path).name for o in self.ingested}
        bad += [
            f"{o.label}{_of_frame(o.data_id, files, o.message)}: {o.message}"
            for run in self.runs
            for o in run.outcomes
            if o.status in ("defeated", "failed")
        ]
        return [*bad, *(run.table() for run in self.runs), f"report: {self.report}"]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able numbers."""
        return {
            "repository": str(self.repository),
            "report": str(self.report),
            "camera": self.camera,
            "ingested": [_as_text(outcome) for outcome in self.ingested],
            "refused": [{"path": str(path), "reason": reason} for path, reason in self.refused],
            "missing": list(self.missing),
            "places": [place.to_dict() for place in self.places],
            "no_visit": [{"exposure": str(o.exposure), "reason": o.reason} for o in self.no_visit],
            "runs": [run.to_dict() for run in self.runs],
            "wall_s": self.wall_s,
        }


def _of_frame(data_id: Mapping[str, int | str], files: Mapping[int | None, str], message: str) -> str:
    """Return the file of a quantum of one visit, empty where the message names it."""
    visit = data_id.get("visit")
    name = files.get(visit) if isinstance(visit, int) else None
    return "" if name is None or name in message else f" of {name}"


def _is_double(outcome: IngestOutcome) -> bool:
    return outcome.status == "already there" and bool(outcome.reason)


def _as_text(outcome: IngestOutcome) -> dict[str, str]:
    """Return an ingest outcome as text."""
    return {"path": outcome.path, "status": outcome.status, "reason": outcome.reason}


def quickstart(
    directories: Sequence[Path],
    *,
    repository: Path,
    refcat: str | Path | None = None,
    index: Path | None = None,
    pipeline: Literal["drp", "series"] = "drp",
    workers: int = 2,
    progress: bool = True,
) -> QuickstartResult:
    """Process everything in some folders.

    Parameters
    ----------
    directories : sequence of Path
        Folders with bias, dark, flat and science frames, in any order and depth. The frames stay where they are;
        the repository refers to them.
    repository : Path
        Made if it does not exist; a repository of an earlier call is added to.
    refcat : str or Path, optional
        Reference catalog: a directory made before, any table of stars, or ``gaia``, ``ps1``, ``2mass``; without one
        positions keep the headers' frame and fluxes a relative scale.
    index : Path, optional
        Star index, or a catalog that has one, to find frames whose headers give a pointing at best; by default the
        reference catalog's own, or one made of its stars around the frames.
    pipeline : {"drp", "series"}
        Everything: coadds, differences, movers, alerts, and light curves if enough images are of one band; or light
        curves of one star field only.
    workers : int
        Processes.
    progress : bool
        Show progress bars on stderr.

    Returns
    -------
    QuickstartResult

    Raises
    ------
    InputError
        If there is nothing to process.
    """
    clock = _Clock(Console(stderr=True, quiet=not progress))
    if refcat is not None:
        open_reference(str(refcat))  # what is wrong with it is said now, not after the calibrations
    registered = _registered(repository)
    found = clock.step("looking at the frames", lambda: find_frames(directories, known=registered))
    home = _open(repository, found)
    ingested = clock.step("ingesting", lambda: home.ingest(found.paths, camera=found.camera.name, transfer="direct"))
    if not any(outcome.status != "refused" for outcome in ingested):
        raise InputError("no frame could be ingested", source=directories[0], remedy=ingested[0].reason)
    chain = _Chain(home, found.camera.name, workers, progress)
    has_science = any(outcome.observation_type == "science" for outcome in ingested)
    stars = None if refcat is None or not has_science else SurveyStars(str(refcat), home, found.camera, index)
    places = (
        clock.step("finding the frames", partial(stars.locate, workers=workers, progress=progress)) if stars else ()
    )
    visits = clock.step("defining visits", lambda: home.define_visits(found.camera.name))
    runs = []
    if any(outcome.observation_type in ("bias", "flat") for outcome in ingested):
        runs.append(clock.step("building calibrations", chain.calibrate))
    if has_science:
        clock.step("laying out the sky", lambda: lay_out_sky(home, found.camera))
        if stars is not None:
            clock.step("registering the reference catalog", stars.register)
        if pipeline == "series":
            runs.append(clock.step("time series", chain.series))
            clock.step("publishing", lambda: publish_products(home, f"{found.camera.name}/series"))
        else:
            runs.append(clock.step("data release processing", chain.release))
        if pipeline == "drp" and home.query("visit_image", collections=f"{found.camera.name}/drp"):
            if chain.has_series():
                runs.append(clock.step("light curves", chain.light_curves))
                clock.step("publishing light curves", lambda: _publish_curves(home, f"{found.camera.name}/lightcurve"))
            runs.append(clock.step("difference imaging", chain.alerts))
            clock.step("publishing", lambda: publish_products(home, f"{found.camera.name}/ap"))
    page = clock.step("writing the report", lambda: _report(home))
    return QuickstartResult(
        repository=home.path, report=page, camera=found.camera.name, ingested=ingested, refused=found.refused,
        places=tuple(places), no_visit=tuple(visit for visit in visits if not visit.defined),
        missing=missing_calibrations(home, found.camera.name), runs=tuple(runs), wall_s=clock.seconds,
    )  # fmt: skip


@dataclass(frozen=True)
class _Chain:
    """The pipelines of one camera."""

    home: Repository
    camera: str
    workers: int
    progress: bool

    def calibrate(self) -> RunReport:
        """Build and certify bias, flats, gains and defects."""
        run = self._run("calib", "calibrations", [f"{self.camera}/defaults"], f"instrument='{self.camera}'")
        certify_current(self.home, f"{self.camera}/calibrations", CALIBRATION_TYPES, camera=self.camera)
        return run

    def release(self) -> RunReport:
        """Run the data release pipeline."""
        return self._from_raws("drp")

    def series(self) -> RunReport:
        """Run the pipeline of light curves, from the raw frames."""
        return self._from_raws("series")

    def has_series(self) -> bool:
        """Whether enough images of one band have been calibrated for light curves."""
        refs = self.home.query("visit_image", collections=f"{self.camera}/drp")
        bands = Counter(ref.dataId["band"] for ref in refs)
        return max(bands.values(), default=0) >= _SERIES_LENGTH

    def light_curves(self) -> RunReport:
        """Make light curves of the release."""
        inputs = [f"{self.camera}/drp", f"{self.camera}/defaults"]
        return self._run("lightcurve", "lightcurve", inputs, f"instrument='{self.camera}' AND skymap='{SKYMAP}'")

    def _from_raws(self, pipeline: str) -> RunReport:
        inputs = [f"{self.camera}/defaults"]
        if self.home.has_collection(REFCATS):
            inputs.append(REFCATS)
        return self._run(pipeline, pipeline, inputs, f"instrument='{self.camera}' AND skymap='{SKYMAP}'")

    def alerts(self) -> RunReport:
        """Run the alert pipeline on the release."""
        inputs = [f"{self.camera}/drp", f"{self.camera}/defaults"]
        return self._run("ap", "ap", inputs, f"instrument='{self.camera}' AND skymap='{SKYMAP}'")

    def _run(self, pipeline: str, output: str, inputs: list[str], where: str) -> RunReport:
        return run_pipeline(
            self.home, pipeline, inputs=inputs, output=f"{self.camera}/{output}", where=where,
            workers=self.workers, progress=self.progress, reuse=True, tell=self._tell,
        )  # fmt: skip

    def _tell(self, changes: Changes) -> None:
        """Say what is kept of earlier runs, and why the rest runs again."""
        if self.progress and not changes.everything:
            Console(stderr=True).print(changes.table())


class _Clock:
    """Say what is being done, and remember how long it took."""

    def __init__(self, console: Console):
        self._console = console
        self.seconds: dict[str, float] = {}

    def step(self, name: str, action: Callable[[], Any]) -> Any:
        self._console.print(f"[bold]{name}[/]")
        start = time.monotonic()
        result = action()
        self.seconds[name] = time.monotonic() - start
        return result


def _registered(path: Path) -> list[Camera]:
    """Return the cameras of a repository that may not exist yet."""
    if not (path / "butler.yaml").is_file():
        return []
    home = Repository.open(path, writeable=False)
    return [home.camera(name) for name in home.cameras()]


def _open(path: Path, found: FoundFrames) -> Repository:
    """Open or make the repository; it knows the frames' camera then, and remembers what was refused."""
    exists = (path / "butler.yaml").is_file()
    home = Repository.open(path) if exists else Repository.create(path)
    home.register_camera(found.camera)
    home.refusals.record({str(file.resolve()): reason for file, reason in found.refused}, camera=found.camera.name)
    return home


def lay_out_sky(home: Repository, camera: Camera) -> None:
    """Register a skymap with a tract around every field, once; later frames that miss it are named and left out.

    Frames that people excluded do not count.

    Parameters
    ----------
    home : Repository
        With visits of the camera.
    camera : Camera
        Its plate scale becomes the skymap's.

    Raises
    ------
    InputError
        If no frame has a WCS.
    """
    refs = home.query("raw", collections=f"{camera.name}/raw/all", where="exposure.observation_type='science'")
    excluded = {key for key, said in home.overrides(camera.name).said(home.butler).items() if said.excluded}
    infos = [info for info in home.raw_infos(refs) if _frame(info) not in excluded]
    known = [record.name for record in home.butler.query_dimension_records("skymap", explain=False)]
    if SKYMAP in known:
        _tell_outside(home, camera, infos)
        return
    images = [(info.wcs, camera.detector(info.detector_id).bbox) for info in infos if info.wcs is not None]
    if not images:
        raise InputError("no science frame has a WCS or a pointing", source=home.path,
                         remedy="ingest science frames, or correct the camera's header translation")  # fmt: skip
    skymap = FieldsSkyMap.covering(images, pixel_scale=camera.plate_scale, patch_size=_LARGEST_PATCH)
    home.register_skymap(skymap.fields[0] if skymap.n_tracts == 1 else skymap, SKYMAP)


def _frame(info: ObservationInfo) -> tuple[int, int]:
    return info.exposure_id, info.detector_id


def _tell_outside(home: Repository, camera: Camera, infos: Sequence[ObservationInfo]) -> None:
    """Refuse frames outside the skymap: no pipeline would find them."""
    skymap = home.get("skyMap", {"skymap": SKYMAP}, collections=SKYMAP_RUN)
    verdicts: dict[str, str] = {}
    for info in infos:
        if info.wcs is None:
            continue
        inside = skymap.find_patches(wcs=info.wcs, bbox=camera.detector(info.detector_id).bbox)
        reason = f"{info.file_name}: lies outside the skymap of this repository; process it in another repository"
        subject = f"sky of exposure {info.exposure_id}"
        verdicts[subject] = "" if inside else verdicts.get(subject, reason)
        if not inside:
            _log.warning("%s", reason)
    home.refusals.record(verdicts, camera=camera.name)


def publish_products(home: Repository, collection: str) -> dict[str, int]:
    """Publish tables to the archive and alerts to the alert log, both inside the repository.

    Parameters
    ----------
    home : Repository
        Where the products are.
    collection : str
        Run or chain; per data ID the first counts.

    Returns
    -------
    dict of str to int
        New or changed tables (``archive``) and batches of alerts (``alerts``).
    """
    counts = publish(home, collection, [ArchiveSink(home.path / "archive"), AlertLogSink(home.path / "alerts")])
    return {"archive": counts[ArchiveSink.__name__], "alerts": counts[AlertLogSink.__name__]}


def _publish_curves(home: Repository, collection: str) -> None:
    publish(home, collection, [ArchiveSink(home.path / "archive", _LIGHT_CURVES)])


def _report(home: Repository) -> Path:
    from etendue.app.report.report import write_report  # draws with matplotlib, which is slow to import

    return write_report(home, home.path / "report.html")
