"""The benchmark scripts are modules beside the package; they become importable, for their processes too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
