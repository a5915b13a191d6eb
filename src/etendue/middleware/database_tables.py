"""Complete the tables of a repository's database where the disk was full when they were to be made.

Rubin's registry swallows the failure to make the tables of a dataset type (it takes it for another process that was
faster) and records the type without them. From then on every query of that type fails.
"""

import sqlalchemy
from lsst.daf.butler import Butler
from lsst.daf.butler.registry.datasets.byDimensions.tables import makeCalibTableSpec, makeTagTableSpec

from etendue.log import get_logger

_LOG = get_logger(__name__)


def complete_tables(butler: Butler) -> int:
    """Make the tables of dataset types that lack them.

    Parameters
    ----------
    butler : Butler
        Writeable.

    Returns
    -------
    int
        Number of tables made.

    Raises
    ------
    sqlalchemy.exc.OperationalError
        The disk is full or cannot be written.
    """
    butler.registry.refresh()  # a clone may have recorded the type
    database, managers = butler._registry._db, butler._registry._managers
    collections, spans = type(managers.collections), database.getTimespanRepresentation()
    present = set(sqlalchemy.inspect(database._engine).get_table_names(schema=database.namespace))
    missing = {}
    for dataset_type in butler.registry.queryDatasetTypes():
        tables = managers.datasets._get_dynamic_tables(dataset_type.dimensions)
        if tables.tags_name not in present:
            missing[tables.tags_name] = makeTagTableSpec(dataset_type.dimensions, collections)
        if tables.calibs_name is not None and tables.calibs_name not in present:
            missing[tables.calibs_name] = makeCalibTableSpec(dataset_type.dimensions, collections, spans)
    for name, spec in missing.items():
        table = database._metadata.add_table(database, name, spec)
        with database._transaction() as (_, connection):
            table.create(connection, checkfirst=True)
        _LOG.warning("made table %s, for which there was no room before", name)
    return len(missing)


def lacks_table(error: BaseException) -> bool:
    """Return whether an error says that a table of the database is missing.

    Parameters
    ----------
    error : BaseException
        Any error.
    """
    return type(error).__name__ == "MissingDatabaseTableError" or "no such table: dataset_" in str(error)
