"""Hold the size budgets: functions of at most 50 code lines, files of at most 600 lines.

Code lines are those without docstrings, comments and blank lines. Exits with 1 and names every offender.
"""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

MAX_FUNCTION = 50
MAX_FILE = 600
_SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def _code_lines(source: str, tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def _offenders(path: Path) -> Iterator[str]:
    source = path.read_text()
    length = len(source.splitlines())
    if length > MAX_FILE:
        yield f"{path}: {length} lines (at most {MAX_FILE})"
    tree = ast.parse(source)
    code = _code_lines(source, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = len(code.intersection(range(node.lineno, (node.end_lineno or node.lineno) + 1)))
            if size > MAX_FUNCTION:
                yield f"{path}:{node.lineno} {node.name}: {size} code lines (at most {MAX_FUNCTION})"


def main() -> int:
    """Check every Python file below the folders given, by default ``src`` and ``tests``."""
    roots = [Path(name) for name in sys.argv[1:]] or [Path("src"), Path("tests"), Path("benchmarks"), Path("tools")]
    found = [line for root in roots for path in sorted(root.rglob("*.py")) for line in _offenders(path)]
    print("\n".join(found) or "sizes are within budget")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
