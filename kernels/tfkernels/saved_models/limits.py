"""Limits of what is read from a file, and the error for a file that exceeds them or is damaged."""

from typing import Any, Iterable, Tuple

from tfkernels.errors import UnreadableFile

MOST_EXPANSION = 64
"""How many times larger than its file a content may be. Models compress to a third; bombs expand 1,000 times."""

FREE_EXPANSION = 16 << 20
"""What may always be expanded, in bytes: zeros compress well."""

MOST_TEXT = 256 << 20
"""The longest JSON text or graph, in bytes; protobuf allows 2 GB, and the largest known graphs have 100 MB."""

MOST_DEPTH = 100
"""The deepest nesting, as in protobuf's own readers."""

MOST_PARTS = 1_000_000
"""The most tensors, nodes or entries; the largest known models have 10,000."""

MOST_DIMENSIONS = 254
"""As many as TensorFlow allows."""


def check_expansion(content: int, stored: int, what: str) -> None:
    """Refuses ``content`` bytes from ``stored`` ones if no model of this world compresses so well."""
    if content > MOST_EXPANSION * stored + FREE_EXPANSION:
        raise UnreadableFile(f"{what} would expand from {stored:,} to {content:,} bytes, as no model does")


def check_shape(shape: Iterable[Any], what: str) -> Tuple[int, ...]:
    sizes = tuple(int(size) for size in shape)
    if len(sizes) > MOST_DIMENSIONS or any(size < 0 for size in sizes):
        raise UnreadableFile(f"{what} has the impossible shape {list(sizes[:8])}")
    return sizes


def count_of(shape: Iterable[int]) -> int:
    """The number of values of an array. NumPy's would overflow."""
    count = 1
    for size in shape:
        count *= int(size)
    return count


def check_length(length: int, most: int, what: str) -> int:
    if length > most:
        raise UnreadableFile(f"{what}: {length:,} is more than the limit of {most:,}")
    return length
