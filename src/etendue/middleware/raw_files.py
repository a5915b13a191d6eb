"""Raw frames that stay where the user has them, and may be replaced there."""

from collections.abc import Collection

from etendue.middleware.overrides import correct_records
from etendue.middleware.repository import Repository


def forget_raws(repository: Repository, camera: str, exposures: Collection[int]) -> int:
    """Take raw frames out of a repository, so that their files can be ingested anew; the files stay.

    What was made of them stays too, until a run finds that its inputs are others.

    Parameters
    ----------
    repository : Repository
        Writeable; it refers to the files where they are.
    camera : str
        Registered camera.
    exposures : collection of int
        Which frames; unknown ones are passed over.

    Returns
    -------
    int
        Number of frames taken out.
    """
    where = f"exposure IN ({', '.join(map(str, sorted(exposures)))})"
    refs = repository.query("raw", collections=f"{camera}/raw/all", where=where) if exposures else ()
    if refs:
        with repository.writing() as butler:
            butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
        repository.butler.registry.refresh()
    return len(refs)


def follow_headers(repository: Repository, camera: str, exposures: Collection[int]) -> None:
    """Make records and visits of exposures say what their headers say now.

    Parameters
    ----------
    repository : Repository
        Writeable.
    camera : str
        Registered camera.
    exposures : collection of int
        Which exposures; those that are no visit yet become one.
    """
    chosen = repository.camera(camera)
    with repository.writing(collections=[f"{camera}/raw/all"]) as butler:
        correct_records(butler, chosen, exposures, repository.overrides(camera).said(butler))
    repository.define_visits(camera, again=exposures)
