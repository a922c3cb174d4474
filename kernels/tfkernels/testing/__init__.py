"""Tests of a library on several TensorFlow releases: what runs in each release's Python, and what test files import.

Runs on Python 3.6 and newer. ``tfprovisioner.pytest_plugin`` starts ``start`` in each environment; test files import
``reference``. See docs/how-to/test-on-several-releases.md.
"""

from tfkernels.testing.references import ReferenceFailed, reference

__all__ = ["ReferenceFailed", "reference"]
