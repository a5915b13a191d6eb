"""Process what there is of a night, and read what was made."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from etendue.app.quickstart import SKYMAP
from etendue.app.watching.events import FrameDone
from etendue.errors import InputError, NothingToDoError
from etendue.middleware.changes import own_collections
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.journal import QuantumOutcome
from etendue.middleware.pipeline import load_pipeline
from etendue.middleware.refcats import REFCATS
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport
from etendue.middleware.tagged import tagged
from etendue.middleware.unfinished import unfinished_run

_PER_FRAME = (
    "calibrate_image", "finalize_single_visit", "summarize_visit", "subtract_external", "subtract_images",
)  # fmt: skip
_NIGHT = "watch_night"
_FEW, _SUSPECT = 200, 0.5  # more detections on a difference, and in units of those on the image, are artefacts
_MEASURE, _BUILD = "watch_curves#measure_series", "watch_curves#build_light_curves"


@dataclass(frozen=True)
class Night:
    """The frames of one camera and night, and the outputs of their processing.

    Parameters
    ----------
    home : Repository
        The repository.
    camera : str
        Name of the camera.
    day_obs : int
        The night, YYYYMMDD.
    templates : str or None
        RUN with external templates; None to use those of earlier nights, if the repository has any.
    workers : int
        Processes.
    stop : callable
        Asked between quanta whether to end.
    """

    home: Repository
    camera: str
    day_obs: int
    templates: str | None
    workers: int
    stop: Callable[[], bool]

    @property
    def output(self) -> str:
        """Chain of images, differences and movers."""
        return f"{self.camera}/watch/{self.day_obs}"

    @property
    def curves_output(self) -> str:
        """Chain of the light curves."""
        return f"{self.camera}/watch_curves/{self.day_obs}"

    @property
    def pipeline(self) -> str:
        """Name of the pipeline: it depends on what there is to subtract."""
        if self.templates is not None:
            return "watch_external"
        return "watch_own" if self._own_templates else "watch"

    def process(self, visits: Collection[int] | None) -> tuple[RunReport, ...]:
        """Process frames, then look for movers and candidates on all differences so far.

        Parameters
        ----------
        visits : collection of int or None
            The new ones: what is looked at does not grow with the night. None finishes what an earlier process left
            and looks at the whole night for whatever is missing or depends on something that has changed.

        Returns
        -------
        tuple of RunReport
            Of what an earlier process left, of the frames and of the night, where there was something to do.

        Raises
        ------
        InputError
            If the disk refuses.
        """
        inputs = [*([self.templates] if self.templates else self._own_templates), *self._common_inputs()]
        earlier = self._finish_earlier(self.output, (self.pipeline, _NIGHT)) if visits is None else None
        workers = self.workers if visits is None else min(self.workers, max(len(visits), 1))
        frames = self._run(self.pipeline, self.output, inputs, self._of(visits), workers)  # 1: without starting any
        night = None
        if self.pipeline != "watch":
            night = self._run(_NIGHT, self.output, self._common_inputs(), self._where)
        return tuple(report for report in (earlier, frames, night) if report is not None)

    def list_stars(self) -> tuple[RunReport, ...]:
        """List the stars whose light curves will be measured, from the frames so far.

        Returns
        -------
        tuple of RunReport
            None where there was nothing to do.

        Raises
        ------
        InputError
            If the disk refuses.
        """
        report = self._run("watch_stars", self.curves_output, [self.output, *self._common_inputs()], self._where)
        return () if report is None else (report,)

    def update_curves(self, visits: Collection[int] | None) -> tuple[RunReport, ...]:
        """Measure the listed stars on new frames and build the light curves of the night so far.

        Parameters
        ----------
        visits : collection of int or None
            The new ones; None for all that are not measured yet, or whose image or list of stars has changed.

        Returns
        -------
        tuple of RunReport
            Without those that had nothing to do.

        Raises
        ------
        InputError
            If the disk refuses.
        """
        inputs = [self.output, *self._common_inputs()]
        if visits is None:
            self._finish_earlier(self.curves_output, (_MEASURE, _BUILD))
        steps = ((_MEASURE, self._of(visits), self.workers if visits is None else 1), (_BUILD, self._where, 1))
        reports = [self._run(name, self.curves_output, inputs, where, workers) for name, where, workers in steps]
        return tuple(report for report in reports if report is not None)

    def frames_by_band(self) -> Counter[str]:
        """Return the number of calibrated frames so far, by physical filter."""
        if not own_collections(self.home, self.output):
            return Counter()
        refs = self.home.query("visit_image", collections=self.output, where=f"day_obs = {self.day_obs}")
        return Counter(str(ref.dataId["physical_filter"]) for ref in refs)

    def done(
        self, reports: Sequence[RunReport], frames: Mapping[int, tuple[str, float]], *, new_movers: int
    ) -> list[FrameDone]:
        """Describe what was made of frames.

        Parameters
        ----------
        reports : sequence of RunReport
            Of the runs that processed them.
        frames : dict
            File name and latency [s] by visit, of those that have just come; others that were processed, which an
            earlier process left or which depend on something new, are described too, without latency.
        new_movers : int
            Number of tracks that are new, told with the last frame.

        Returns
        -------
        list of FrameDone
            One per visit and detector, in order of time.
        """
        outcomes = [outcome for report in reports if report.executed for outcome in report.outcomes]
        visits = {int(o.data_id["visit"]) for o in outcomes if o.label in _PER_FRAME} | set(frames)
        if not visits:
            return []
        where = f"exposure IN ({', '.join(map(str, sorted(visits)))})"
        found = []
        for ref in self.home.query("raw", collections=f"{self.camera}/raw/all", where=where):
            visit, detector = int(ref.dataId["exposure"]), int(ref.dataId["detector"])
            facts = self._facts(visit, detector)
            problems = [f"{o.label}: {o.message}" for o in outcomes if _is_problem(o, visit, detector)]
            if facts["n_dia_source"] > max(_FEW, _SUSPECT * facts["n_source"]):
                problems.append("the difference is full of detections: is a flat missing, or the template another's?")
            name, latency = frames.get(visit) or (self.home.butler.getURI(ref).basename(), float("nan"))
            found.append(FrameDone(
                frame=name, visit=visit, detector=detector, band=str(ref.dataId["band"]),
                **facts, new_movers=0, problem="; ".join(problems), latency_s=latency,
            ))  # fmt: skip
        return [*found[:-1], replace(found[-1], new_movers=new_movers)] if found else []

    def tracks(self) -> list[frozenset[int]]:
        """Return the detections of every track so far."""
        if not own_collections(self.home, self.output):
            return []
        refs = self.home.query("tracklet_source", collections=self.output, where=f"day_obs = {self.day_obs}")
        found = []
        for ref in refs:
            members = self.home.get(ref, columns=["trackletId", "diaSourceId"])
            ids, tracks = np.asarray(members["diaSourceId"]), np.asarray(members["trackletId"])
            found += [frozenset(ids[tracks == track].tolist()) for track in np.unique(tracks)]
        return found

    def _facts(self, visit: int, detector: int) -> dict[str, Any]:
        where = f"visit = {visit} AND detector = {detector}"
        summaries = self.home.query("visit_summary", collections=self.output, where=f"visit = {visit}")
        differences = self.home.query("dia_source_detector", collections=self.output, where=where)
        facts: dict[str, Any] = {
            "seeing_arcsec": float("nan"), "zero_point_mag": float("nan"), "zero_point_kind": "", "n_source": -1,
            "n_dia_source": len(self.home.get(differences[0], columns=["diaSourceId"])) if differences else -1,
        }  # fmt: skip
        if summaries:
            table = self.home.get(summaries[0])
            row = np.flatnonzero(np.asarray(table["detector"]) == detector)
            if row.size:
                k = int(row[0])
                facts |= {
                    "seeing_arcsec": float(table["seeing"][k]), "zero_point_mag": float(table["zeroPoint"][k]),
                    "zero_point_kind": str(table["photoCalibKind"][k]), "n_source": int(table["nSource"][k]),
                }  # fmt: skip
        return facts

    @property
    def _where(self) -> str:
        return f"instrument='{self.camera}' AND skymap='{SKYMAP}' AND day_obs={self.day_obs}"

    def _common_inputs(self) -> list[str]:
        inputs = [f"{self.camera}/defaults"]
        return [*inputs, REFCATS] if self.home.has_collection(REFCATS) else inputs

    @cached_property
    def _own_templates(self) -> Sequence[str]:
        """Return the collection with the templates of earlier nights, and nothing else of those nights."""
        runs = own_collections(self.home, f"{self.camera}/ap")
        refs = self.home.query("template_coadd", collections=runs) if runs else ()
        return (tagged(self.home, f"{self.camera}/templates", refs),) if refs else ()

    def _of(self, visits: Collection[int] | None) -> str:
        return self._where if visits is None else f"{self._where} AND visit IN ({', '.join(map(str, sorted(visits)))})"

    def _run(
        self, pipeline: str, output: str, inputs: Sequence[str], where: str, workers: int = 1
    ) -> RunReport | None:  # fmt: skip
        """Run what changed; None where no data match."""
        try:
            return run_pipeline(
                self.home, pipeline, inputs=inputs, output=output, where=where, workers=workers, progress=False,
                reuse=True, stop=self.stop,
            )  # fmt: skip
        except NothingToDoError:
            return None

    def _finish_earlier(self, output: str, pipelines: Sequence[str]) -> RunReport | None:
        """Finish the run that a kill cut short, so that nothing of it runs again."""
        earlier = unfinished_run(self.home, output)
        if earlier is None:
            return None
        same = [name for name in pipelines if earlier["pipeline"] == str(load_pipeline(name))]
        if not same:
            return None
        try:
            return run_pipeline(
                self.home, same[0], inputs=earlier["inputs"], output=output, where=earlier["where"],
                workers=self.workers, resume=True, progress=False, stop=self.stop,
            )  # fmt: skip
        except InputError as error:
            if "stopped" in str(error):  # the disk: nothing else would work either
                raise
            return None


def _is_problem(outcome: QuantumOutcome, visit: int, detector: int) -> bool:
    own = outcome.data_id.get("visit") == visit and outcome.data_id.get("detector", detector) == detector
    return own and outcome.label in _PER_FRAME and outcome.status in ("defeated", "failed")
