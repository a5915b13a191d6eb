import json

import numpy as np
import pytest

from etendue.errors import InputError
from etendue.image.crosstalk import Coupling, Crosstalk

LINEAR = [[0.0, 1e-4], [2e-4, 0.0]]


def test_survives_json_with_what_was_not_measured():
    own = Coupling.of(LINEAR, linear_err=[[np.nan, 1e-6], [1e-6, np.nan]])
    before = Crosstalk(("A", "B"), own, {7: Coupling.of([[1e-5], [0.0]], [[1e-10], [0.0]])})
    after = Crosstalk.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after.amplifiers == ("A", "B")
    assert after.partners == (7,)
    for one, other in ((before.own, after.own), (before.others[7], after.others[7])):
        for name in ("linear", "quadratic", "linear_err", "quadratic_err"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ([[0.0, np.nan], [0.0, 0.0]], "not finite or too large"),
        ([[0.0, 3.0], [0.0, 0.0]], "not finite or too large"),
        ([[0.1, 0.0], [0.0, 0.0]], "zeros on its diagonal"),
        ([[0.0]], "zeros on its diagonal"),
    ],
)
def test_matrices_that_cannot_be_are_refused(own, message):
    with pytest.raises(InputError, match=message):
        Crosstalk(("A", "B"), Coupling.of(own))


def test_matrices_of_other_shapes_are_refused():
    with pytest.raises(InputError, match="differ in shape"):
        Coupling.of(LINEAR, [[0.0]])
    with pytest.raises(InputError, match="not into 2 amplifiers"):
        Crosstalk(("A", "B"), Coupling.of(LINEAR), {3: Coupling.of([[1e-5]])})
