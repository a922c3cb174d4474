"""What is said about one kind of values."""

import typing

Parts = typing.List[typing.Tuple[str, typing.Any]]
"""Simpler values, each with the way to it as an error message shows it: ``.indices``, ``.iloc[:, 3]``."""


class Kind(typing.NamedTuple):
    """``name`` begins with the library's and goes into the skeleton; ``put_together`` takes the parts in their order.

    Without a name it is no kind of its own: the single part travels, and arrives, in place of the value.
    """

    name: str
    take_apart: typing.Callable[[typing.Any], Parts]
    put_together: typing.Callable[..., typing.Any]


def stand_in(convert: typing.Callable[[typing.Any], typing.Any]) -> Kind:
    """The kind of values in whose place what ``convert`` makes of them travels."""
    return Kind("", lambda value: [("", convert(value))], lambda part: part)


def attributes(*names: str) -> typing.Callable[[typing.Any], Parts]:
    """Takes a value apart into some of its attributes."""
    return lambda value: [("." + name, getattr(value, name)) for name in names]


def named(*kinds: Kind) -> typing.Dict[str, Kind]:
    return {kind.name: kind for kind in kinds}
