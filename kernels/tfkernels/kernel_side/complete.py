"""Fast completions for a notebook that calls this kernel: names that are here, then IPython's, then Jedi's.

See docs/design/kernel-side.md.
"""

import builtins
import functools
import inspect
import keyword
import re
import types
import typing

from tfkernels.protocol import COMPLETE_MODE, MATCH_TYPES

Reply = typing.Dict[str, typing.Any]

Types = typing.Dict[str, str]
"""Jedi's words for the types of things, by name."""

# A name in plain code: not in the arguments of a call, which have names of their own, nor in a magic.
_STATEMENT = re.compile(r"(?:^|\n)(?!\s*(?:import|from)\b)[^\n%!?'\"\\(\[{]*(?<![\w.])([^\W\d]\w*)$")
_NAME = re.compile(r"(?<![\w.\])}'\"])[^\W\d]\w*$")
_ATTRIBUTE = re.compile(r"(?<![\w.\])}'\"])([^\W\d]\w*(?:\.[^\W\d]\w*)*)\.(\w*)$")


def install_hook(kernel: typing.Any) -> None:
    native = kernel.do_complete
    shell = kernel.shell

    def do_complete(code: str, cursor_pos: int) -> typing.Any:
        mode = (shell.get_parent().get("content") or {}).get(COMPLETE_MODE)
        if not mode:
            return native(code, cursor_pos)
        before = code[:cursor_pos]
        types = _attributes(shell.user_ns, before) or (variables(shell, before) if mode == "value" else {})
        types = types or _names(shell, before)
        if types:
            return _reply(before, types)
        return (_NAME.search(before) and _without_jedi(shell, native, code, cursor_pos)) or native(code, cursor_pos)

    kernel.do_complete = do_complete


def _attributes(namespace: typing.Dict[str, typing.Any], before: str) -> Types:
    """After ``a.b.``, as IPython finds them, but without its limit of 500: TensorFlow has more."""
    found = _ATTRIBUTE.search(before)
    if found is None:
        return {}
    path, begun = found.groups()
    first, *steps = path.split(".")
    try:
        thing = functools.reduce(getattr, steps, namespace[first])
        names = [name for name in dir(thing) if isinstance(name, str) and name.startswith(begun)]
    except Exception:  # noqa: BLE001 (there is no such thing, or its code fails)
        return {}
    if not begun:
        names = [name for name in names if not name.startswith("_")]
    return {name: _type_of_attribute(thing, name) for name in names}


def _names(shell: typing.Any, before: str) -> Types:
    found = _STATEMENT.search(before)
    if found is None:
        return {}
    begun = found.group(1)
    types = {name: type_of(value) for name, value in vars(builtins).items() if name.startswith(begun)}
    types.update({name: "keyword" for name in keyword.kwlist if name.startswith(begun)})
    types.update(variables(shell, begun))
    return {name: types[name] for name in sorted(types)}


def variables(shell: typing.Any, begun: str) -> Types:
    """The user's own names that begin so, with their types."""
    if begun and not begun.isidentifier():
        return {}
    hidden = getattr(shell, "user_ns_hidden", {})
    return {
        name: type_of(value)
        for name, value in sorted(shell.user_ns.items())
        if name.startswith(begun) and (begun or not name.startswith("_")) and name not in hidden
    }


def _without_jedi(shell: typing.Any, native: typing.Any, code: str, cursor: int) -> typing.Optional[Reply]:
    """IPython's completions; ``None`` if there are none, and Jedi might find some."""
    completer = shell.Completer
    jedi = completer.use_jedi
    completer.use_jedi = False
    try:
        reply: Reply = native(code, cursor)
    finally:
        completer.use_jedi = jedi
    if not reply["matches"]:
        return None
    for match in reply["metadata"].get(MATCH_TYPES, ()):
        if match["text"] in shell.user_ns:
            match["type"] = type_of(shell.user_ns[match["text"]])
    return reply


def _reply(before: str, types: Types) -> Reply:
    """Matches for the word that ends at the cursor."""
    end = len(before)
    start = end - len(re.split(r"\W", before)[-1])
    matches = [{"start": start, "end": end, "text": name, "type": types[name], "signature": ""} for name in types]
    reply = {"matches": list(types), "cursor_start": start, "cursor_end": end, "metadata": {MATCH_TYPES: matches}}
    return dict(reply, status="ok")


def _type_of_attribute(thing: typing.Any, name: str) -> str:
    try:
        return type_of(inspect.getattr_static(thing, name))  # runs no code of the object
    except Exception:  # noqa: BLE001 (made by ``__getattr__``, or an object that likes no looks)
        return "instance"


def type_of(thing: typing.Any) -> str:
    """Jedi's word for the type."""
    kind = type(thing)  # an object may lie about its class, or import half of TensorFlow to tell it
    if issubclass(kind, types.ModuleType):
        return "module"
    if issubclass(kind, type):
        return "class"
    if issubclass(kind, (staticmethod, classmethod)) or inspect.isroutine(thing):
        return "function"
    return "property" if issubclass(kind, property) else "instance"
