"""Fixtures whose value one TensorFlow release computes, for the tests on all releases.

The process of that release writes the value to a file; the others wait for it. Whoever waits has asked the command
that runs the tests, which sees to it that a file appears: the value, or the error.
"""

import functools
import hashlib
import os
import tempfile
import time
import traceback
import typing

import pytest

from tfkernels.errors import ExchangeError, TFKernelsError
from tfkernels.imports import own_imports

VALUE = "value"
"""The name that a reference has in its message."""

_INTERVAL = 0.05
"""Seconds between two looks for a file."""


class ReferenceFailed(TFKernelsError):
    """A release could not compute the value of a reference fixture."""


class Reference(typing.NamedTuple):
    """One reference fixture."""

    release: str
    function: typing.Callable[[], typing.Any]

    @property
    def key(self) -> str:
        """The same in all releases."""
        file = os.path.relpath(self.function.__code__.co_filename)
        return f"{self.release} {file}::{self.function.__qualname__}"


class Values:
    """The values of this run, in a folder that the processes of all releases share."""

    def __init__(self, folder: str, release: str, version: str, ask: typing.Callable[[str, str], None]) -> None:
        """``release`` and ``version`` are this process's. ``ask`` gets the release and the key of a missing value."""
        self._folder = folder
        self._own = (release, version)
        self._ask = ask

    def is_own(self, reference: Reference) -> bool:
        return reference.release in self._own or self._own[1].startswith(f"{reference.release}.")

    def get(self, reference: Reference) -> typing.Any:
        """The value. Raises ``ReferenceFailed``, ``ExchangeError``."""
        path = path_of(self._folder, reference.key)
        if not self._is_there(path):
            if self.is_own(reference):
                self.compute(reference)
            else:
                self._ask(reference.release, reference.key)
                while not self._is_there(path):
                    time.sleep(_INTERVAL)
        if os.path.exists(f"{path}.error"):
            with open(f"{path}.error", encoding="utf-8") as file:
                raise ReferenceFailed(file.read())
        with own_imports():
            from tfkernels.transfer import decoder
        with open(path, "rb") as content:
            return decoder.from_bytes(content.read())[VALUE]

    def compute(self, reference: Reference) -> None:
        """Writes the value, or the error, unless that was done before."""
        path = path_of(self._folder, reference.key)
        if self._is_there(path):
            return
        with own_imports():
            from tfkernels.transfer.encoder import ValueMessage  # imports NumPy
        try:
            content = ValueMessage({VALUE: reference.function()}).to_bytes()
        except ExchangeError as error:
            fail(self._folder, reference.key, f"its value cannot be passed to another release: {error}")
        except Exception:  # noqa: BLE001 (whatever the user's code raises is for those who wait)
            fail(self._folder, reference.key, f"it raised\n{traceback.format_exc().rstrip()}")
        else:
            _write(path, content)

    def _is_there(self, path: str) -> bool:
        return os.path.exists(path) or os.path.exists(f"{path}.error")


def path_of(folder: str, key: str) -> str:
    return os.path.join(folder, hashlib.sha256(key.encode()).hexdigest()[:32])


def fail(folder: str, key: str, why: str) -> None:
    """Says to all who wait that a value does not come."""
    release, _, name = key.partition(" ")
    text = f"The reference {name} was not computed in TensorFlow {release}: {why}"
    _write(f"{path_of(folder, key)}.error", text.encode("utf-8", "backslashreplace"))


def _write(path: str, content: typing.Union[bytes, bytearray]) -> None:
    """Whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    with open(handle, "wb") as file:
        file.write(content)
    os.replace(temporary, path)


declared: typing.Dict[str, Reference] = {}
"""The reference fixtures of all modules that were imported, by key."""

values: typing.Optional[Values] = None
"""Those of this run; ``None`` in a pytest without ``--tf``."""


def reference(release: str) -> typing.Callable[[typing.Callable[[], typing.Any]], typing.Any]:
    """A pytest fixture that is computed in one TensorFlow release only, once for a run of ``pytest --tf``.

    Tests on every release get its value::

        @tfkernels.testing.reference("1.15")
        def logits():
            return session.run(...)

        def test_port(logits):
            assert numpy.allclose(logits, port(x))

    ``release`` is one for ``tfkernels install``, or the name of a kernel. The function takes no arguments, and returns
    what can be passed to another kernel: arrays, numbers, texts, and containers of them. Without ``--tf``, tests that
    use it are skipped.
    """
    if not isinstance(release, str):
        raise TypeError("reference() needs the release as a text, such as reference('1.15')")

    def decorate(function: typing.Callable[[], typing.Any]) -> typing.Any:
        one = Reference(release, function)
        if function.__code__.co_argcount:
            raise TypeError(f"the reference {function.__name__} must not have arguments: it uses no other fixtures")
        declared[one.key] = one

        @functools.wraps(function)
        def value() -> typing.Any:
            if values is None:
                pytest.skip(f"the reference {function.__name__} needs TensorFlow {release}: run pytest --tf RELEASE")
            return values.get(one)

        value.tfkernels_reference = one  # type: ignore[attr-defined]
        return pytest.fixture(scope="session")(value)

    return decorate


def used_by(items: typing.Iterable[typing.Any]) -> typing.List[Reference]:
    """The reference fixtures of collected tests."""
    found = {}
    for item in items:
        fixtures = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
        for definitions in fixtures.values():
            one = getattr(definitions[-1].func, "tfkernels_reference", None)
            if one is not None:
                found[one.key] = one
    return list(found.values())
