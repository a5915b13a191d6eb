"""Count what is in the catalogs of a survey without pixels, by their truth."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq


def catalog_counts(folder: Path, area_deg2: float) -> dict[str, Any]:
    """Return rows, false detections per square degree, and movers that are seen twice and more in nights."""
    nights, pairs = [], []
    for path in sorted((folder / "truth" / "dia_source").glob("*.parquet")):
        table = pq.read_table(path, columns=["diaSourceId", "object_id", "visit", "lost"])
        row, number, visit = (table[name].to_numpy() for name in ("diaSourceId", "object_id", "visit"))
        seen = (row > 0) & (number > 0) & (table["lost"].to_numpy() == "")
        objects, count = np.unique(number[seen], return_counts=True)
        pairs.append(objects[count >= 2])
        false = int(np.sum((row > 0) & (number == 0)))
        nights.append({
            "night": path.stem, "visits": int(np.unique(visit).size), "rows": int(np.unique(row[row > 0]).size),
            "false_per_deg2": false / (np.unique(visit).size * area_deg2), "movers": int(objects.size),
            "movers_in_pairs": int(pairs[-1].size),
        })  # fmt: skip
    found, count = np.unique(np.concatenate(pairs), return_counts=True)
    return {"nights": nights, "movers_in_pairs_of_a_night": int(found.size),
            "by_number_of_nights": {int(n): int(np.sum(count == n)) for n in np.unique(count)}}  # fmt: skip
