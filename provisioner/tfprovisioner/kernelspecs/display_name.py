"""Names in the kernel picker: short, and different from each other."""

import re
from collections.abc import Container


def display_name(kernel: str, tensorflow: str, python: str, taken: Container[str] = (), *, gpu: bool = False) -> str:
    """``TensorFlow 1.15 · Python 3.7``; for an exact release ``TensorFlow 1.15.0 · Python 3.7``.

    The kernel's name is added if it is not a usual one, or if another kernel has the same display name (``taken``).
    """
    numbers = tensorflow.split(".")
    line = ".".join(numbers[:2])
    exact = kernel == f"tf{tensorflow}"
    shown = f"TensorFlow {tensorflow if exact else line} · Python {'.'.join(python.split('.')[:2])}{' · GPU' * gpu}"
    usual = exact or kernel in (f"tf{numbers[0]}", f"tf{line}")
    return shown if usual and shown not in taken else f"{shown} ({kernel})"


def order_of(tensorflow: str, kernel: str) -> tuple[tuple[int, ...], str]:
    """Sort key: 1.4 before 1.15."""
    return tuple(int(digits) for digits in re.findall(r"\d+", tensorflow)), kernel
