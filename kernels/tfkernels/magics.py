"""``%%NAME`` and ``%NAME`` for every registered kernel, and ``%%each``."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.magic import no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from tfkernels import kernelspecs, relay
from tfkernels.calls import Call
from tfkernels.errors import ExchangeError, UsageError
from tfkernels.management import look_after, start_early
from tfkernels.names import elsewhere, parse_names
from tfkernels.options import exchange, parse
from tfkernels.remote import RemoteKernel, shared, shutdown_all
from tfkernels.several import each

# Names that look like one of ours get our error, with the nearest names, instead of IPython's "not found".
_LOOKS_LIKE_OURS = re.compile(r"^\s*(?:\w+\s*=\s*)?%%?(tf\d[a-z0-9._-]*)", re.MULTILINE)


class Extension:
    """What ``%load_ext tfkernels`` adds to one IPython shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._magics: set[str] = set()

    def load(self) -> None:
        self._shell.register_magic_function(look_after, "line", "tfkernels")
        if "each" not in self._shell.magics_manager.magics["cell"]:
            self._shell.register_magic_function(_each_magic(self._shell), "cell", "each")
            self._magics.add("each")
        self.refresh()
        self._shell.events.register("pre_run_cell", self.refresh)
        start_early()

    def unload(self) -> None:
        self._shell.events.unregister("pre_run_cell", self.refresh)
        table = self._shell.magics_manager.magics
        table["line"].pop("tfkernels", None)
        for name in self._magics:
            table["line"].pop(name, None)
            table["cell"].pop(name, None)
        shutdown_all()

    def refresh(self, info: Any = None) -> None:
        """Before every cell: magics for the kernels that were installed since."""
        names = set(kernelspecs.find())
        if info is not None:
            names.update(_LOOKS_LIKE_OURS.findall(info.raw_cell or ""))
        table = self._shell.magics_manager.magics
        for name in names - self._magics:
            if name not in table["cell"] and name not in table["line"]:  # never in the place of somebody else's
                self._shell.register_magic_function(_kernel_magic(self._shell, name), "line_cell", name)
                self._magics.add(name)


def _kernel_magic(shell: Any, name: str) -> Any:
    @magic_arguments(f"%%{name}")
    @exchange
    @argument(
        "--background",
        nargs="?",
        const="",
        metavar="HANDLE",
        help="return at once, with a handle: .result(), .done(), .cancel(), .exception(); it gets this name, if one is "
        "given. -o binds what it names when .result() is called",
    )
    def run(line: str, cell: str | None = None) -> Any:
        if cell is None:
            return _value(shared(name), line)
        return _cell(shell, shared(name), parse(run, line), cell)

    run.__doc__ = f"Run the cell in kernel {name}. `y = %{name} EXPR` takes one value from there.\n\n{run.__doc__}"
    return no_var_expand(run)


def _each_magic(shell: Any) -> Any:
    @magic_arguments("%%each")
    @argument("kernels", nargs="+", metavar="KERNEL", help="where the cell runs, at the same time")
    @exchange
    def run(line: str, cell: str) -> None:
        """Run the cell in several kernels at the same time; an output is a dict by the kernel's name."""
        arguments = parse(run, line)
        inputs, outputs = _names(shell, arguments)
        kernels = [shared(name) for name in arguments.kernels]
        shell.push(each(kernels, cell, inputs=inputs, outputs=outputs, timeout=arguments.timeout))

    return no_var_expand(run)


def _value(kernel: RemoteKernel, expression: str) -> Any:
    if expression.lstrip().startswith(("-i ", "-o ")):
        raise UsageError(
            f"%{kernel.name} takes an expression and no options; options go with a cell, whose first line is: "
            f"%%{kernel.name} {expression.strip()}"
        )
    if not expression.strip():
        raise UsageError(
            f"%{kernel.name} wants an expression to evaluate in kernel {kernel.name}: y = %{kernel.name} x + 1"
        )
    return kernel[expression.strip()]


def _names(shell: Any, arguments: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Inputs with their values, and the expressions of outputs."""
    names = parse_names(arguments.input, "-i")
    inputs = {name: _evaluate(shell, expression) for name, expression in names.items()}
    return inputs, parse_names(arguments.output, "-o")


def _cell(shell: Any, kernel: RemoteKernel, arguments: Any, cell: str) -> Call | None:
    inputs, outputs = _names(shell, arguments)
    show = relay.ShellRelay(shell, alone=True)
    if arguments.background is None:
        shell.push(kernel.run(cell, inputs=inputs, outputs=outputs, timeout=arguments.timeout, show=show))
        return None
    if arguments.background and not arguments.background.isidentifier():
        raise UsageError(f"--background {arguments.background}: the handle wants a name, or none")
    call = kernel.submit(cell, inputs=inputs, outputs=outputs, timeout=arguments.timeout, show=show, deliver=shell.push)
    if arguments.background:
        shell.push({arguments.background: call})
    return call


def _evaluate(shell: Any, expression: str) -> Any:
    name, there = elsewhere(expression)
    if name is not None:
        return shared(name).reference(there)
    try:
        return shell.ev(expression)
    except NameError as error:
        raise ExchangeError(
            f"-i {expression}: {error} in this notebook, so the cell was not run; define it in an earlier cell, or "
            f"check the spelling"
        ) from None


_extensions: dict[int, Extension] = {}


def load(shell: Any) -> None:
    if id(shell) not in _extensions:
        _extensions[id(shell)] = Extension(shell)
        _extensions[id(shell)].load()


def unload(shell: Any) -> None:
    extension = _extensions.pop(id(shell), None)
    if extension is not None:
        extension.unload()
