"""Kernelspecs and the provisioner, as Jupyter's own clients see them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jupyter_kernel_test
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager, start_new_kernel
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from tests.support.notebooks import run_cells, text
from tests.support.waiting import DEADLINE
from tfprovisioner.kernelspecs.install import Installed
from tfprovisioner.kernelspecs.provisioner import TensorFlowProvisioner


@pytest.fixture(params=["tf1", "tf2"])
def kernel(request: pytest.FixtureRequest, installed: dict[str, Installed]) -> str:
    name: str = request.param
    return name


def test_the_kernelspec_is_complete_by_itself(kernel: str, installed: dict[str, Installed]) -> None:
    spec = KernelSpecManager().get_kernel_spec(kernel)
    assert Path(spec.argv[0]).is_absolute()
    assert Path(spec.argv[0]).exists()
    assert spec.display_name == {"tf1": "TensorFlow 1.15 · Python 3.7", "tf2": "TensorFlow 2.21 · Python 3.13"}[kernel]
    assert spec.language == "python"
    assert spec.metadata["kernel_provisioner"]["provisioner_name"] == "tfkernels-provisioner"
    assert {path.name for path in installed[kernel].kernelspec.iterdir()} == {
        "kernel.json", "python", "start.py", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg",
    }  # fmt: skip


def test_each_generation_has_logos_of_its_own(installed: dict[str, Installed]) -> None:
    for logo in installed["tf1"].kernelspec.glob("logo-*"):
        assert logo.read_bytes() != (installed["tf2"].kernelspec / logo.name).read_bytes(), logo.name


def test_the_entry_point_is_found(kernel: str) -> None:
    factory = KernelProvisionerFactory.instance()
    assert factory.is_provisioner_available(KernelSpecManager().get_kernel_spec(kernel))
    assert isinstance(_provisioner(kernel), TensorFlowProvisioner)


def _provisioner(kernel: str) -> TensorFlowProvisioner:
    spec = KernelSpecManager().get_kernel_spec(kernel)
    made = KernelProvisionerFactory.instance().create_provisioner_instance("id", spec, parent=KernelManager())
    assert isinstance(made, TensorFlowProvisioner)
    return made


FOREIGN = {
    "PYTHONPATH": "/nowhere/else",
    "PYTHONHOME": "/nowhere/else",
    "VIRTUAL_ENV": "/nowhere/else",
    "CONDA_PREFIX": "/nowhere/else",
    "LD_LIBRARY_PATH": "/nowhere/else",
}


def test_foreign_variables_do_not_get_in(
    kernel: str, installed: dict[str, Installed], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    folder = installed[kernel].environment.folder
    (outputs,) = run_cells(
        kernel,
        "import os, sys\n"
        f"print([name for name in {sorted(FOREIGN)} if 'nowhere' in os.environ.get(name, '')])\n"
        "print([path for path in sys.path if 'nowhere' in path])\n"
        "print(os.environ['VIRTUAL_ENV'] == sys.prefix)\n"
        "!python -c 'import sys; print(sys.prefix)'\n"
        "!which pip",
    )
    lines = text(outputs).split()
    assert lines == ["[]", "[]", "True", str(folder), str(folder / "bin" / "pip")]


def test_only_tfkernels_comes_from_jupyters_environment(kernel: str) -> None:
    (outputs,) = run_cells(
        kernel,
        "import importlib.util, sys, tfkernels\n"
        "print([name for name in ('tfprovisioner', 'papermill', 'pytest', 'uv') if importlib.util.find_spec(name)])\n"
        f"print([path for path in sys.path if path.startswith({sys.prefix!r})])\n"
        "print(tfkernels.__version__)",
    )
    assert text(outputs).split()[:2] == ["[]", "[]"]


def test_modules_that_a_cell_writes_can_be_imported(
    kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    *_, outputs = run_cells(
        kernel, "%%writefile written_by_a_cell.py\nvalue = 5", "import written_by_a_cell as w; w.value"
    )
    assert text(outputs) == "5"


def test_gpu_memory_grows_unless_the_user_wishes_otherwise(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = "import os; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    assert text(run_cells(kernel, cell)[0]) == "true\n"
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    assert text(run_cells(kernel, cell)[0]) == "false\n"


def test_clients_that_ignore_provisioners(kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """VS Code reads argv and env only."""
    spec = json.loads((Path(KernelSpecManager().get_kernel_spec(kernel).resource_dir) / "kernel.json").read_text())
    del spec["metadata"]["kernel_provisioner"]
    folder = tmp_path / "kernels" / "bare"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", "/nowhere/else")
    *_, outputs = run_cells(
        "bare", "import sys, os\nprint([p for p in sys.path if 'nowhere' in p], 'PYTHONPATH' in os.environ)"
    )
    assert text(outputs) == "[] False\n"


def test_restart_keeps_the_provisioner(kernel: str) -> None:
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name=kernel)
    try:
        manager.restart_kernel()
        client.wait_for_ready(timeout=DEADLINE)
        reply = client.execute_interactive("import tensorflow", timeout=DEADLINE, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_jupyter_console_and_kernelspec_list_see_it(kernel: str) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"], capture_output=True, text=True, check=True
    )
    assert kernel in json.loads(listed.stdout)["kernelspecs"]


class _Conformance(jupyter_kernel_test.KernelTests):
    """The public suite, on what a Python kernel can do."""

    __test__ = False
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    code_generate_error = "raise ValueError"
    code_execute_result = (
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
    )
    code_display_data = (
        {"code": "from IPython.display import HTML, display; display(HTML('<b>1</b>'))", "mime": "text/html"},
    )
    code_page_something = "print?"
    code_clear_output = "from IPython.display import clear_output; clear_output()"
    code_inspect_sample = "open"
    code_history_pattern = "1?2*"
    complete_code_samples = ("1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n")
    incomplete_code_samples = ("print('''hello", "def f(x):\n  x*2")
    invalid_code_samples = ("import = 7q",)
    completion_samples = ({"text": "zi", "matches": {"zip"}},)
    # As in ipykernel's own run of this suite: the current session is 0 in its ranges, which the suite does not expect.
    supported_history_operations = ("tail", "search")


@pytest.mark.usefixtures("installed")
class TestConformanceTF1(_Conformance):
    __test__ = True
    kernel_name = "tf1"


@pytest.mark.usefixtures("installed")
class TestConformanceTF2(_Conformance):
    __test__ = True
    kernel_name = "tf2"
