"""Where in an image the errors are."""

from __future__ import annotations

import typing

import numpy as np

from tfkernels.comparison.dtypes import working

SIDE = 64
"""Pixels, at most, of a picture's height and width."""

LIMIT = 1 << 20
"""Elements. Of more, evenly spaced images are looked at, or no picture is made."""

_CHANNELS = 4


def error_image(baseline: typing.Any, other: typing.Any) -> typing.Any:
    """The absolute errors of image-like arrays as a float32 array (height, width), each the largest of its cell, of all
    channels and images. ``None`` for other arrays.

    Image-like are (height, width), (height, width, channels <= 4), (images, height, width) and (images, height, width,
    channels), with sides from 4 on.
    """
    a, b = (_images(array) for array in (baseline, other))
    if a is None or b is None or min(a.shape[1:3]) < 4 or not a.size:
        return None
    step = -(-a.size // LIMIT)
    if step > len(a):
        return None
    number = working(a.dtype, b.dtype)
    with np.errstate(all="ignore"):
        error = np.abs(a[::step].astype(number) - b[::step].astype(number)).max(axis=(0, 3)).astype(np.float32)
    for axis in (0, 1):
        cell = -(-error.shape[axis] // SIDE)
        error = np.maximum.reduceat(error, np.arange(0, error.shape[axis], cell), axis=axis)
    return error


def _images(array: typing.Any) -> typing.Any:
    """(images, height, width, channels), or ``None``."""
    if array.ndim == 2:
        return array[np.newaxis, :, :, np.newaxis]
    if array.ndim == 3:
        return array[np.newaxis] if array.shape[2] <= _CHANNELS else array[..., np.newaxis]
    return array if array.ndim == 4 else None
