"""Write the catalogs of a survey, one file per table and night."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache, partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from etendue.errors import InputError
from etendue.log import get_logger
from etendue.processes import in_processes
from etendue.simulate.catalogs.catalog_maker import CatalogMaker
from etendue.simulate.catalogs.expected import KINDS
from etendue.simulate.catalogs.growing_file import growing_table, growing_truth
from etendue.simulate.catalogs.visit import LOST
from etendue.simulate.surveys.planned import planned
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.surveys.truth_tables import SurveyTruth, object_tables

_log = get_logger(__name__)
_SUMMARY = "visit_summary"
_CODES = {"kind": KINDS, "lost": LOST}


def write_catalogs(
    spec: SurveySpec, folder: Path, seed: int = 1, *, workers: int = 1, tell: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Write the catalogs of a survey without making its frames.

    Parameters
    ----------
    spec : SurveySpec
        What is simulated; its ``catalog`` says how deep, exact and clean.
    folder : Path
        Made if needed: ``source/NIGHT.parquet``, ``dia_source/NIGHT.parquet`` and ``visit_summary/NIGHT.parquet``,
        in ``truth`` the object of every row (``source``, ``dia_source``) and all objects (``objects_LAYER``).
    seed : int
        Equal seeds give equal files, whatever the number of workers.
    workers : int
        Processes; each makes whole nights. No more than a row group of each table is held at a time.
    tell : callable, optional
        Called with the number of nights that are made, and that are wanted.

    Returns
    -------
    dict of str to int
        Rows by table.

    Raises
    ------
    InputError
        If something in the survey is wrong, or no catalog is wanted.
    """
    maker = _planned(spec, seed)
    if not maker.names:
        raise InputError("no catalog is wanted", source="catalog", remedy="set source or dia_source")
    nights = sorted({exposure.day_obs for exposure in maker.survey.exposures})
    for name in (*maker.names, _SUMMARY, *(f"truth/{name}" for name in maker.names)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    total: dict[str, int] = {}
    made = in_processes(partial(_make, spec, seed, folder), nights, workers=workers, preload=__name__)
    for done, (_, rows) in enumerate(made, start=1):
        total = {name: total.get(name, 0) + count for name, count in rows.items()}
        if tell is not None:
            tell(done, len(nights))
    SurveyTruth(object_tables(maker.survey)).write(folder / "truth")
    _log.info("made catalogs of %s: %d exposures in %s", spec.name, len(maker.survey.exposures), folder)
    return total


def write_night(maker: CatalogMaker, folder: Path, night: int) -> dict[str, int]:
    """Write the catalogs of one night.

    Parameters
    ----------
    maker : CatalogMaker
        Makes the catalogs.
    folder : Path
        Holds the folders that `write_catalogs` names.
    night : int
        Night, YYYYMMDD.

    Returns
    -------
    dict of str to int
        Rows by table.
    """
    exposures = [exposure for exposure in maker.survey.exposures if exposure.day_obs == night]
    with ExitStack() as stack:
        tables = {
            name: stack.enter_context(growing_table(folder / name / f"{night}.parquet"))
            for name in (_SUMMARY, *maker.names)
        }
        truths = {
            name: stack.enter_context(growing_truth(folder / "truth" / name / f"{night}.parquet", _CODES))
            for name in maker.names
        }
        for exposure in exposures:
            summary = maker.summary(exposure)
            tables[_SUMMARY].add(summary, len(summary))
            for name, made in maker.make(exposure).items():
                tables[name].add(made.table, len(made.table))
                truths[name].add(made.truth, made.truth["object_id"].size)
    return {name: file.rows for name, file in tables.items()}


def _make(spec: SurveySpec, seed: int, folder: Path, night: int) -> dict[str, int]:
    with threadpool_limits(1):
        return write_night(_planned(spec, seed), folder, night)


def _planned(spec: SurveySpec, seed: int) -> CatalogMaker:
    """Return what makes the catalogs, planned once per process."""
    return _made_of(planned(spec, seed))


@lru_cache(maxsize=1)
def _made_of(survey: Survey) -> CatalogMaker:
    return CatalogMaker(survey)
