"""``%%NAME`` and ``%NAME`` for every registered kernel, ``%%in NAME`` for any other, and ``%%each``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.magic import no_var_expand
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from tfkernels.client import kernels_by_name, kernelspecs
from tfkernels.errors import CellsFailed, ExchangeError, RemoteError, RemoteInterrupt, UsageError, as_native
from tfkernels.imports import own_imports
from tfkernels.notebook import completion
from tfkernels.notebook.magic_arguments import cell_options, elsewhere, parse, parse_names
from tfkernels.notebook.tfkernels_magic import manage, start_early
from tfkernels.output import widgets
from tfkernels.output.relay import ShellRelay

if TYPE_CHECKING:
    from tfkernels.client.cell import Cell
    from tfkernels.client.kernel import Kernel

# Names that look like one of ours get our error, with the nearest names, instead of IPython's "not found".
_LOOKS_LIKE_OURS = re.compile(r"^\s*(?:\w+\s*=\s*)?%%?(tf\d[a-z0-9._-]*)", re.MULTILINE)

_EXAMPLE = "\nexample:\n\n  {}\n"


_OF_CELLS = (RemoteError, RemoteInterrupt, CellsFailed)


class Extension:
    """The additions of ``%load_ext tfkernels`` to one IPython shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._magics: set[str] = set()
        self._unknown: set[str] = set()
        shell.register_magic_function(manage, "line", "tfkernels")
        self._add("each", _each_magic(shell), "cell")
        self._add("in", _kernel_magic(shell, "in"), "line_cell")
        self.refresh()
        shell.events.register("pre_run_cell", self.refresh)
        shell.events.register("post_run_cell", self._forget_unknown)
        self._completion = completion.install(shell)
        start_early()

    def _add(self, name: str, magic: Any, kind: str) -> None:
        """Registers a magic, unless the user has another one of that name."""
        table = self._shell.magics_manager.magics
        if name not in table["cell"] and name not in table["line"]:
            self._shell.register_magic_function(magic, kind, name)
            self._magics.add(name)

    def unload(self) -> None:
        self._shell.events.unregister("pre_run_cell", self.refresh)
        self._shell.events.unregister("post_run_cell", self._forget_unknown)
        self._completion.close()
        self._remove({"tfkernels", *self._magics})
        for kernel in kernels_by_name.running():
            kernel.shutdown()
        widgets.release(getattr(self._shell, "kernel", None))

    def _remove(self, names: set[str]) -> None:
        for table in self._shell.magics_manager.magics.values():
            for name in names:
                table.pop(name, None)
        self._magics -= names

    def refresh(self, info: Any = None) -> None:
        """Before a cell with a magic: adds those of kernels that are installed or attached, and removes the others."""
        if info is not None and not any(word in (info.raw_cell or "") for word in ("%", "magic")):
            return  # the look at all folders takes an eighth of a small cell's time
        names = {*kernelspecs.find(), *(name for name in kernels_by_name.known if completion.is_kernel(name))}
        self._unknown = {*_LOOKS_LIKE_OURS.findall(info.raw_cell or "")} - names if info is not None else set()
        for name in (names | self._unknown) - self._magics:
            self._add(name, _kernel_magic(self._shell, name), "line_cell")
        self._remove(self._magics - names - self._unknown - {"each", "in"})

    def _forget_unknown(self, result: Any) -> None:  # noqa: ARG002 (IPython passes it)
        """After every cell, so that Tab does not offer a kernel that does not exist."""
        self._remove(self._unknown & self._magics)


def _kernel_magic(shell: Any, name: str) -> Any:
    """The magic of a kernel; ``in`` is that of any kernel, whose name is its first word."""
    named, note = name, ""
    if name == "in":
        named, note = "in NAME", "\nNAME is any Python kernel of the machine. Nothing is installed there."
    summary = f"Run the cell in kernel {named.split()[-1]}. `y = %{named} EXPR` takes one value from there.{note}"

    @magic_arguments(f"%{named}")
    @kwds(description=summary, epilog=_EXAMPLE.format(f"x = [1, 2, 3]\n\n  %%{named} -i x -o y\n  y = sum(x)"))
    @cell_options
    @argument(
        "--background",
        nargs="?",
        const="",
        metavar="HANDLE",
        help="return at once, with a handle: .result(), .done(), .cancel(), .exception(); it gets this name, if one is "
        "given. -o binds what it names when .result() is called",
    )
    def run(line: str, cell: str | None = None) -> Any:
        __tracebackhide__ = True  # for IPython: an error in -i is shown without our stack
        called = name
        if name == "in":
            called, line = (*line.split(None, 1), "", "")[:2]
            if not called or called.startswith("-"):
                raise UsageError("Write which kernel: %%in NAME. List the names with: jupyter kernelspec list")
        kernel = kernels_by_name.get(called)
        try:
            if cell is None:
                return _evaluate_there(kernel, line)
            return _run_cell(ShellRelay(shell, f"%%{name}"), shell, kernel, parse(run, line), cell)
        except _OF_CELLS as error:
            raise as_native(error) from None

    return no_var_expand(run)


def _each_magic(shell: Any) -> Any:
    @magic_arguments("%each")
    @kwds(
        usage="%(prog)s KERNEL [KERNEL ...] [-i NAMES] [-o NAMES] [--timeout S]",  # argparse puts kernels last
        epilog=_EXAMPLE.format("%%each tf1 tf2 -o version\n  import tensorflow as tf\n  version = tf.__version__"),
    )
    @argument("kernels", nargs="+", metavar="KERNEL", help="where the cell runs, at the same time")
    @cell_options
    def run(line: str, cell: str) -> None:
        """Run the cell in several kernels at the same time; an output is a dict by the kernel's name."""
        __tracebackhide__ = True
        with own_imports():
            from tfkernels.client.several_kernels import each

        arguments = parse(run, line)
        options = _options(shell, arguments)
        try:
            shell.push(each([kernels_by_name.get(name) for name in arguments.kernels], cell, **options))
        except _OF_CELLS as error:
            raise as_native(error) from None

    return no_var_expand(run)


def _run_cell(show: ShellRelay, shell: Any, kernel: Kernel, arguments: Any, code: str) -> Cell | None:
    __tracebackhide__ = True
    options, handle = _options(shell, arguments), arguments.background
    options["show"] = show
    if handle is None:
        shell.push(kernel.run(code, **options))
        return None
    if handle and not handle.isidentifier():
        raise UsageError(f"Cannot use --background {handle}: the handle must be a Python name.")
    cell = kernel.submit(code, **options, deliver=shell.push)
    if handle:
        shell.push({handle: cell})
    return cell


def _options(shell: Any, arguments: Any) -> dict[str, Any]:
    """Options of ``Kernel.run``: inputs with their values, the expressions of outputs, the time limit."""
    __tracebackhide__ = True
    inputs = {}
    for name, text in parse_names(arguments.input, "-i").items():
        inputs[name] = _evaluate_here(shell, text)
    return {"inputs": inputs, "outputs": parse_names(arguments.output, "-o"), "timeout": arguments.timeout}


def _evaluate_here(shell: Any, expression: str) -> Any:
    """The value of an input, or a reference to another kernel's value."""
    __tracebackhide__ = True
    kernel, expression_there = elsewhere(expression)
    if kernel is not None:
        return kernels_by_name.get(kernel).reference(expression_there)
    try:
        return shell.ev(expression)
    except NameError as error:
        raise ExchangeError(
            f"Cannot pass -i {expression}: {error} in this notebook. The cell was not run. Define the name in an "
            "earlier cell, or check its spelling."
        ) from None


def _evaluate_there(kernel: Kernel, line: str) -> Any:
    expression, magic = line.strip(), kernel.magic[1:]
    if expression.startswith(("-i ", "-o ")):
        raise UsageError(
            f"{magic} takes an expression and no options. For options, begin a cell with: %{magic} {expression}"
        )
    if not expression:
        raise UsageError(f"{magic} needs an expression to evaluate in kernel {kernel.name}: y = {magic} x + 1")
    if expression.startswith("?") or expression.endswith("?"):
        kernel.run(expression, store_history=False)  # help
        return None
    return kernel[expression]


_extensions: dict[int, Extension] = {}


def load(shell: Any) -> None:
    if id(shell) not in _extensions:
        _extensions[id(shell)] = Extension(shell)


def unload(shell: Any) -> None:
    if id(shell) in _extensions:
        _extensions.pop(id(shell)).unload()
