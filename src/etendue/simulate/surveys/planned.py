"""The survey of a process: planned once, whatever number of frames it makes."""

from functools import lru_cache

from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey


def planned(spec: SurveySpec, seed: int) -> Survey:
    """Return a survey; the last one that this process asked for is not planned again.

    Parameters
    ----------
    spec : SurveySpec
        What is simulated.
    seed : int
        Seed of the survey.

    Returns
    -------
    Survey
    """
    return _plan(spec.model_dump_json(), seed)


@lru_cache(maxsize=1)
def _plan(spec: str, seed: int) -> Survey:
    return Survey.plan(SurveySpec.model_validate_json(spec), seed)
