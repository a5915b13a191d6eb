"""Runs that ended early: a kill, Ctrl-C, a full disk."""

from etendue.middleware.journal import FINISHED
from etendue.middleware.repository import Repository
from etendue.middleware.runs import latest
from etendue.middleware.signatures import RunSignatures


def unfinished_run(repository: Repository, output: str) -> dict[str, str] | None:
    """Return the latest run of an output if it left quanta, or products that the repository does not know yet.

    Parameters
    ----------
    repository : Repository
        The repository.
    output : str
        Chain of the runs.

    Returns
    -------
    dict of str to str or None
        Its ``pipeline``, ``inputs``, ``where`` and so on; None where there is nothing to finish.
    """
    journal = latest(repository.runs_folder, output)
    if journal is None:
        return None
    outcomes = journal.outcomes().values()
    written = {made for outcome in outcomes if outcome.status in FINISHED for made in outcome.outputs}
    planned = len(RunSignatures.load(journal.folder).quanta)
    if len(outcomes) >= planned and written <= journal.registered():
        return None
    return journal.description()
