"""A notebook that says which kernel it needs gets it, here or on another machine, after one question."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import package_index
from tests.support.commands import built, nothing_is_there, tfkernels
from tfprovisioner.catalogue import releases
from tfprovisioner.kernelspecs.install import Interrupted
from tfprovisioner.notebook_metadata import pinned_kernel
from tfprovisioner.notebook_metadata.pinned_kernel import PinnedKernel
from tfprovisioner.requirements.lock_file import Lock

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def notebook(index: package_index.Index, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As another machine pinned it, to a kernel ``tf1`` with one package more than the release's."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    wheel = package_index.wheel(index.folder, "extra", "2.0", {"extra.py": ""})
    pin = f"extra==2.0 \\\n    --hash=sha256:{package_index.digest(wheel)}\n"
    lock = Lock.of(f"{releases.find('tf1').lock}{pin}", "3.7", releases.platform_name(), "tf1")
    return write(place / "nb.ipynb", "tf1", pinned_kernel.entry(PinnedKernel.of(lock, Path())))


def write(path: Path, kernel: str, ours: object = None) -> Path:
    metadata = {"kernelspec": {"name": kernel, "display_name": "x"}, "mine": 1}
    metadata |= {"tfkernels": ours} if ours else {}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": []}))
    return path


def metadata_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())["metadata"]
    return found


def change(path: Path, **pinned: Any) -> None:
    """Changes the pin of a notebook."""
    content = json.loads(path.read_text())
    content["metadata"]["tfkernels"]["kernel"].update(pinned)
    path.write_text(json.dumps(content))


def test_pins_are_those_of_the_kernels_lock(notebook: Path, command: Command, place: Path) -> None:
    assert command("install", "tf1", "--user", "--with", "extra")[0] == 0
    path = write(place / "own.ipynb", "python3")
    code, said, errors = command("pin", str(path), "-k", "tf1")
    assert (code, errors) == (0, "")
    assert said.startswith(f"{path}: pinned to tf1 (TensorFlow 1.15.5, Python 3.7), ")
    assert metadata_of(path) == {**metadata_of(notebook), "kernelspec": metadata_of(path)["kernelspec"]}
    assert metadata_of(path)["kernelspec"]["name"] == "tf1"

    (site,) = (place / "home" / "environments").glob("*/lib/python*/site-packages")
    shutil.copytree(site / "part3-1.0.dist-info", site / "byhand-1.0.dist-info")
    assert "warning: not in the pin: byhand==1.0 was added" in command("pin", str(path))[2]
    assert "differs: byhand==1.0 was added" in command("doctor", str(path))[1]
    assert "; there it was changed by hand: byhand==1.0 was added. Kernel" in command("install", str(path))[2]

    content = json.loads(path.read_text())
    content["metadata"]["language_info"] = {"tfkernels": {"kernel": "tf2", "tensorflow": "2.21.0"}, "version": "3.13.0"}
    path.write_text(json.dumps(content))
    saved = "Jupyter saved it on tf2 (TensorFlow 2.21.0, Python 3.13), so outputs may be of that kernel"
    assert f"differs: {saved}" in command("doctor", str(path))[1]


def test_a_notebook_brings_its_kernel(notebook: Path, command: Command, place: Path) -> None:
    before = notebook.read_bytes()
    code, said, errors = command("install", "--user", str(notebook), "--yes")
    assert code == 0, errors
    assert said.startswith("tf1: installed. TensorFlow 1.15.5, Python 3.7")
    assert "wants TensorFlow 1.15.5 (tensorflow), Python 3.7, 16 packages, 1 of them beyond the tested set" in errors
    assert ": extra==2.0. Kernel: tf1\n" in errors
    assert notebook.read_bytes() == before
    assert "extra==2.0" in command("lock", "tf1")[1]

    code, said, errors = command("install", "--user", str(notebook))
    assert (code, said) == (0, "")
    assert "Kernel: tf1, which is there" in errors
    assert len(built(place)) == 1
    assert command("doctor", str(notebook))[:2] == (
        0, f"{notebook}: pinned to tf1 (TensorFlow 1.15.5, Python 3.7); opens on tf1 (TensorFlow 1.15.5, Python 3.7)\n"
    )  # fmt: skip


def test_a_notebooks_sources_are_built_only_if_allowed(
    notebook: Path, index: package_index.Index, command: Command, place: Path
) -> None:
    """Also where a kernel of its name is already there, which may build its own packages."""
    source = package_index.source(index.folder, "sourced", "1.0", f"open({str(place / 'ran')!r}, 'w').close()")
    pin = f"sourced==1.0 \\\n    --hash=sha256:{package_index.digest(source)}\n"
    lock = Lock.of(f"{releases.find('tf1').lock}{pin}", "3.7", releases.platform_name(), "tf1")
    write(notebook, "tf1", pinned_kernel.entry(PinnedKernel.of(lock, Path())))
    assert command("install", "--user", "tf1")[0] == 0
    words = ("install", "--user", str(notebook), "--name", "tf1", "--yes")
    code, _, errors = command(*words)
    assert code == 1
    assert "Allow builds with --no-only-binary" in errors
    assert not (place / "ran").exists()
    code, _, errors = command(*words, "--no-only-binary")
    assert code == 0, errors
    assert (place / "ran").exists()


def test_nothing_is_installed_without_an_answer(notebook: Path, command: Command, place: Path) -> None:
    code, _, errors = command("install", "--user", str(notebook))
    assert code == 2
    assert "Install tf1? Nobody can be asked here, so nothing was changed. Add --yes." in errors
    assert nothing_is_there(place)


def test_an_interrupt_names_the_notebook_again(
    notebook: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(requests: list[Any], report: object) -> None:
        raise Interrupted(requests)

    monkeypatch.setattr("tfprovisioner.kernelspecs.install.install_all", interrupted)
    code, _, errors = command("install", "--user", str(notebook), "--yes")
    assert code == 130
    assert errors.endswith(
        f"tf1: interrupted, nothing changed. Again: tfkernels install {notebook} --name tf1 --user\n"
    )


def test_no_stands_for_no(notebook: Path, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfprovisioner.cli.console.sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("tfprovisioner.cli.console.confirm", lambda question, err: False)
    code, _, errors = command("install", "--user", str(notebook))
    assert code == 1
    assert "Nothing was changed." in errors
    assert nothing_is_there(place)


def test_another_kernel_of_the_name_stays(
    notebook: Path, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("install", "tf1", "--user")[0] == 0
    plain = (place / "jupyter" / "kernels" / "tf1" / "kernel.json").read_bytes()
    code, said, errors = command("doctor", str(notebook))
    assert code == 1
    assert f"{notebook}: differs: extra 2.0 is missing\n" in said
    assert f"get the kernel with: tfkernels open {notebook}\n" in said

    code, said, errors = command("run", str(notebook))
    assert code == 2
    assert f"no such kernel is installed. Install it with: tfkernels install {notebook}\n" in errors

    code, said, errors = command("install", "--user", str(notebook), "--yes")
    assert code == 0, errors
    name = said.partition(":")[0]
    assert name.startswith("tf1-")
    assert f"Choose {name} in the notebook, or run: tfkernels open {notebook}" in errors
    assert (place / "jupyter" / "kernels" / "tf1" / "kernel.json").read_bytes() == plain

    executed: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, words: executed.append(words))
    code, _, errors = command("open", "--lab", str(notebook), "--yes", "--", "--no-browser")
    assert code == 0, errors
    ((program, *words),) = executed
    assert (program, words[2:]) == (sys.executable, ["jupyterlab", str(notebook), "--no-browser"])
    (place / "jupyterlab.py").write_text("raise SystemExit('came with the notebook')")
    done = subprocess.run([program, *words[:-1], "--version"], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert metadata_of(notebook)["kernelspec"]["name"] == name
    assert command("doctor", str(notebook))[0] == 0
    assert command("open", str(notebook))[0] == 0, "there is nothing to ask"
    code, said, _ = command("run", "--dry-run", str(notebook), "--json")
    assert json.loads(said)[0]["kernel"] == name


def test_other_files_than_the_notebooks_are_refused(
    notebook: Path, index: package_index.Index, command: Command, place: Path
) -> None:
    index.wrong = {"extra-2.0-py3-none-any.whl": package_index.wheel(place, "extra", "2.0", {"extra.py": "evil"})}
    code, _, errors = command("install", "--user", str(notebook), "--yes")
    assert code == 1
    assert "serves another file than the lock names" in " ".join(errors.split()), errors
    assert nothing_is_there(place)


def test_a_broken_kernel_is_built_again(notebook: Path, command: Command, place: Path) -> None:
    assert command("install", "--user", str(notebook), "--yes")[0] == 0
    (record,) = built(place)
    shutil.rmtree(record.parent)
    assert "Install tf1? Nobody can be asked" in command("install", "--user", str(notebook))[2]
    code, said, errors = command("install", "--user", str(notebook), "--yes")
    assert code == 0, errors
    assert said.startswith("tf1: installed.")
    assert command("install", "--user", str(notebook), "--yes", "--devices", "none")[0] == 0
    assert json.loads((place / "jupyter" / "kernels" / "tf1" / "kernel.json").read_text())["env"][
        "CUDA_VISIBLE_DEVICES"
    ]
    assert len(built(place)) == 1


def test_kernels_that_got_more_packages_stay(notebook: Path, command: Command, place: Path) -> None:
    """Also the one that has the name with digits."""
    release, folder = releases.find("tf1"), place / "jupyter" / "kernels"
    plain = Lock.of(str(release.lock), "3.7", releases.platform_name(), "tf1")
    write(notebook, "tf1", pinned_kernel.entry(PinnedKernel.of(plain, Path())))
    assert command("install", "tf1", "--user", "--with", "extra")[0] == 0
    assert command("install", "--user", str(notebook), "--yes")[0] == 0
    (other,) = (path.name for path in folder.iterdir() if path.name != "tf1")
    again = json.loads((folder / other / "kernel.json").read_text())["metadata"]["tfkernels"]["command"]
    code, _, errors = command(*again.split()[1:], "--with", "extra")
    assert code == 0, errors
    for state in ("installed", ""):
        code, said, errors = command("install", "--user", str(notebook), "--yes")
        assert code == 0, errors
        assert said.startswith(f"{other}-2: {state}" if state else "")
        assert f"Kernel: {other}-2" in errors
    assert "extra==2.0" in command("lock", other)[1]
    assert "extra==2.0" not in command("lock", f"{other}-2")[1]


def test_a_pin_of_another_kernel_did_not_make_the_outputs(notebook: Path, command: Command) -> None:
    assert command("install", "--user", str(notebook), "--yes")[0] == 0
    content = json.loads(notebook.read_text())
    content["metadata"]["tfkernels"]["outcome"] = {}
    notebook.write_text(json.dumps(content))
    for _ in range(2):
        assert "its outputs were made on tf1" in command("doctor", str(notebook))[1]
        assert command("pin", str(notebook))[0] == 0
    change(notebook, packages="0" * 16)
    assert command("pin", str(notebook))[0] == 0
    assert f"{notebook}: pinned to tf1" in command("doctor", str(notebook))[1]
    assert command("unpin", str(notebook))[0] == 0
    assert metadata_of(notebook)["tfkernels"] == {"format": 1, "outcome": {}}


def test_a_hostile_pin_changes_nothing(notebook: Path, command: Command, place: Path) -> None:
    change(notebook, lock="eNrLSM3JyQcABiwCFQ==")  # "hello"
    for arguments in (["install", "--user"], ["open"], ["run"]):
        code, _, errors = command(*arguments, str(notebook))
        assert code == 1
        assert "is not a lock: line 4 is not name==version" in errors
    assert command("unpin", str(notebook))[1] == f"{notebook}: unpinned\n"
    assert "tfkernels" not in metadata_of(notebook)
    assert nothing_is_there(place)


def test_options_for_packages_are_refused(notebook: Path, command: Command) -> None:
    for option in (["--with", "pandas"], ["--lock", "x"], ["--gpu"], ["tf1"]):
        code, _, _ = command("install", str(notebook), *option)
        assert code == 2


def test_only_kernels_with_a_lock_are_pinned(notebook: Path, command: Command) -> None:
    before = notebook.read_bytes()
    assert "tfkernels install tf1" in command("pin", str(notebook), "-k", "tf1")[2]
    code, _, errors = command("pin", str(notebook))
    assert code == 1
    assert "opens on the kernel tf1, which is not one of tfkernels here. Name one: tfkernels pin" in errors
    assert notebook.read_bytes() == before


@pytest.mark.slow
def test_the_same_packages_run_on_another_machine(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real TensorFlow, by the commands that users type."""
    path = write(place / "nb.ipynb", "python3")
    content = json.loads(path.read_text())
    source = "import sys, tensorflow as tf, tqdm\nprint(tf.__version__, tqdm.__version__, sys.version_info[:2])"
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": source,
    }
    path.write_text(json.dumps({**content, "cells": [cell]}))
    for arguments in (["install", "1.15", "--user", "--name", "mine", "--with", "tqdm==4.64.0"],
                      ["pin", str(path), "-k", "mine"]):  # fmt: skip
        done = tfkernels(*arguments)
        assert done.returncode == 0, done.stderr
    for name in ("TFKERNELS_HOME", "JUPYTER_DATA_DIR", "JUPYTER_PATH"):
        monkeypatch.setenv(name, str(place / f"other-{name[0]}"))
    assert "no such kernel is installed" in tfkernels("run", str(path), "-o", str(place / "early")).stderr
    done = tfkernels("install", "--user", str(path), "--yes")
    assert done.returncode == 0, done.stderr

    words = [sys.executable, "-m", "papermill", str(path), str(place / "papermill.ipynb"), "--start-timeout", "240"]
    subprocess.run(words, check=True, capture_output=True)
    done = tfkernels("run", str(path), "-o", str(place / "out"))
    assert done.returncode == 0, done.stderr
    (executed,) = (place / "out").glob("*.ipynb")
    for output in (place / "papermill.ipynb", executed):
        (cell,) = [cell for cell in json.loads(output.read_text())["cells"] if cell["source"]]
        assert "".join(cell["outputs"][0]["text"]) == "1.15.5 4.64.0 (3, 7)\n"
    assert f"{executed}: its outputs were made on mine (" in tfkernels("doctor", str(executed)).stdout
    assert metadata_of(executed)["tfkernels"]["kernel"] == metadata_of(path)["tfkernels"]["kernel"]
