"""SQL on tables: a DuckDB that can read what it was given and nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from etendue.errors import InputError


class LockedDuckDB:
    """An in-memory DuckDB without network, extensions or files other than its views'.

    Parameters
    ----------
    relations : mapping of str to pyarrow.Table or str
        What each view shows: a table in memory, or a SELECT statement.
    directories : sequence of Path
        Directories whose files the views may read.
    threads : int
        Threads for each query.
    memory_limit : str
        Limit in DuckDB's syntax; queries that need more fail, because nothing is spilled to disk.
    """

    def __init__(
        self,
        relations: Mapping[str, pa.Table | str],
        *,
        directories: Sequence[Path] = (),
        threads: int = 1,
        memory_limit: str = "4GB",
    ) -> None:
        self._connection = duckdb.connect(":memory:", config={"python_enable_replacements": False})
        allowed = [f"{path.resolve()}/" for path in directories]
        self._connection.execute(f"SET allowed_directories = [{', '.join(map(quote_string, allowed))}]")
        self._connection.execute(f"SET threads = {int(threads)}; SET memory_limit = {quote_string(memory_limit)}")
        self._connection.execute("SET parquet_metadata_cache = true")  # the files of an archive never change
        self._connection.execute("SET temp_directory = ''; SET enable_external_access = false")
        for name, relation in relations.items():
            self._create(name, relation)
        self._connection.execute("SET lock_configuration = true")

    def _create(self, name: str, relation: pa.Table | str) -> None:
        if isinstance(relation, str):
            self._connection.execute(f"CREATE VIEW {quote_name(name)} AS {relation}")
        else:
            self._connection.register(name, relation)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Return the result of one SELECT statement.

        Parameters
        ----------
        sql : str
            One SELECT in DuckDB's SQL.
        parameters : sequence
            Values for the ``?`` in the statement.

        Returns
        -------
        pyarrow.Table

        Raises
        ------
        InputError
            If the statement is something else, is wrong, or reads what it may not.
        """
        try:
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise InputError("only one SELECT statement is allowed", source="query", value=sql,
                                 remedy="ask one thing at a time")  # fmt: skip
            return self._connection.sql(sql, params=list(parameters) or None).to_arrow_table()
        except duckdb.Error as error:
            raise InputError(_first_line(error), source="query", value=sql, remedy="correct the SQL") from None

    def close(self) -> None:
        """Free the memory; the object cannot be used afterwards."""
        self._connection.close()


def quote_string(text: str) -> str:
    """Return an SQL string literal.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
    """
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Return a quoted SQL identifier.

    Parameters
    ----------
    name : str
        Any name.

    Returns
    -------
    str
    """
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("LINE ")]
    hints = [line for line in lines[1:] if line.startswith(("Did you", "Candidate"))]
    return " ".join(lines[:1] + hints)
