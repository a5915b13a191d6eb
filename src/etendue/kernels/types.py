"""Names for the array types in kernel signatures.

Inputs are read-only C-contiguous arrays, which also accept writable ones; outputs that a caller
provides are writable and C-contiguous (the names ending in ``_OUT``).
"""

from numba import types

F32_1D = types.Array(types.float32, 1, "C", readonly=True)
F32_2D = types.Array(types.float32, 2, "C", readonly=True)
F32_3D = types.Array(types.float32, 3, "C", readonly=True)
F64_1D = types.Array(types.float64, 1, "C", readonly=True)
F64_2D = types.Array(types.float64, 2, "C", readonly=True)
F64_3D = types.Array(types.float64, 3, "C", readonly=True)
I32_1D = types.Array(types.int32, 1, "C", readonly=True)
I32_2D = types.Array(types.int32, 2, "C", readonly=True)
I64_1D = types.Array(types.int64, 1, "C", readonly=True)
I64_2D = types.Array(types.int64, 2, "C", readonly=True)
BOOL_1D = types.Array(types.boolean, 1, "C", readonly=True)
BOOL_2D = types.Array(types.boolean, 2, "C", readonly=True)
BOOL_3D = types.Array(types.boolean, 3, "C", readonly=True)
F32_2D_OUT = types.Array(types.float32, 2, "C")
F32_3D_OUT = types.Array(types.float32, 3, "C")
F64_1D_OUT = types.Array(types.float64, 1, "C")
F64_2D_OUT = types.Array(types.float64, 2, "C")
I32_2D_OUT = types.Array(types.int32, 2, "C")
BOOL_1D_OUT = types.Array(types.boolean, 1, "C")
BOOL_2D_OUT = types.Array(types.boolean, 2, "C")
BOOL_3D_OUT = types.Array(types.boolean, 3, "C")
F64 = types.float64
F32 = types.float32
I64 = types.int64
I32 = types.int32
BOOL = types.boolean
