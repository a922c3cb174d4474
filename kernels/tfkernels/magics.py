"""``%%NAME`` and ``%NAME`` for every registered kernel, and ``%tfkernels``."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from tfkernels import kernelspecs, relay
from tfkernels.errors import ExchangeError, UsageError
from tfkernels.names import elsewhere, parse_names
from tfkernels.remote import RemoteKernel, running, shared, shutdown_all

# Names that look like one of ours get our error, with the nearest names, instead of IPython's "not found".
_LOOKS_LIKE_OURS = re.compile(r"^\s*(?:\w+\s*=\s*)?%%?(tf\d[a-z0-9._-]*)", re.MULTILINE)

_COMMENT = re.compile(r"""(^|\s)#[^'"]*$""")


class Extension:
    """What ``%load_ext tfkernels`` adds to one IPython shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._magics: set[str] = set()

    def load(self) -> None:
        self._shell.register_magic_function(_look_after, "line", "tfkernels")
        self.refresh()
        self._shell.events.register("pre_run_cell", self.refresh)

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


@magic_arguments("%tfkernels")
@argument("action", choices=["list", "restart", "stop"], nargs="?", default="list", help="what to do")
@argument("names", nargs="*", help="kernels; without any: all that run")
def _look_after(line: str) -> None:
    """Looks after the kernels that this notebook started."""
    arguments = _parse(_look_after, line)
    if arguments.action == "list":
        _print_list()
        return
    for kernel in [shared(name) for name in arguments.names] or running():
        kernel.restart() if arguments.action == "restart" else kernel.shutdown()
        print(kernel)


def _print_list() -> None:
    known = kernelspecs.find()
    if not known:
        print("No kernels are registered. Make the two usual ones with: tfkernels install")
    started = {kernel.name: kernel for kernel in running()}
    for name in sorted(known):
        print(started.get(name) or f"<kernel {name}: {known[name].spec.get('display_name', '')}, not running>")


def _kernel_magic(shell: Any, name: str) -> Any:
    @magic_arguments(f"%%{name}")
    @argument(
        "-i",
        "--input",
        nargs="+",
        action="append",
        default=[],
        metavar="NAME",
        help="bind values of this kernel there before the cell runs: -i a,b or -i dest=EXPR; of another kernel: "
        "-i dest=KERNEL:EXPR; repeatable",
    )
    @argument(
        "-o",
        "--output",
        nargs="+",
        action="append",
        default=[],
        metavar="NAME",
        help="bind values of that kernel here after the cell ran: -o c,d or -o dest=EXPR; repeatable",
    )
    def run(line: str, cell: str | None = None) -> Any:
        if cell is None:
            return _value(shared(name), line)
        return _cell(shell, shared(name), _parse(run, line), cell)

    run.__doc__ = f"Run the cell in kernel {name}. `y = %{name} EXPR` takes one value from there.\n\n{run.__doc__}"
    return no_var_expand(run)


def _parse(magic: Any, line: str) -> Any:
    try:
        return parse_argstring(magic, _COMMENT.sub("", line))
    except IPythonUsageError as error:  # IPython prints it, and what papermill then stops with is empty
        raise UsageError(str(error)) from None


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


def _cell(shell: Any, kernel: RemoteKernel, arguments: Any, cell: str) -> relay.Result | None:
    names = parse_names(arguments.input, "-i")
    inputs = {name: _evaluate(shell, expression) for name, expression in names.items()}
    outputs = parse_names(arguments.output, "-o")
    show = relay.ShellRelay(shell)
    shell.push(kernel.run(cell, inputs=inputs, outputs=outputs, show=show))
    return show.result


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
