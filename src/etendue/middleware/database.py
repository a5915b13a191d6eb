"""The database of a repository: preparing PostgreSQL, and errors in words."""

import sqlite3
from collections.abc import Collection, Iterator

import sqlalchemy
from lsst.daf.butler.registry import ConflictingDefinitionError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from etendue.disk import disk_trouble
from etendue.errors import InputError

_WAIT_MIN = 5  # how long Rubin's code lets a writer of SQLite wait for the others
_RACES = ("deadlock detected", "could not serialize access")
_MEANINGS = {
    "database is locked": ("another process was writing for {wait} minutes", "wait for it and do it again; a repository"
                           " on PostgreSQL serves many writers at once"),
    "no such table": ("its database lacks a table", "restore it from a backup"),
    "malformed": ("its database is damaged", "restore it from a backup"),
    "not a database": ("its database is damaged", "restore it from a backup"),
    "could not translate host name": ("there is no such database server", "check the URL"),
    "Connection refused": ("the database server does not answer", "start it, or check the URL"),
    "No such file or directory": ("the database server does not answer", "start it, or check the URL"),
    "password authentication failed": ("the database server refuses this user", "put the password into ~/.pgpass"),
    "no password supplied": ("the database server wants a password", "put it into ~/.pgpass"),
    "does not exist": ("{first}", "check the URL, or create it on the server"),
    "permission denied": ("{first}", "ask the owner of the database"),
    "server closed the connection": ("the connection to the database broke", "do it again"),
    "terminating connection": ("the database server ended the connection", "do it again"),
    "connection already closed": ("the connection to the database broke", "do it again"),
    "SSL connection has been closed": ("the connection to the database broke", "do it again"),
    "deadlock detected": ("two writers waited for each other", "do it again"),
    "could not serialize access": ("another process changed the same entries", "do it again"),
    "remaining connection slots": ("the database server has no connection left", "end other programs, or raise"
                                   " max_connections"),
    "too many clients": ("the database server has no connection left", "end other programs, or raise max_connections"),
}  # fmt: skip


def database_trouble(error: BaseException) -> InputError | None:
    """Return what is wrong with a database, and what to do, in one line.

    Parameters
    ----------
    error : BaseException
        Any error.

    Returns
    -------
    InputError or None
        None where neither the error nor a cause of it is a database's, where its words are not known, or where the
        disk is the cause.
    """
    if disk_trouble(error):  # what follows from it, such as a table that could not be made, is not the cause
        return None
    for cause in _causes(error):
        if isinstance(cause, SQLAlchemyError | sqlite3.Error) or type(cause).__module__.startswith("psycopg2"):
            for words, (meaning, remedy) in _MEANINGS.items():
                if words in str(cause):
                    told = meaning.format(wait=_WAIT_MIN, first=_first_line(cause))
                    return InputError(told, source="database", remedy=remedy)
        if isinstance(cause, IntegrityError):
            return InputError("another process wrote the same entries", source="database", remedy="do it again")
    return None


def lost_race(error: BaseException) -> bool:
    """Return whether another writer was faster, so that looking again and doing the rest will succeed.

    Parameters
    ----------
    error : BaseException
        Any error.
    """
    return any(
        isinstance(cause, IntegrityError | ConflictingDefinitionError)
        or (isinstance(cause, SQLAlchemyError) and any(words in str(cause) for words in _RACES))
        for cause in _causes(error)
    )


def postgresql_url(database: str) -> str:
    """Return the URL of a PostgreSQL database as Rubin's code needs it, with the driver named.

    Parameters
    ----------
    database : str
        ``postgresql://user@host/name``.

    Raises
    ------
    InputError
        It is no such URL, or holds a password, which everybody who can read the repository could read.
    """
    try:
        url = make_url(database)
    except ArgumentError as error:
        raise InputError("is no database URL", value=database, remedy="as in postgresql://user@host/name") from error
    if url.get_backend_name() != "postgresql":
        raise InputError("databases are SQLite inside the folder, or PostgreSQL", value=database,
                         remedy="as in postgresql://user@host/name")  # fmt: skip
    if url.password is not None:
        raise InputError("a password in the URL would be kept in butler.yaml for all to read",
                         source=url.render_as_string(), remedy="put it into ~/.pgpass and leave it out")  # fmt: skip
    return url.set(drivername="postgresql+psycopg2").render_as_string()


def prepare_postgresql(database: str, schema: str | None = None) -> frozenset[str]:
    """Make a PostgreSQL database ready for a repository.

    Parameters
    ----------
    database : str
        Its URL.
    schema : str, optional
        Made when missing.

    Returns
    -------
    frozenset of str
        Names of the tables that it holds already.

    Raises
    ------
    InputError
        The database holds a repository already.
    """
    engine = sqlalchemy.create_engine(postgresql_url(database))
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE EXTENSION IF NOT EXISTS btree_gist"))  # for validity ranges
            if schema is not None:
                connection.execute(sqlalchemy.schema.CreateSchema(schema, if_not_exists=True))
            present = frozenset(sqlalchemy.inspect(connection).get_table_names(schema=schema))
            if "butler_attributes" in present:
                raise InputError("holds a repository already", source=_shown(engine.url, schema),
                                 remedy="choose another database, or another --schema")  # fmt: skip
            return present
    finally:
        engine.dispose()


def drop_new_tables(database: str, schema: str | None, before: Collection[str]) -> None:
    """Drop the tables that a repository made before it failed.

    Parameters
    ----------
    database : str
        Its URL.
    schema : str, optional
        As of `prepare_postgresql`.
    before : collection of str
        Tables to leave alone.
    """
    engine = sqlalchemy.create_engine(postgresql_url(database))
    try:
        with engine.begin() as connection:
            made = sqlalchemy.MetaData()
            made.reflect(connection, schema=schema, only=lambda name, _: name not in before)
            made.drop_all(connection)
    finally:
        engine.dispose()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and everything that led to it."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _shown(url: URL, schema: str | None) -> str:
    return url.set(drivername="postgresql").render_as_string() + (f" schema {schema}" if schema else "")


def _first_line(error: BaseException) -> str:
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0].rpartition("FATAL: ")[2].removeprefix("ERROR: ").strip()
