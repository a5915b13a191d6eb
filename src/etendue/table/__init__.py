"""Schema-checked columnar tables and their file formats."""
