"""Errors of this package. Each message says what failed, the cause, and the command or change that helps."""

import sys
import typing


class TFKernelsError(Exception):
    """Shown in a notebook as one paragraph: the stack is ours and tells the user nothing."""

    def _render_traceback_(self) -> typing.List[str]:
        return [f"\x1b[31m{type(self).__name__}\x1b[0m: {self}"]


class ExchangeError(TFKernelsError):
    """A value cannot be passed. Nothing was bound on the receiving side."""

    @classmethod
    def of_format(cls, written: typing.Any, read: int) -> "ExchangeError":
        """Between kernels with different releases of tfkernels."""
        return cls(
            f"Cannot pass values: the other kernel's tfkernels writes format {written} and this one reads format "
            f"{read}. Reinstall the kernels with the newer one (tfkernels install) and restart them."
        )

    @classmethod
    def too_deep(cls, beginning: str) -> "ExchangeError":
        """``beginning`` names a value that leads to more calls than Python allows."""
        limit = sys.getrecursionlimit()
        return cls(
            f"{beginning} nested deeper than the stack of calls has room for. Pass it from a function that is called "
            f"less deep, or allow more than {limit:,} calls: import sys; sys.setrecursionlimit({2 * limit})"
        )

    @classmethod
    def unreachable(cls, kernel: str, why: str) -> "ExchangeError":
        """For a kernel that cannot open shared memory of this process."""
        return cls(
            f"Cannot pass values to kernel {kernel}: it runs elsewhere ({why}), and shared memory needs one machine "
            "and one user. Cells without values run there."
        )


class NotPortable(ExchangeError):
    """Part of a value has no counterpart in another kernel; ``path`` leads to that part."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def within(self, step: str) -> "NotPortable":
        return NotPortable(self.reason, step + self.path)

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class MissingPackage(ExchangeError):
    """A value needs a library that the receiving kernel lacks."""

    def __init__(self, package: str, what: str, why: str, instead: str = "") -> None:
        super().__init__(package, what, why, instead)
        self.kernel = self.magic = ""
        """The receiving kernel's name, and the magic for it, where the error is shown, if that is another kernel."""

    def __str__(self) -> str:
        package, what, why, instead = self.args
        ipython = sys.modules.get("IPython")
        if self.kernel:
            receiver, pip = f"kernel {self.kernel}", f"{self.magic}\n%pip"
        elif ipython is not None and ipython.get_ipython() is not None:
            receiver, pip = "this notebook's kernel", "%pip"
        else:
            receiver, pip = "this Python", f"{sys.executable} -m pip"
        lacks = f"Cannot bind {what}: {receiver} lacks {package} ({why})"
        return f"{lacks}. Install it with:\n{pip} install {package}\n{instead}".rstrip()


class ShadowedModule(ExchangeError):
    """A file in the user's folder was imported in place of a library."""

    @classmethod
    def of(cls, name: str, file: str) -> "ShadowedModule":
        return cls(
            f"Cannot use {name}: the file {file} has its name and was imported instead. Rename the file, then restart "
            f"the kernel that imported it."
        )


class UnknownKernel(TFKernelsError):
    """No kernel of that name is registered where this process looks."""

    @classmethod
    def install(cls, message: str, advice: str, release: str) -> "UnknownKernel":
        command = f"tfkernels install {release}"
        # Only where they are loaded are there magics.
        here = f", or in this notebook with: %{command}" if "tfkernels.notebook.magics" in sys.modules else ""
        return cls(f"{message} {advice} with: {command}{here}")


class UsageError(TFKernelsError):
    """Arguments that have no meaning, of a magic or a function."""


_PROCESSES = "End some programs or raise the limit of processes (ulimit -u), then run the cell again."
_SPACE = "Free some space, for example in your home folder, then run the cell again."
_LIMITS = {
    "Resource temporarily unavailable": _PROCESSES,
    "can't start new thread": _PROCESSES,
    "No space left on device": _SPACE,
    "Disk quota exceeded": _SPACE,
}
"""What a program says at a limit of the system, and what helps: nothing is wrong with its environment."""


class KernelStartError(TFKernelsError):
    """A kernel's process did not start, or the kernel cannot be used."""

    @classmethod
    def of(cls, kernel: str, cause: str, command: str = "") -> "KernelStartError":
        """``command`` is a whole sentence."""
        return cls(f"Kernel {kernel} cannot start: {cause}. {command}".rstrip())

    @classmethod
    def no_resource(cls, kernel: str, error: Exception) -> "KernelStartError":
        """The system refused a process, a thread or a file."""
        cause = str(getattr(error, "strerror", None) or error)
        return cls.of(kernel, cause, "Free that resource and run the cell again.")

    @classmethod
    def no_answer(cls, kernel: str, seconds: float, hint: str) -> "KernelStartError":
        return cls(
            f"Kernel {kernel} did not start: it gave no answer within {seconds:.0f} s. If the machine is busy, run the "
            f"cell again. {hint}"
        )

    @classmethod
    def ended(cls, kernel: str, report: str, hint: str) -> "KernelStartError":
        advice = next((advice for word, advice in _LIMITS.items() if word in report), hint)
        return cls(f"Kernel {kernel} did not start: its process {report}\n{advice}")

    @classmethod
    def unusable(cls, kernel: str, cause: str) -> "KernelStartError":
        return cls(f"Kernel {kernel} cannot be used from here: {cause}.")


class KernelDied(TFKernelsError):
    """A kernel's process ended by itself; its variables are gone."""

    @classmethod
    def crashed(cls, kernel: str, report: str, after_end: str, before_cell: bool = False) -> "KernelDied":
        when = "It died before this cell, which was not run. " if before_cell else ""
        return cls(f"Kernel {kernel} died: its process {report}\n{when}Its variables are gone. {after_end}")

    @classmethod
    def ended(cls, kernel: str, end: str, ran: bool) -> "KernelDied":
        """``end`` is what the user did: shut down, restarted, ended by your repeated interrupt."""
        when = "while the cell ran, and the cell ended with it" if ran else "before the cell, which was not run"
        return cls(f"Kernel {kernel} was {end} {when}.")

    @classmethod
    def connection_failed(cls, kernel: str, error: BaseException) -> "KernelDied":
        return cls(f"Kernel {kernel} was ended: the connection to it failed ({error!r}). Run the cell again.")


class CellCancelled(TFKernelsError):
    """A cell was dropped before it ran, or was interrupted in the background."""

    @classmethod
    def before_start(cls, kernel: str) -> "CellCancelled":
        return cls(f"The cell waited for kernel {kernel}, and was not run.")

    @classmethod
    def interrupted(cls, kernel: str) -> "CellCancelled":
        return cls(f"The cell in kernel {kernel} was interrupted.")


class CellTimeout(TFKernelsError):
    """A cell ran longer than its time limit. It renders as the other kernel's traceback, and this message."""

    def __init__(self, message: str, traceback: typing.Sequence[str] = ()) -> None:
        super().__init__(message)
        self.traceback = list(traceback)

    @classmethod
    def stopped(cls, kernel: str, seconds: float, traceback: typing.Sequence[str]) -> "CellTimeout":
        return cls(
            f"The cell in kernel {kernel} ran longer than {seconds:g} s and was interrupted. The kernel keeps what the "
            "cell had set.",
            traceback,
        )

    @classmethod
    def ignored(cls, kernel: str, seconds: float) -> "CellTimeout":
        return cls(
            f"The cell in kernel {kernel} ran longer than {seconds:g} s and ignores the interrupt: it still runs, and "
            f"other cells wait for it. To end it and lose the kernel's variables, run: %tfkernels restart {kernel}"
        )

    def _render_traceback_(self) -> typing.List[str]:
        return [*self.traceback, *super()._render_traceback_()]


class CellsFailed(TFKernelsError):
    """A cell for several kernels failed in some; ``errors`` has the error of each, by kernel."""

    def __init__(self, errors: typing.Mapping[str, BaseException], others: typing.Sequence[str]) -> None:
        super().__init__(errors, others)
        self.errors = dict(errors)
        self.others = list(others)

    def __str__(self) -> str:
        parts = [f"failed in {name}: {_first_line(error)}" for name, error in self.errors.items()]
        if self.others:
            parts.append(f"ended well in {', '.join(self.others)}, but no output was bound")
        return f"The cell {'; '.join(parts)}."


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


class TraceError(TFKernelsError):
    """A model, a session or a function cannot be traced."""


class WeightsError(TFKernelsError):
    """Weights cannot be read or set."""


class WeightsMismatch(WeightsError):
    """Weights do not fit the model; ``report`` says which. Nothing was set."""

    def __init__(self, report: typing.Any) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return (
            f"{self.report}\nNothing was set. Name the source of what is missing with mapping={{target: source}}, or "
            "set only the layers that fit with partial=True."
        )


class ConversionError(TFKernelsError):
    """A model cannot be brought to another release; ``layer`` is the name of the layer that stands in the way."""

    advice = ""
    """What would help, if it is more than the message says."""

    def __init__(self, message: str, layer: str = "") -> None:
        super().__init__(message)
        self.layer = layer


class UnreadableFile(TFKernelsError):
    """A saved model cannot be read: it is none, is damaged, or asks for what no model needs."""

    def __init__(self, reason: str, path: str = "", advice: str = "") -> None:
        super().__init__(reason, path, advice)
        self.reason = reason
        self.path = path
        self.advice = advice

    def of(self, path: str) -> "UnreadableFile":
        """The same with the file's name."""
        return self if self.path else type(self)(self.reason, path, self.advice)

    def __str__(self) -> str:
        return f"Cannot read {self.path or 'the file'}: {self.reason}. {self.advice}".rstrip()


class RemoteError(TFKernelsError):
    """Code raised in another kernel. It renders as that kernel's own traceback, once."""

    def __init__(self, kernel: str, ename: str, evalue: str, traceback: typing.Sequence[str]) -> None:
        super().__init__(kernel, ename, evalue, traceback)
        self.kernel = kernel
        self.ename = ename
        self.evalue = evalue
        self.traceback = list(traceback)

    def __str__(self) -> str:
        return f"{self.ename} in kernel {self.kernel}: {self.evalue}"

    def _render_traceback_(self) -> typing.List[str]:
        return self.traceback or [str(self)]


class RemoteInterrupt(KeyboardInterrupt):
    """The user interrupted a cell in another kernel; it renders as that kernel's traceback."""

    ename = "KeyboardInterrupt"
    evalue = ""

    def __init__(self, message: str, traceback: typing.Sequence[str] = ()) -> None:
        super().__init__(message)
        self.traceback = list(traceback)

    def _render_traceback_(self) -> typing.List[str]:
        return self.traceback or [f"KeyboardInterrupt: {self}"]


def as_native(error: typing.Any) -> typing.Any:
    """The error of a cell for Jupyter's clients, with the class's name and the text that a native cell has.

    They treat some specially: papermill SystemExit, nbclient those of ``allow_error_names``. Errors in several kernels
    are of one kind, or remain ``CellsFailed``.
    """
    causes = error.errors.values() if isinstance(error, CellsFailed) else [error]
    natives = {(getattr(cause, "ename", None), getattr(cause, "evalue", None)) for cause in causes}
    name, text = natives.pop()
    if natives or name is None:
        return error
    shown = error._render_traceback_()
    native: typing.Any = type(name, (type(error),), {"__str__": lambda _: text, "_render_traceback_": lambda _: shown})
    made = native(*error.args)
    vars(made).update(vars(error))
    return made
