"""Process what there is of a night, and read what was made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.app.quickstart import SKYMAP
from etendue.app.watching.events import FrameDone
from etendue.errors import InputError
from etendue.middleware.changes import own_collections
from etendue.middleware.executor import run_pipeline
from etendue.middleware.journal import QuantumOutcome
from etendue.middleware.pipeline import load_pipeline
from etendue.middleware.refcats import REFCAT_RUN
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport
from etendue.middleware.unfinished import unfinished_run

_PER_FRAME = (
    "calibrate_image", "finalize_single_visit", "summarize_visit", "subtract_external", "subtract_images",
)  # fmt: skip


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
        return "watch_own" if self._own_templates() else "watch"

    def process(self, *, frames: int) -> RunReport:
        """Process everything that is new, and finish what an earlier process left.

        Parameters
        ----------
        frames : int
            Number of new frames: a single one is processed in this process, which saves the start of workers.

        Returns
        -------
        RunReport

        Raises
        ------
        InputError
            If there is nothing to do, or the disk refuses.
        """
        self._finish_earlier()
        inputs = [*([self.templates] if self.templates else self._own_templates()), *self._common_inputs()]
        return run_pipeline(
            self.home, self.pipeline, inputs=inputs, output=self.output, where=self._where,
            workers=min(self.workers, max(frames, 1)), progress=False, reuse=True, stop=self.stop,
        )  # fmt: skip

    def update_curves(self) -> RunReport:
        """Update the light curves of all stars on the frames so far.

        Returns
        -------
        RunReport

        Raises
        ------
        InputError
            If there is nothing to do, or the disk refuses.
        """
        return run_pipeline(
            self.home, "watch_curves", inputs=[self.output, *self._common_inputs()], output=self.curves_output,
            where=self._where, workers=1, progress=False, reuse=True, stop=self.stop,
        )  # fmt: skip

    def done(self, report: RunReport, frames: dict[int, tuple[str, float]], *, new_movers: int) -> list[FrameDone]:
        """Describe what was made of frames.

        Parameters
        ----------
        report : RunReport
            Of the run that processed them.
        frames : dict
            File name and latency [s] by visit.
        new_movers : int
            Number of tracks that are new, told with the last frame.

        Returns
        -------
        list of FrameDone
            One per visit and detector, in order of time.
        """
        where = f"visit IN ({', '.join(map(str, sorted(frames)))})"
        raws = self.home.query("raw", collections=f"{self.camera}/raw/all", where=where.replace("visit", "exposure"))
        found = []
        for ref in raws:
            visit, detector = int(ref.dataId["exposure"]), int(ref.dataId["detector"])
            facts = self._facts(visit, detector)
            problems = [o for o in report.outcomes if _is_problem(o, visit, detector)]
            name, latency = frames[visit]
            found.append(FrameDone(
                frame=name, visit=visit, detector=detector, band=str(ref.dataId["band"]), **facts, new_movers=0,
                problem="; ".join(f"{o.label}: {o.message}" for o in problems), latency_s=latency,
            ))  # fmt: skip
        if found:
            last = found[-1]
            found[-1] = FrameDone(**{name: getattr(last, name) for name in last.__slots__} | {"new_movers": new_movers})
        return found

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
        return [*inputs, REFCAT_RUN] if self.home.has_collection(REFCAT_RUN) else inputs

    def _own_templates(self) -> Sequence[str]:
        """Return the collections with templates of earlier nights."""
        runs = own_collections(self.home, f"{self.camera}/ap")
        return runs if runs and self.home.query("template_coadd", collections=runs) else ()

    def _finish_earlier(self) -> None:
        """Finish the run that a kill cut short, so that nothing of it runs again."""
        earlier = unfinished_run(self.home, self.output)
        if earlier is None or earlier["pipeline"] != str(load_pipeline(self.pipeline)):
            return
        try:
            run_pipeline(
                self.home, self.pipeline, inputs=earlier["inputs"], output=self.output, where=earlier["where"],
                workers=self.workers, resume=True, progress=False, stop=self.stop,
            )  # fmt: skip
        except InputError as error:
            if "stopped" in str(error):  # the disk: nothing else would work either
                raise


def _is_problem(outcome: QuantumOutcome, visit: int, detector: int) -> bool:
    own = outcome.data_id.get("visit") == visit and outcome.data_id.get("detector", detector) == detector
    return own and outcome.label in _PER_FRAME and outcome.status in ("defeated", "failed")
