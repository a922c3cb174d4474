"""``%%NAME`` and ``%NAME`` for every registered kernel, ``%%in NAME`` for any other, and ``%%each``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.magic import no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from tfkernels.client import kernels_by_name, kernelspecs
from tfkernels.errors import ExchangeError, UsageError
from tfkernels.imports import own_imports
from tfkernels.notebook import completion
from tfkernels.notebook.magic_arguments import cell_options, elsewhere, parse, parse_names
from tfkernels.notebook.tfkernels_magic import manage, start_early
from tfkernels.output.relay import ShellRelay

if TYPE_CHECKING:
    from tfkernels.client.cell import Cell
    from tfkernels.client.kernel import Kernel

# Names that look like one of ours get our error, with the nearest names, instead of IPython's "not found".
_LOOKS_LIKE_OURS = re.compile(r"^\s*(?:\w+\s*=\s*)?%%?(tf\d[a-z0-9._-]*)", re.MULTILINE)


class Extension:
    """The additions of ``%load_ext tfkernels`` to one IPython shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._magics: set[str] = set()
        shell.register_magic_function(manage, "line", "tfkernels")
        self._add("each", _each_magic(shell), "cell")
        self._add("in", _kernel_magic(shell, "in"), "line_cell")
        self.refresh()
        shell.events.register("pre_run_cell", self.refresh)
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
        self._completion.close()
        for table in self._shell.magics_manager.magics.values():
            for name in ("tfkernels", *self._magics):
                table.pop(name, None)
        for kernel in kernels_by_name.running():
            kernel.shutdown()

    def refresh(self, info: Any = None) -> None:
        """Before every cell: adds magics for the kernels that were installed or attached since."""
        names = {*kernelspecs.find(), *(name for name in kernels_by_name.known if completion.is_kernel(name))}
        if info is not None:
            names.update(_LOOKS_LIKE_OURS.findall(info.raw_cell or ""))
        for name in names - self._magics:
            self._add(name, _kernel_magic(self._shell, name), "line_cell")


def _kernel_magic(shell: Any, name: str) -> Any:
    """The magic of a kernel; ``in`` is that of any kernel, whose name is its first word."""
    named = "in NAME" if name == "in" else name
    note = "NAME is any Python kernel of the machine. Nothing is installed there.\n" if name == "in" else ""

    @magic_arguments(f"%%{named}")
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
        return _evaluate_there(kernel, line) if cell is None else _run_cell(shell, kernel, parse(run, line), cell)

    summary = f"Run the cell in kernel {named.split()[-1]}. `y = %{named} EXPR` takes one value from there."
    run.__doc__ = f"{summary}\n{note}\n{run.__doc__}"
    return no_var_expand(run)


def _each_magic(shell: Any) -> Any:
    @magic_arguments("%%each")
    @argument("kernels", nargs="+", metavar="KERNEL", help="where the cell runs, at the same time")
    @cell_options
    def run(line: str, cell: str) -> None:
        """Run the cell in several kernels at the same time; an output is a dict by the kernel's name."""
        with own_imports():
            from tfkernels.client.several_kernels import each

        arguments = parse(run, line)
        options = _options(shell, arguments)
        shell.push(each([kernels_by_name.get(name) for name in arguments.kernels], cell, **options))

    return no_var_expand(run)


def _run_cell(shell: Any, kernel: Kernel, arguments: Any, code: str) -> Cell | None:
    __tracebackhide__ = True
    options, handle = _options(shell, arguments), arguments.background
    options["show"] = ShellRelay(shell, alone=True)
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
