"""Process the frames of a growing folder as they arrive."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from etendue.app.frame_finder import find_frames
from etendue.app.missing_calibrations import missing_calibrations
from etendue.app.quickstart import lay_out_sky
from etendue.app.survey_stars import SurveyStars, field_cones
from etendue.app.watching.arrivals import Arrival, Arrivals, Poll
from etendue.app.watching.calibrations import build_calibrations, buildable, calibration_frames
from etendue.app.watching.chore import Chore
from etendue.app.watching.events import Event, Note
from etendue.app.watching.ledger import Ledger
from etendue.app.watching.night import Night
from etendue.app.watching.template import GivenTemplate, Templates
from etendue.camera.camera import Camera
from etendue.camera.frame_file import frames_in
from etendue.camera.shipped import load_camera
from etendue.camera.translate import translate
from etendue.disk import disk_trouble
from etendue.errors import InputError, Interrupted
from etendue.middleware.ingest.stamp import Stamp
from etendue.middleware.raw_files import follow_headers, forget_raws
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport
from etendue.refcat.source import open_reference
from etendue.stages.build_light_curves import BuildLightCurvesConfig

_MOST_FRAMES = 12  # of one batch: what waits longer is shown in between
_FAILED = ("defeated", "failed")
_LONGER = 1.5  # a night has to be before its stars are listed anew
_DISK_WAIT_S = 30.0  # before a full disk is tried again


@dataclass(frozen=True)
class WatchOptions:
    """What is watched, and how.

    Parameters
    ----------
    folder : Path
        Frames appear here, at any depth.
    repository : Path
        Made if it does not exist.
    refcat : str, optional
        Reference catalog, as `etendue.app.quickstart.quickstart` takes it.
    templates : sequence of GivenTemplate
        Images to subtract; without any, the templates that the repository has of earlier nights.
    calib_from : Path, optional
        Folder with bias and flat frames that are combined first.
    camera : str, optional
        Shipped camera or YAML file; recognised from the frames by default.
    workers : int
        Processes.
    until_idle_s : float, optional
        End when nothing has come for so long [s].
    once : bool
        Process what is there and end.
    rest_s, patience_s, poll_s : float
        How long a file must not change, how long an incomplete one is waited for, time between two looks [s].
    curves_every : int
        Update light curves at the latest after so many frames; otherwise when nothing waits, but not so often that
        most of the time would go into them.
    report : bool
        Write the report when something is new, as often.
    """

    folder: Path
    repository: Path
    refcat: str | None = None
    templates: Sequence[GivenTemplate] = ()
    calib_from: Path | None = None
    camera: str | None = None
    workers: int = 2
    until_idle_s: float | None = None
    once: bool = False
    rest_s: float = 2.0
    patience_s: float = 120.0
    poll_s: float = 0.5
    curves_every: int = 20
    report: bool = True


@dataclass
class WatchResult:
    """What a watch did until it ended.

    Parameters
    ----------
    repository : Path
        Where everything is.
    frames, refused : int
        Science frames processed and files refused, by this process.
    stopped : bool
        Whether somebody ended it before everything was done.
    """

    repository: Path
    frames: int = 0
    refused: int = 0
    stopped: bool = False


def watch(
    options: WatchOptions, *, tell: Callable[[Event], None], stop: Callable[[], bool] = lambda: False
) -> WatchResult:
    """Watch a folder until it is idle, once, or for ever.

    Parameters
    ----------
    options : WatchOptions
        What is watched, and how.
    tell : callable
        Called with everything that happens.
    stop : callable
        Asked between quanta and while waiting; where it returns True the watch ends.

    Returns
    -------
    WatchResult

    Raises
    ------
    InputError
        If the folder, a catalog or a template cannot be used, or the disk refuses.
    """
    if options.refcat is not None:
        open_reference(options.refcat)  # what is wrong is said now, not after the first frame
    return _Watch(options, Templates(options.templates), tell, stop).run()


@dataclass
class _Watch:
    """One watch: its state is in the repository, so that another process can go on."""

    options: WatchOptions
    templates: Templates
    tell: Callable[[Event], None]
    stop: Callable[[], bool]
    home: Repository | None = None
    camera: Camera | None = None
    ledger: Ledger = field(init=False)
    curves_due: dict[int, set[int] | None] = field(default_factory=dict)  # None: whatever is not measured yet
    curves: Chore = field(default_factory=Chore)
    report: Chore = field(default_factory=Chore)
    report_due: bool = False
    seen: set[int] = field(default_factory=set)  # nights that this process has looked at as a whole
    overrides: Stamp | None = None  # as they were when that was done
    told: set[str] = field(default_factory=set)
    status: str = ""
    stars: SurveyStars | None = None
    cones: int = 0  # fields whose stars are in the repository
    unrecorded: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.result = WatchResult(self.options.repository)
        self.ledger = Ledger(self.options.repository / "etendue" / "watch.json")
        self.curves_due = dict.fromkeys(self.ledger.behind)
        self.arrivals = Arrivals(
            self.options.folder, self.ledger, rest_s=self.options.rest_s, patience_s=self.options.patience_s
        )

    def run(self) -> WatchResult:
        self.arrivals.poll()  # a folder that does not exist is said at once
        try:
            self._open()
            if self.options.calib_from is not None:
                self._calibrate_from(self.options.calib_from)
            self._loop()
        except Interrupted:
            self.result.stopped = True
        return self.result

    def _loop(self) -> None:
        idle_since = time.monotonic()
        while not self.stop():
            poll = self.arrivals.poll()
            try:
                busy = self._step(poll)
            except Exception as error:  # of the disk, of the database on it, or of a run that the disk stopped
                trouble = _disk_trouble(error)
                if self.options.once or not trouble:
                    raise
                self._wait_for_disk(trouble)
                busy = True
            if busy or poll.waiting:
                idle_since = time.monotonic()
            if busy:
                continue
            if self._is_over(poll, time.monotonic() - idle_since):
                return
            self._is_doing("waiting for " + (f"the rest of {_names(poll.waiting)}" if poll.waiting else "frames"))
            time.sleep(self.options.poll_s)
        self.result.stopped = True

    def _step(self, poll: Poll) -> bool:
        """Do what is most urgent; whether there was anything."""
        self._refuse(poll.broken)
        if poll.ready or (self.home is not None and self.ledger.pending):
            self._process(poll.ready[:_MOST_FRAMES])
            return True
        last = self.options.once and not poll.waiting
        if self.curves_due and (last or self.curves.has_rested):
            self._update_curves()
        elif self.report_due and (last or self.report.has_rested):
            self._report()
        else:
            return False
        return True

    def _wait_for_disk(self, trouble: str) -> None:
        """Say that the disk refuses, and wait: nothing is lost, and what did not come out is done again."""
        self.tell(Note(f"{self.options.repository}: {trouble}: waiting for space", "problem"))
        self.seen.clear()  # what the disk refused is found by looking at everything
        waited = time.monotonic() + _DISK_WAIT_S
        while time.monotonic() < waited and not self.stop():
            time.sleep(self.options.poll_s)

    def _is_over(self, poll: Poll, idle_s: float) -> bool:
        over = self.options.once and not poll.waiting
        over = over or (self.options.until_idle_s is not None and idle_s >= self.options.until_idle_s)
        if over and (self.curves_due or self._growing()):  # the last list of stars is that of all frames
            for day_obs in [*self.curves_due, *self._growing()]:
                self.curves_due[day_obs] = None
                self.ledger.listed.pop(day_obs, None)
            self._update_curves()
        if over and self.report_due:
            self._report()
        return over

    def _growing(self) -> list[int]:
        """Return the nights that got frames since their stars were listed."""
        nights = [day_obs for day_obs in self.seen if day_obs in self.ledger.listed]
        return [n for n in nights if sum(self._night(n).frames_by_band().values()) > self.ledger.listed[n]]

    # Frames

    def _record_refusals(self) -> None:
        """Keep refusals in the repository, as soon as there is one."""
        if self.unrecorded and self.home is not None and self.camera is not None:
            self.home.refusals.record(self.unrecorded, camera=self.camera.name)
            self.unrecorded = {}
            self.ledger.save()

    def _refuse(self, broken: Sequence[Arrival]) -> None:
        for arrival in broken:
            self.tell(Note(arrival.refusal, "refused"))
            self.ledger.settle(arrival.path, arrival.stamp, arrival.refusal)
            self.result.refused += 1
            self.unrecorded[str(arrival.path.resolve())] = arrival.refusal
        self._record_refusals()

    def _process(self, ready: Sequence[Arrival]) -> None:
        """Ingest files, and process the nights of those that are science frames."""
        begun = time.time()
        self._is_doing(f"processing {_names([a.path for a in ready])}" if ready else "finishing what was left")
        frames = self._ingest(ready) if ready else {}
        if self.home is None:
            return
        for day_obs in sorted(self.ledger.pending):
            mine = {visit: (name, arrived) for visit, (night, name, arrived) in frames.items() if night == day_obs}
            self._process_night(day_obs, mine, begun)
            self.ledger.pending.discard(day_obs)
            self.ledger.behind.add(day_obs)
            self.ledger.save()
            self.report_due = True
        if self.report_due and self.report.has_rested:
            self._report()

    def _ingest(self, ready: Sequence[Arrival]) -> dict[int, tuple[int, str, float]]:
        """Return night, file name and time of arrival of every science frame, by visit."""
        usable = self._of_camera([arrival for arrival in ready if not self.ledger.renew(arrival.path, arrival.stamp)])
        if self.home is None or self.camera is None:
            return {}
        by_path = {str(arrival.path): arrival for arrival in usable}
        replaced = self._forget_replaced(usable)
        outcomes = self.home.ingest([a.path for a in usable], camera=self.camera.name, transfer="direct")
        if any(outcome.observation_type == "science" for outcome in outcomes):
            self._find_on_sky()
        visits = self.home.define_visits(self.camera.name)
        no_visit = {outcome.exposure: outcome.reason for outcome in visits if not outcome.defined}
        found = {}
        for outcome in outcomes:
            arrival = by_path[outcome.path]
            reason = outcome.reason if outcome.status == "refused" else no_visit.get(outcome.exposure or -1, "")
            if reason:
                self.tell(Note(reason, "refused"))
                self.result.refused += 1
            elif outcome.reason:  # the same bytes under another name
                self.tell(Note(outcome.reason))
            elif outcome.observation_type == "science":
                assert outcome.exposure is not None
                night = self._night_of(outcome.exposure)
                found[outcome.exposure] = (night, arrival.path.name, arrival.arrived)
                self.ledger.pending.add(night)
            else:
                self.tell(Note(f"{arrival.path.name}: {outcome.observation_type} frame"))
            taken = None if reason or outcome.reason else outcome.exposure
            self.ledger.settle(arrival.path, arrival.stamp, reason, exposure=taken)
        if replaced:
            follow_headers(self.home, self.camera.name, replaced)
        self.ledger.save()
        return found

    def _forget_replaced(self, usable: Sequence[Arrival]) -> set[int]:
        """Take frames whose files were replaced out of the repository, so that they are ingested and processed anew."""
        assert self.home is not None
        assert self.camera is not None
        replaced = set()
        for arrival in usable:
            exposure = self.ledger.taken_as(arrival.path)
            if exposure is not None:
                self.tell(Note(f"{arrival.path.name}: has changed and is processed anew", "warning"))
                replaced.add(exposure)
        forget_raws(self.home, self.camera.name, replaced)
        return replaced

    def _of_camera(self, ready: Sequence[Arrival]) -> list[Arrival]:
        """Leave out what another camera took, and learn the camera from the first frames."""
        paths = [arrival.path for arrival in ready]
        known = [self.camera] if self.camera is not None else self._known_cameras()
        try:
            found = find_frames(paths, known=known)
        except InputError as error:
            self._refuse([_refused(arrival, str(error)) for arrival in ready])
            return []
        if self.camera is None:
            self._open(found.camera)
        assert self.camera is not None
        if found.camera.name != self.camera.name and not (found.guessed and self.options.camera):
            reason = f"is a frame of camera {'unknown' if found.guessed else found.camera.name}"
            self._refuse([_refused(a, f"{a.path}: {reason}, not of {self.camera.name}") for a in ready])
            return []
        refused = {path: reason for path, reason in found.refused if not (self.options.camera and "unknown" in reason)}
        self._refuse([_refused(a, _named(a.path, refused[a.path])) for a in ready if a.path in refused])
        return [arrival for arrival in ready if arrival.path not in refused]

    def _night_of(self, exposure: int) -> int:
        assert self.home is not None
        assert self.camera is not None
        [record] = self.home.butler.query_dimension_records(
            "exposure", instrument=self.camera.name, exposure=exposure, explain=False
        )
        return int(record.day_obs)

    def _process_night(self, day_obs: int, frames: dict[int, tuple[str, float]], begun: float) -> None:
        assert self.home is not None
        assert self.camera is not None
        self._prepare_calibrations()
        lay_out_sky(self.home, self.camera)
        self._prepare_reference()
        night = self._night(day_obs)
        before = night.tracks()
        self._look_at_overrides()
        whole = day_obs not in self.seen or not frames
        reports = night.process(None if whole else set(frames))
        self.seen.add(day_obs)
        ended = time.time()
        new = sum(not any(track & old for old in before) for track in night.tracks())
        latencies = {visit: (name, ended - max(arrived, begun - self.options.rest_s - self.options.poll_s))
                     for visit, (name, arrived) in frames.items()}  # fmt: skip
        done = night.done(reports, latencies, new_movers=new)
        for event in done:
            self.tell(event)
        self.result.frames += len(done)
        self._tell_problems(reports)
        due = self.curves_due.get(day_obs, set())
        self.curves_due[day_obs] = None if whole or due is None else due | set(frames)
        if due is not None and len(due | set(frames)) >= self.options.curves_every:
            self._update_curves()

    def _look_at_overrides(self) -> None:
        """Look at whole nights again where people have said something new about their frames."""
        assert self.home is not None
        assert self.camera is not None
        path = self.home.overrides(self.camera.name).path
        stamp = Stamp.of(path) if path.is_file() else None
        if stamp != self.overrides:
            self.overrides = stamp
            self.seen.clear()

    # What a night needs

    def _open(self, camera: Camera | None = None) -> None:
        """Open or make the repository, as soon as the camera is known."""
        path = self.options.repository
        exists = (path / "butler.yaml").is_file()
        if self.home is None and exists:
            self.home = Repository.open(path)
        if camera is None and self.options.camera is not None:
            registered = self.home.cameras() if self.home is not None else []
            name = self.options.camera
            camera = self.home.camera(name) if self.home is not None and name in registered else load_camera(name)
        if camera is None and self.home is not None and len(self.home.cameras()) == 1:
            camera = self.home.camera()
        if camera is None:
            return
        if self.home is None:
            self.home = Repository.create(path)
        self.home.register_camera(camera)
        self.camera = camera
        self._record_refusals()

    def _known_cameras(self) -> list[Camera]:
        return [self.home.camera(name) for name in self.home.cameras()] if self.home is not None else []

    def _night(self, day_obs: int) -> Night:
        assert self.home is not None
        assert self.camera is not None
        records = self.home.butler.query_dimension_records(
            "visit", instrument=self.camera.name, day_obs=day_obs, explain=False
        )
        bands = {entry.physical_filter: entry.band for entry in self.camera.filters}
        observed = {bands.get(str(record.physical_filter), "") for record in records}
        templates = self.templates.register(self.home, self.camera, observed - {""}) if self.templates else None
        night = Night(self.home, self.camera.name, day_obs, templates, self.options.workers, self.stop)
        if night.pipeline == "watch":
            self._tell_once("nothing to subtract: no --template, and no template_coadd of earlier nights", "warning")
        return night

    def _calibrate_from(self, folder: Path) -> None:
        """Combine the calibration frames of a folder, unless that was done before."""
        found = find_frames([folder], known=[self.camera] if self.camera else self._known_cameras())
        if self.camera is None:
            self._open(found.camera)
        assert self.home is not None
        assert self.camera is not None
        frames = [path for path in found.paths if _is_calibration(path, self.camera)]
        if not frames:
            raise InputError("holds no bias or flat frames", source=folder, remedy="give the folder that does")
        for outcome in self.home.ingest(frames, camera=self.camera.name, transfer="direct"):
            if outcome.status == "refused":
                self.tell(Note(outcome.reason, "refused"))
        if calibration_frames(self.home, self.camera.name) != self.ledger.combined:
            self._combine("frames of --calib-from")

    def _prepare_calibrations(self) -> None:
        """Combine calibration frames that science frames wait for; each set of frames is tried once."""
        assert self.home is not None
        assert self.camera is not None
        lacking = buildable(self.home, self.camera.name)
        if lacking and calibration_frames(self.home, self.camera.name) != self.ledger.combined:
            self._combine(", ".join(lacking))
        for line in missing_calibrations(self.home, self.camera.name):
            self._tell_once(line.split(":")[0] + ": frames are processed without", "warning")

    def _combine(self, what: str) -> None:
        assert self.home is not None
        assert self.camera is not None
        self.tell(Note(f"building calibrations: {what}"))
        report = build_calibrations(self.home, self.camera.name, workers=self.options.workers)
        self.ledger.combined = calibration_frames(self.home, self.camera.name)
        self.ledger.save()
        self._tell_problems([report])
        self.seen.clear()  # frames that were processed without them are processed again
        self.ledger.listed.clear()

    def _find_on_sky(self) -> None:
        """Find frames whose headers give a pointing at best by their stars; each frame is searched once."""
        assert self.home is not None
        assert self.camera is not None
        if self.options.refcat is None:
            return
        self.stars = self.stars or SurveyStars(self.options.refcat, self.home, self.camera)
        for place in self.stars.locate(workers=1, progress=False):
            if place.reason:
                self.tell(Note(f"{place.file}: not found on the sky: {place.reason}", "warning"))

    def _prepare_reference(self) -> None:
        """Register the reference catalog, again only where a field is new."""
        assert self.home is not None
        assert self.camera is not None
        if self.options.refcat is None:
            return
        cones = len(field_cones(self.home, self.camera))
        if cones != self.cones:
            self._is_doing("reading the reference catalog")
            self.stars = SurveyStars(self.options.refcat, self.home, self.camera)
            self.stars.register()
            self.cones = cones

    def _update_curves(self) -> None:
        for day_obs, visits in list(self.curves_due.items()):
            self.curves.do(lambda day=day_obs, new=visits: self._curves_of(day, new))  # type: ignore[misc]
            del self.curves_due[day_obs]
            self.ledger.behind.discard(day_obs)
            self.ledger.save()

    def _curves_of(self, day_obs: int, visits: set[int] | None) -> None:
        """Measure new frames; list the stars anew where the night has become much longer since."""
        self._is_doing("updating the light curves")
        night = self._night(day_obs)
        frames, fewest = night.frames_by_band(), BuildLightCurvesConfig().min_images
        if max(frames.values(), default=0) < fewest:
            self._tell_once(f"light curves of night {day_obs} begin with {fewest} frames of a filter", "note")
            return
        begin = time.monotonic()
        reports: list[RunReport] = []
        if sum(frames.values()) >= _LONGER * self.ledger.listed.get(day_obs, 0):
            reports += night.list_stars()
            self.ledger.listed[day_obs] = sum(frames.values())
            visits = None
        reports += night.update_curves(visits)
        self._tell_problems(reports)
        defeated = any(o.status in _FAILED for report in reports for o in report.outcomes)
        if defeated and self.options.refcat is None:
            self._tell_once("no light curves: where headers only point, positions agree only with --refcat", "note")
        if any(report.executed for report in reports):
            self.report_due = True
            self.tell(Note(f"light curves of night {day_obs} updated in {time.monotonic() - begin:.1f} s"))

    def _report(self) -> None:
        from etendue.app.report.report import write_report  # draws with matplotlib, which is slow to import

        self.report_due = False
        if self.home is not None and self.options.report:
            home = self.home
            self._is_doing("writing the report")
            self.report.do(lambda: write_report(home, home.path / "report.html"))

    def _is_doing(self, what: str) -> None:
        """Tell what is going on, where that has changed."""
        if what != self.status:
            self.status = what
            self.tell(Note(what, "status"))

    def _tell_once(self, text: str, kind: Literal["note", "warning", "problem"]) -> None:
        if text not in self.told:
            self.told.add(text)
            self.tell(Note(text, kind))

    def _tell_problems(self, reports: Iterable[RunReport]) -> None:
        """Name quanta that failed and belong to no single frame."""
        for outcome in (outcome for report in reports for outcome in report.outcomes):
            if outcome.status in _FAILED and "visit" not in outcome.data_id:
                self._tell_once(f"{outcome.label}: {outcome.message}", "problem")


def _disk_trouble(error: Exception) -> str:
    """Return what the disk refused; empty where something else is wrong."""
    stopped = isinstance(error, InputError) and "stopped: " in str(error)
    return disk_trouble(error) or (str(error).partition("stopped: ")[2].partition(";")[0] if stopped else "")


def _refused(arrival: Arrival, reason: str) -> Arrival:
    return Arrival(arrival.path, arrival.stamp, arrival.arrived, reason)


def _names(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0].name}{more}"


def _is_calibration(path: Path, camera: Camera) -> bool:
    try:
        frame = frames_in(path, camera)[0]
        return translate(frame.header, camera, path, snap=frame.snap).observation_type in ("bias", "flat")
    except InputError:
        return False


def _named(path: Path, reason: str) -> str:
    return reason if str(path) in reason else f"{path}: {reason}"
