"""Any array of features as clips: (T, D), or (C, T, D) for C crops with the centre first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.system.inputs import InputError


def as_clips(array: NDArray[Any], crops_axis: int, centre: int) -> NDArray[Any] | None:
    """Return an array as clips, in float16 if it is that, else in float32.

    Args:
        array: (T, D); (D,), which is one clip; or of three axes. Further axes must have length 1.
        crops_axis: of an array with three axes; 0 = (C, T, D), 1 = (T, C, D).
        centre: which crop is the centre.

    Returns:
        The clips; None where there are none, or where all are NaN: the stream is absent.

    Raises:
        InputError: it has another shape, or holds something other than finite numbers.
    """
    if array.dtype.kind not in "fiu":
        raise InputError(f"holds {array.dtype}, not numbers")
    dims = array.shape
    if array.ndim > 3:
        array = array.reshape([size for size in dims if size != 1])
    if array.ndim == 1 and array.size:
        array = array[None]
    if array.ndim not in (2, 3):
        raise InputError(f"has shape {dims}; expected (T, D), or (C, T, D) for C crops")
    if array.ndim == 3:
        array = array if crops_axis == 0 else array.transpose(1, 0, 2)
        if centre >= len(array) > 1:
            raise InputError(f"has {len(array)} crops; there is no crop {centre}")
        if centre and len(array) > 1:
            array = array[[centre, *(crop for crop in range(len(array)) if crop != centre)]]
    if 0 in array.shape:
        return None
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float16 if array.dtype == np.float16 else np.float32)
    finite = np.isfinite(array)
    if finite.all():
        return array
    if np.isnan(array).all():
        return None
    clip = int(np.argmin(finite.all(axis=-1).reshape(-1, array.shape[-2]).all(axis=0)))
    raise InputError(f"clip {clip} holds NaN or infinity")
