"""The marker ``tf``: a test that is for some TensorFlow releases only."""

import typing

import pytest
from packaging.specifiers import InvalidSpecifier, SpecifierSet

LINE = 'tf(specifier): runs the test on these TensorFlow releases only, such as ">=1.15,<2"'


def skip_other_releases(items: typing.Iterable[typing.Any], version: str) -> None:
    """Skips the tests whose marker excludes the release ``version``. Raises ``pytest.UsageError`` for a bad marker."""
    for item in items:
        for mark in item.iter_markers("tf"):
            try:
                (specifier,) = mark.args
                wanted = SpecifierSet(specifier)
            except (ValueError, TypeError, AttributeError, InvalidSpecifier):
                arguments = ", ".join(map(repr, mark.args))
                raise pytest.UsageError(
                    f"{item.nodeid}: the marker tf({arguments}) is not valid. Write the releases as one text, such as: "
                    'tf(">=1.15,<2")'
                ) from None
            if not wanted.contains(version, prereleases=True):
                item.add_marker(pytest.mark.skip(reason=f"for TensorFlow {specifier}, this is {version}"))
                break
