"""Fallback kernel: hands over to the installed ``launcher.py``, or becomes a kernel that says what is wrong.

A copy of this file lies in each kernelspec folder, because the distribution may be uninstalled or moved. The copy only
dispatches, so that no kernel runs old code after an upgrade. The provisioner, ``python_shim`` and the launcher run it,
too, where an environment or its Python is broken. Python 3.6 and newer, ipykernel 5 and newer; it imports nothing of
``tfkernels``.
"""

import asyncio
import glob
import json
import os
import sys
import typing

# Variables: what is wrong, if it is known before the start; the Python that registered the kernel, which has an
# ipykernel even if the kernel's own is broken.
PROBLEM = "TFKERNELS_KERNEL_PROBLEM"
JUPYTER = "TFKERNELS_KERNEL_JUPYTER"


def installed(launcher: str) -> typing.Optional[str]:
    """The launcher, or the one that lies there since the Python around it was upgraded; ``None`` if there is none."""
    if os.path.exists(launcher):
        return launcher
    library, _, inside = launcher.rpartition("site-packages")
    found = glob.glob(os.path.join(glob.escape(os.path.dirname(os.path.dirname(library))), "python*", "site-packages"))
    candidates = [folder + inside for folder in sorted(found) if os.path.exists(folder + inside)]
    return candidates[-1] if library and candidates else None


def cannot_start(kernel: str, cause: str, remedy: str) -> str:
    """The message of a kernel that cannot start. ``cause`` and ``remedy`` have no full stop."""
    return f"The kernel {kernel} cannot start: {cause}. {remedy}; then restart the kernel."


def missing(launcher: str) -> str:
    """The message where the launcher does not exist."""
    name = os.environ.get("TFKERNELS_KERNEL", "")
    command = os.environ.get("TFKERNELS_KERNEL_COMMAND", "tfkernels install")
    cause = f"the tfkernels that registered it was at {os.path.dirname(launcher)}, and that folder is gone"
    told = cannot_start(name, cause, f"Run: pip install tfkernels, and: {command}")
    return f"{told} Or delete the kernel with: jupyter kernelspec remove {name}"


def explain_elsewhere(problem: str) -> "typing.NoReturn":  # not in the first of 3.6
    """Becomes the Python that registered the kernel, to run ``explain`` there; ends with ``problem`` if it is gone."""
    python = os.environ.get(JUPYTER, "")
    if os.access(python, os.X_OK):
        print(problem, file=sys.__stderr__, flush=True)  # not where ipykernel may have put it
        own = os.environ.get("TFKERNELS_KERNEL_OWN", "").split(",")
        variables = {name: value for name, value in os.environ.items() if name not in own}
        variables.update(json.loads(os.environ.get("TFKERNELS_KERNEL_MISSING", "{}")))  # that Python may need them
        variables[PROBLEM] = problem
        del variables[JUPYTER]  # one that is broken itself does not start itself for ever
        os.execve(python, [python, os.path.abspath(__file__), *sys.argv[1:]], variables)  # noqa: S606 (as meant)
    sys.exit(problem)


def explain(problem: str) -> None:
    """Runs a kernel whose cells all fail with ``problem``, so that papermill and nbclient fail with it, too."""
    try:
        _explain(problem)
    except (ImportError, AttributeError, TypeError):
        explain_elsewhere(problem)


def _explain(problem: str) -> None:
    from ipykernel.kernelapp import IPKernelApp
    from ipykernel.kernelbase import Kernel

    class Explanation(Kernel):
        implementation = "tfkernels"
        implementation_version = "1"
        banner = problem  # what consoles show at the start
        language_info: typing.ClassVar[typing.Dict[str, typing.Any]] = {
            "name": "python",
            "mimetype": "text/x-python",
            "file_extension": ".py",
        }

        def do_execute(self, code: str, silent: bool, *_: typing.Any, **__: typing.Any) -> typing.Any:  # noqa: ARG002
            error = {
                "ename": "BrokenKernel",
                "evalue": problem,
                "traceback": [f"\x1b[31mBrokenKernel\x1b[0m: {problem}"],
            }
            if not silent:
                self.send_response(self.iopub_socket, "error", error)
            return _answer(error, status="error", execution_count=self.execution_count, user_expressions={})

        def do_is_complete(self, code: str) -> typing.Any:  # noqa: ARG002 (the name is part of the protocol)
            return _answer({}, status="complete")  # else a console waits for the end of the cell

    class Application(IPKernelApp):
        def init_path(self) -> None:
            """No code of the user's runs, so the notebook's folder stays off the path: a ``psutil.py`` may be there."""

    Application.launch_instance(kernel_class=Explanation)


def _answer(content: typing.Dict[str, typing.Any], **more: typing.Any) -> typing.Any:
    """A future: ipykernel 5 does not wait for coroutines, and 7 wants something to wait for."""
    reply = asyncio.get_event_loop().create_future()
    reply.set_result(dict(content, **more))
    return reply


def main() -> None:
    if os.path.abspath(sys.path[0]) == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]  # what lies beside this file is not for import
    known = os.environ.pop(PROBLEM, None)
    if known:
        explain(known)
        return
    launcher = sys.argv.pop(1)  # what follows is the kernel's own
    found = installed(launcher)
    if found is None:
        explain(missing(launcher))
        return
    sys.argv[0] = found
    with open(found, encoding="utf-8") as source:
        code = compile(source.read(), found, "exec")
    exec(code, {"__name__": "__main__", "__file__": found, "__builtins__": __builtins__})  # noqa: S102 (our own file)


if __name__ == "__main__":
    main()
