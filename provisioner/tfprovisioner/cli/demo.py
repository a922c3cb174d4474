"""``tfkernels demo``: executes the example notebook with papermill on both kernels."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from tfkernels.client import kernelspecs
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs.install import install
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.system.data_dir import home

NOTEBOOK = "compare_tf1_tf2.ipynb"
KERNEL = "tf2"
_TAG = "comparison"


def notebooks() -> Path:
    """The folder of the example notebooks: in the installed package, or at the top of a source checkout."""
    packaged = Path(__file__).parents[1] / "notebooks"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "notebooks"


def run(output: Path | None, say: Callable[[str], None]) -> tuple[Path, str]:
    """Installs ``tf1`` and ``tf2`` if they are missing and executes the notebook.

    Returns the path of the executed notebook and the comparison that it printed. Raises ``ProvisionError``.
    """
    for name in ("tf1", "tf2"):
        done = install(InstallRequest(name))
        made = done.environment
        say(f"{name}: {done.state}, TensorFlow {made.recipe.tensorflow} on Python {made.python_version}")
    target = output or home() / "demo"
    if target.suffix != ".ipynb":
        target /= NOTEBOOK
    say(f"Running {NOTEBOOK} on kernel {KERNEL} with papermill …")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        papermill.execute_notebook(
            notebooks() / NOTEBOOK,
            target,
            parameters={"data": str(notebooks() / "digits.csv.gz")},
            kernel_name=KERNEL,
            progress_bar=False,
            start_timeout=180,
        )
    except PapermillExecutionError as error:
        raise ProvisionError(f"The notebook failed: {error.ename}: {error.evalue}. See {target}.") from error
    except RuntimeError as error:  # the kernel died or did not start
        advice = "Check the kernels with: tfkernels doctor"
        raise ProvisionError(f"The notebook could not be run: {error}. {advice}") from error
    except OSError as error:
        if error.filename is None or Path(str(error.filename)) not in (target, *target.parents):
            raise ProvisionError(f"The notebook could not be run: {error}.") from error  # as when no process can start
        raise ProvisionError(
            f"{target} cannot be written: {error.strerror}. Choose another folder with --output."
        ) from error
    return target, _finish(target)


def _finish(target: Path) -> str:
    """Writes the kernel into the notebook's metadata (papermill#856), and returns the comparison it printed."""
    notebook = nbformat.read(target, as_version=4)
    spec = kernelspecs.get(KERNEL).spec
    described = {name: spec[name] for name in ("display_name", "language")}
    notebook.metadata["kernelspec"] = {"name": KERNEL, **described}
    nbformat.write(notebook, target)
    (cell,) = [cell for cell in notebook.cells if _TAG in cell.metadata.get("tags", [])]
    return "".join(output.text for output in cell.outputs if output.output_type == "stream").strip()
