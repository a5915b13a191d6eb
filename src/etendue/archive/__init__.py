"""The queryable catalog archive: HATS Parquet and DuckDB."""
