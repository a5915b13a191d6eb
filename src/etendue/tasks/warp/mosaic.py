"""Put images on one pixel grid together."""

from collections.abc import Sequence

import numpy as np

from etendue.errors import InputError
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask


def mosaic(exposures: Sequence[Exposure]) -> Exposure:
    """Fill the holes of the first exposure from the next ones.

    Detectors of one visit, or patches of one tract, meet or overlap by a few pixels; where two have data the
    earlier one is kept, so that no pixel mixes two noise realisations.

    Parameters
    ----------
    exposures : sequence of Exposure
        At least one, all on one box; a pixel without data is NO_DATA.

    Returns
    -------
    Exposure
        With the other parts of the first one.

    Raises
    ------
    InputError
        If there is none, or the boxes differ.
    """
    if not exposures:
        raise InputError("nothing to put together")
    first = exposures[0]
    if any(other.bbox != first.bbox for other in exposures):
        raise InputError("boxes differ", value=[other.bbox.to_list() for other in exposures])
    if len(exposures) == 1:
        return first
    image, variance, mask = first.image.array.copy(), first.variance.array.copy(), first.mask.array.copy()
    no_data = np.int32(1 << first.mask.planes["NO_DATA"])
    for other in exposures[1:]:
        fill = ((mask & no_data) != 0) & ((other.mask.array & no_data) == 0)
        image[fill], variance[fill], mask[fill] = (
            other.image.array[fill],
            other.variance.array[fill],
            other.mask.array[fill],
        )
    return first.replace(
        image=Image(image, first.bbox),
        variance=Image(variance, first.bbox),
        mask=Mask(mask, first.bbox, first.mask.planes),
    )
