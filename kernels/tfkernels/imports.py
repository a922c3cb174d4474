"""Imports of our own code find nothing in the user's folder, where a ``numpy.py`` may lie.

A kernel has that folder on its path when its first cell runs, a script when it begins. So code that imports while they
run does so in ``own_imports``. What a cell imports is found as ever. See docs/design/kernel-side.md.
"""

import contextlib
import importlib.machinery
import os
import re
import sys
import threading
import traceback
import typing

from tfkernels.errors import ShadowedModule

_PathFinder = importlib.machinery.PathFinder


class _Own(threading.local):
    """Whether this thread imports for us. Other threads may import for the user at the same time."""

    imports = False


_thread = _Own()


@contextlib.contextmanager
def own_imports() -> typing.Iterator[None]:
    """Imports of this thread skip the user's folder.

    Raises ``ShadowedModule`` if they fail because a cell imported a file from there.
    """
    if _Finder not in sys.meta_path:
        before = sys.meta_path.index(_PathFinder) if _PathFinder in sys.meta_path else len(sys.meta_path)
        sys.meta_path.insert(before, _Finder)
    outer, _thread.imports = _thread.imports, True
    try:
        yield
    except (ImportError, AttributeError) as error:  # such a file lacks what the library has
        shadowed = _shadowed(error)
        if shadowed is None:
            raise
        raise ShadowedModule.of(*shadowed) from error
    finally:
        _thread.imports = outer


class _Finder:
    """``PathFinder`` without the user's folder, for modules that are imported for us.

    It inherits nothing: a second ``find_distributions`` would list every package twice.
    """

    @classmethod
    def find_spec(
        cls, fullname: str, path: typing.Any = None, target: typing.Any = None
    ) -> typing.Optional[importlib.machinery.ModuleSpec]:
        if path is not None or not _thread.imports:
            return None
        users, rest = _split_path()
        found = _PathFinder.find_spec(fullname, rest, target)
        if found is None and _PathFinder.find_spec(fullname, users, target) is not None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return found


def _split_path() -> typing.Tuple[typing.List[str], typing.List[str]]:
    """The user's folders on ``sys.path``, and the other entries.

    IPython adds an empty entry; Python puts the current folder, or that of the script, first.
    """
    first = set()
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script:
        first.add(os.path.dirname(os.path.realpath(script)))
    with contextlib.suppress(OSError):  # it is deleted
        first.add(os.getcwd())
    is_users = [not entry or (place == 0 and entry in first) for place, entry in enumerate(sys.path)]
    users = [entry for entry, user in zip(sys.path, is_users) if user]
    return users, [entry for entry, user in zip(sys.path, is_users) if not user]


def _shadowed(error: BaseException) -> typing.Optional[typing.Tuple[str, str]]:
    """The name and the file of an imported module of the user's that hides a library and led to the error."""
    users, rest = _split_path()
    for name in _modules_of(error):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            own = _PathFinder.find_spec(name, users)
            if own is not None and own.origin == file and _PathFinder.find_spec(name, rest) is not None:
                return name, file
    return None


def _modules_of(error: BaseException) -> typing.List[str]:
    """The top-level modules that an error and its causes name, and those whose code raised them."""
    names: typing.List[str] = []
    cause: typing.Optional[BaseException] = error
    while cause is not None:
        if isinstance(cause, ImportError) and cause.name:
            names.append(cause.name)
        elif isinstance(cause, ImportError):  # in Python 3.6, ``from x import y`` does not say what lacks ``y``
            for line in traceback.extract_tb(cause.__traceback__)[-1:]:
                names += re.findall(r"(?:from|import) +(\w+)", line.line or "")
        else:
            names += re.findall(r"module '(\w+)", str(cause))
        names += [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(cause.__traceback__)]
        cause = cause.__cause__ or cause.__context__
    return list(dict.fromkeys(name.partition(".")[0] for name in names))
