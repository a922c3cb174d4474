"""What can go wrong inside a kernel. Each message says what happened, why, and what to do."""

import os
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
            f"the other kernel's tfkernels writes format {written} and this one reads format {read}; reinstall the "
            "kernels with the newer one (tfkernels install) and restart them"
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
    """A value arrived for which a library is missing where it arrived."""

    def __init__(self, package: str, what: str, why: str, instead: str = "", kernel: str = "", magic: str = "") -> None:
        super().__init__(package, what, why, instead, kernel, magic)
        self.package = package
        self.what = what
        self.why = why
        self.instead = instead
        self.kernel = kernel or os.environ.get("TFKERNELS_KERNEL", "")
        self.magic = magic or f"%%{self.kernel}"

    def seen_from(self, kernel: str, magic: str) -> "MissingPackage":
        """For the one who called this kernel, by the name and the magic that it has there."""
        return MissingPackage(self.package, self.what, self.why, self.instead, kernel, magic)

    def __str__(self) -> str:
        where, cell = (f"kernel {self.kernel}", f"{self.magic}\n") if self.kernel else ("this kernel", "")
        return (
            f"{self.what} arrived, and {where} lacks {self.package} ({self.why}). Nothing was bound. Install it there "
            f"with a cell that says:\n{cell}!pip install {self.package}\n{self.instead}"
        ).rstrip()


class UnknownKernel(TFKernelsError):
    """No kernel of that name is registered where this process looks."""


class UsageError(TFKernelsError):
    """The words after a magic cannot be understood."""


class KernelStartError(TFKernelsError):
    """A kernel's process did not come up."""


class KernelDied(TFKernelsError):
    """A kernel's process ended by itself; its variables are gone."""

    @classmethod
    def of(cls, kernel: str, obituary: str, afterwards: str, when: str = "") -> "KernelDied":
        return cls(f"the process of kernel {kernel} {obituary}\n{when}Its variables are gone. {afterwards}")


class CellCancelled(TFKernelsError):
    """A cell was dropped before it ran, or was interrupted in the background."""


class CellTimeout(TFKernelsError):
    """A cell ran longer than it was given. It renders as the other kernel's traceback, and what happened."""

    def __init__(self, message: str, traceback: typing.Sequence[str] = ()) -> None:
        super().__init__(message)
        self.traceback = list(traceback)

    @classmethod
    def stopped(cls, kernel: str, seconds: float, traceback: typing.Sequence[str]) -> "CellTimeout":
        return cls(
            f"the cell in kernel {kernel} ran longer than {seconds:g} s and was interrupted. The kernel goes on, with "
            "all that the cell had set by then.",
            traceback,
        )

    @classmethod
    def ignored(cls, kernel: str, seconds: float) -> "CellTimeout":
        return cls(
            f"the cell in kernel {kernel} ran longer than {seconds:g} s and does not react to an interrupt: it still "
            f"runs, and other cells wait for it. End it, and lose the kernel's variables, with: %tfkernels restart "
            f"{kernel}"
        )

    def _render_traceback_(self) -> typing.List[str]:
        return [*self.traceback, *super()._render_traceback_()]


class CellsFailed(TFKernelsError):
    """A cell for several kernels failed in some; ``errors`` has what each of them raised, by kernel."""

    def __init__(self, errors: typing.Mapping[str, BaseException], others: typing.Sequence[str]) -> None:
        super().__init__(errors, others)
        self.errors = dict(errors)
        self.others = list(others)

    def __str__(self) -> str:
        said = [f"failed in {name}: {_line(error)}" for name, error in self.errors.items()]
        if self.others:
            said.append(f"ended well in {', '.join(self.others)}, whose outputs were not bound either")
        return "the cell " + "; ".join(said)


def _line(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return said[0] if said else type(error).__name__


class TraceError(TFKernelsError):
    """A model, a session or a function cannot be looked into."""


class WeightsError(TFKernelsError):
    """Weights cannot be read or set."""


class WeightsMismatch(WeightsError):
    """Weights do not fit where they were to go; ``report`` says which. Nothing was set."""

    def __init__(self, report: typing.Any) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return (
            f"{self.report}\nNothing was set. Name the source of what is missing with mapping={{target: source}}, or "
            "set only what fits with partial=True."
        )


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
    """The user interrupted a cell that ran in another kernel; renders as that kernel's traceback."""

    def __init__(self, message: str, traceback: typing.Sequence[str] = ()) -> None:
        super().__init__(message)
        self.traceback = list(traceback)

    def _render_traceback_(self) -> typing.List[str]:
        return self.traceback or [f"KeyboardInterrupt: {self}"]
