"""What notebooks say about their kernels: kept whole, and refused if it is anything else."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tfprovisioner.catalogue import releases
from tfprovisioner.errors import BadLock, BadNotebook
from tfprovisioner.notebook_metadata import compressed_lock, notebook_file, pinned_kernel, pinning, wanted_kernel
from tfprovisioner.notebook_metadata.notebook_file import NotebookFile, read
from tfprovisioner.notebook_metadata.pinned_kernel import PinnedKernel
from tfprovisioner.requirements import lock_file
from tfprovisioner.requirements.request import InstallRequest

_HASH = f"--hash=sha256:{'0' * 64}"
_SMALL = f"ipykernel==6.16.2 {_HASH}\npandas==1.3.5 {_HASH}\ntensorflow==1.15.5 {_HASH}\n"


def packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def small(**changed: Any) -> PinnedKernel:
    """A kernel of three packages."""
    lock = lock_file.parsed(_SMALL, "test")
    digest = hashlib.sha256(lock.text.encode()).hexdigest()
    made = PinnedKernel(
        "tf1", "1.15.5", "3.7", lock.platform, lock.fingerprint, digest, "0.1.0", lock=packed(lock.text)
    )
    return replace(made, **changed)


def verified(release: str) -> PinnedKernel:
    known = releases.find(release)
    lock = lock_file.of_release(known.version, known.pythons[0], releases.platform_name(), gpu=False, kernel="mine")
    assert lock is not None
    return PinnedKernel.of(lock, Path())


def write(path: Path, ours: object, **metadata: Any) -> Path:
    return document(path, {**metadata, "tfkernels": ours})


def document(path: Path, metadata: object) -> Path:
    """A notebook without cells, valid or not."""
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": []}))
    return path


def pinned(path: Path) -> PinnedKernel:
    found = pinned_kernel.pinned(read(path))
    assert found is not None
    return found


def test_pins_are_read_as_they_were_written(tmp_path: Path) -> None:
    for number, kernel in enumerate(
        (small(changes=("pandas is 1.3.4 instead of 1.3.5",)), verified("1.15"), verified("2.21"))
    ):
        path = write(tmp_path / f"{number}.ipynb", pinned_kernel.entry(kernel))
        assert pinned(path) == kernel
        lock = kernel.whole_lock(path)
        assert (lock.release, lock.python, lock.fingerprint) == (kernel.release, kernel.python, kernel.packages)
        assert path.stat().st_size < 1500
    assert small().whole_lock(path).beyond_verified == ["pandas==1.3.5"]


def test_a_catalogue_that_changed_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "nb.ipynb", pinned_kernel.entry(replace(verified("1.15"), sha256="1" * 64)))
    with pytest.raises(BadLock, match=r"pip install tfkernels==0\.1\.0\. Or take today's.*tfkernels install 1\.15\.5"):
        pinned(path).whole_lock(path)


def test_a_pin_without_its_lock_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(BadLock, match="tfkernels lock tf1 > FILE, and run: tfkernels install --lock FILE"):
        small(lock=None).whole_lock(tmp_path / "nb.ipynb")


@pytest.mark.parametrize(
    "ours",
    [
        "text", [], {}, 1, {"format": "1"}, {"format": 1, "kernel": "tf1"}, {"format": 1, "kernel": {}},
        *(
            {"format": 1, "kernel": {**small().to_json(), **wrong}}
            for wrong in (
                {"name": "../../tf1"}, {"name": "tf1\x1b[2J"}, {"name": ["tf1"]}, {"name": "x" * 1000},
                {"release": "1.15; rm"}, {"release": None}, {"python": "/tmp/python"}, {"python": 3.7},
                {"platform": "https://x"}, {"packages": "x"}, {"sha256": ""}, {"lock": 5}, {"lock": {"url": "x"}},
                {"verified": "yes"}, {"gpu": None},
                {"changes": "x"}, {"changes": ["\x1b[2J"]}, {"changes": ["x"] * 51}, {"tfkernels": "0.1\n"},
            )
        ),
    ],
)  # fmt: skip
def test_other_metadata_is_refused(tmp_path: Path, ours: object) -> None:
    path = write(tmp_path / "nb.ipynb", ours)
    with pytest.raises(BadNotebook, match=r"nb\.ipynb: its .*Delete it with: tfkernels unpin .*nb\.ipynb") as caught:
        pinned_kernel.pinned(read(path))
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    assert pinning.unpin(path), "and the advice works"
    assert pinned_kernel.pinned(read(path)) is None


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        ("x" * 20_001, "is too large"),
        ("!!", "is damaged"),
        (base64.b64encode(b"no zlib").decode(), "is damaged"),
        (packed(_SMALL)[:-8], "is damaged"),
        (base64.b64encode(zlib.compress(_SMALL.encode()) + b"more").decode(), "is damaged"),
        (base64.b64encode(zlib.compress(b"\xff\xfe")).decode(), "is damaged"),
        (packed("#" * 5_000_000), "unpacks to more than"),
        (packed(f"--index-url https://example.org/\n{_SMALL}"), "is not a lock: line 4 is not name==version"),
        (packed(f"pandas @ https://example.org/pandas.whl {_HASH}\n{_SMALL}"), "is not a lock: line 4"),
        (packed(_SMALL.replace("0" * 64, "1" * 64)), "is not the one of TensorFlow 1.15.5"),
        (packed(_SMALL.replace("1.3.5", "1.3.4")), "is not the one of TensorFlow 1.15.5"),
        (packed(_SMALL.replace("1.15.5", "1.14.0")), "is not the one of TensorFlow 1.15.5"),
        (packed(f"# python: 3.6\n{_SMALL}"), "for Python 3.6|is not the one"),
    ],
)
def test_hostile_locks_are_refused(tmp_path: Path, lock: str, said: str) -> None:
    path = write(tmp_path / "nb.ipynb", pinned_kernel.entry(small(lock=lock)))
    with pytest.raises(BadLock, match=said) as caught:
        pinned(path).whole_lock(path)
    assert len(str(caught.value)) < 500


def test_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven megabytes of zeros are eleven kilobytes."""
    unpacked = []
    monkeypatch.setattr(lock_file, "parsed", lambda text, source: unpacked.append(text))
    with pytest.raises(BadLock, match="unpacks to more than 4 MB"):
        compressed_lock.unpacked(packed("\0" * 11_000_000), "", "The lock")
    assert unpacked == []


def test_locks_of_another_machine_name_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "nb.ipynb", pinned_kernel.entry(small(platform="macos-arm64")))
    with pytest.raises(BadLock, match=r"made on macos-arm64.*tfkernels install 1\.15\.5"):
        pinned(path).whole_lock(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a notebook"),
        (b"\xff", "is not a notebook"),
        (b"[]", "is not a notebook"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"nbformat": 2, "nbformat_minor": 0, "metadata": {}}', "is not a notebook of format 3 or 4"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": [], "cells": []}', "is not a notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": {}}', "is not a notebook of format 3 or 4"),
        (b'{"nbformat": "x", "metadata": {}}', "is not a notebook"),
        (b'{"metadata": {}}', "is not a notebook"),
    ],
)
def test_files_that_are_no_notebooks_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "nb.ipynb").write_bytes(content)
    with pytest.raises(BadNotebook, match=said):
        read(tmp_path / "nb.ipynb")


def test_huge_and_missing_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadNotebook, match="No such file"):
        read(tmp_path / "nb.ipynb")
    monkeypatch.setattr(notebook_file, "MAX_BYTES", 1_000_000)
    with pytest.raises(BadNotebook, match=r"more than 1 MB.*--clear-output"):
        read(write(tmp_path / "nb.ipynb", {"format": 1, "kernel": {"name": "x" * 1_000_000}}))


def test_metadata_of_many_values_are_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_file, "MAX_VALUES", 1000)
    read(document(tmp_path / "nb.ipynb", {"mine": [{}] * 990}))
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("it was parsed"))
    with pytest.raises(BadNotebook, match=r"more than 1,000 lists and objects.*--clear-output"):
        read(document(tmp_path / "nb.ipynb", {"mine": [{}] * 1000}))


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    with pytest.raises(BadNotebook, match="pip install --upgrade tfkernels"):
        pinned_kernel.pinned(read(write(tmp_path / "nb.ipynb", {"format": 2})))


def saved(path: Path) -> dict[str, Any]:
    """Writes a pin into a notebook, and returns the file's content."""
    notebook = read(path)
    notebook.metadata["tfkernels"] = pinned_kernel.entry(small())
    notebook.save()
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_all_else_in_a_notebook_stays(tmp_path: Path) -> None:
    path = tmp_path / "nb.ipynb"
    cell = new_code_cell("a\nb", outputs=[new_output("stream", text="ü\n")], metadata={"mine": [1, {"x": None}]})
    path.write_text(nbformat.writes(new_notebook(cells=[cell], metadata={"other": {"deep": [1]}})))
    os.chmod(path, 0o640)
    before = json.loads(path.read_text())
    after = saved(path)
    assert after["metadata"].pop("tfkernels")["format"] == 1
    assert after == before
    assert path.stat().st_mode & 0o777 == 0o640
    assert pinning.unpin(path)
    assert json.loads(path.read_text()) == before
    assert not pinning.unpin(path)


def test_old_formats_and_invalid_cells_stay(tmp_path: Path) -> None:
    path = tmp_path / "nb.ipynb"
    cell: dict[str, Any] = {
        "cell_type": "code",
        "source": "1",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "odd": 1,
    }
    for before in (
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [], "metadata": {}}]},
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]},  # has no id
    ):
        path.write_text(json.dumps(before))
        after = saved(path)
        del after["metadata"]["tfkernels"]
        assert {**after, "cells": None} == {**before, "cells": None}
        for old, new in zip(before.get("cells", []), after.get("cells", []), strict=True):  # type: ignore[call-overload]
            assert {**old, "source": ""} == {**new, "source": ""}


def test_a_notebook_that_changed_is_not_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path / "nb.ipynb", {"format": 1})
    notebook = read(path)
    path.write_text(path.read_text() + " ")
    with pytest.raises(BadNotebook, match="changed meanwhile"):
        notebook.save()
    assert path.read_text().endswith(" ")
    assert list(tmp_path.iterdir()) == [path]


def test_a_read_only_notebook_is_not_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "nb.ipynb", {"format": 1})
    os.chmod(path, 0o444)
    with pytest.raises(BadNotebook, match="is read-only"):
        saved(path)


def test_a_linked_notebook_stays_a_link(tmp_path: Path) -> None:
    path = write(tmp_path / "nb.ipynb", {"format": 1})
    (tmp_path / "link.ipynb").symlink_to(path)
    saved(tmp_path / "link.ipynb")
    assert (tmp_path / "link.ipynb").is_symlink()
    assert pinned(path) == small()


def wanted(notebook: NotebookFile) -> InstallRequest:
    return wanted_kernel.wanted(notebook, InstallRequest("")).request


def test_a_notebook_wants_its_pinned_packages(tmp_path: Path) -> None:
    request = wanted(read(write(tmp_path / "nb.ipynb", pinned_kernel.entry(small()))))
    assert (request.release, request.kernel) == ("1.15.5", "tf1")
    assert request.locked is not None
    assert request.locked.fingerprint == small().packages
    plain = wanted(read(write(tmp_path / "nb.ipynb", pinned_kernel.entry(replace(verified("1.15"), name="tf1")))))
    assert (plain.release, plain.kernel, plain.python, plain.lock) == ("tf1", "tf1", "3.7", None)


@pytest.mark.parametrize("name", ["python3", "python"])
def test_a_notebook_never_takes_jupyters_own_names(tmp_path: Path, name: str) -> None:
    assert wanted(read(write(tmp_path / "nb.ipynb", pinned_kernel.entry(small(name=name))))).kernel == "tf1.15.5"
    language = {"version": "3.7.16", "tfkernels": {"kernel": name, "tensorflow": "1.15.5"}}
    assert wanted(read(document(tmp_path / "nb.ipynb", {"language_info": language}))).kernel == "tf1.15.5"


def test_notebooks_with_different_kernels_of_one_name_are_refused(tmp_path: Path) -> None:
    first = read(write(tmp_path / "first.ipynb", pinned_kernel.entry(small())))
    same = read(write(tmp_path / "same.ipynb", pinned_kernel.entry(small())))
    other = read(write(tmp_path / "other.ipynb", pinned_kernel.entry(replace(verified("1.15"), name="tf1"))))
    kernels = wanted_kernel.wanted_by_all([first, same], InstallRequest(""))
    assert [one.name for one in kernels] == ["tf1", "tf1"]
    with pytest.raises(BadNotebook, match=r"first\.ipynb and .*other\.ipynb want different kernels, both called tf1"):
        wanted_kernel.wanted_by_all([first, same, other], InstallRequest(""))


@pytest.mark.parametrize(
    ("kernelspec", "language", "expected"),
    [
        ("tf2.11", {}, ("tf2.11", "tf2.11", None)),
        ("tf1", {"version": "3.7.16", "tfkernels": {"kernel": "tf1", "tensorflow": "1.15.5"}}, ("tf1", "tf1", "3.7")),
        ("python3", {"version": "3.6.1", "tfkernels": {"kernel": "old", "tensorflow": "1.4.0"}},
         ("1.4.0", "old", "3.6")),
    ],
)  # fmt: skip
def test_unpinned_notebooks_want_the_release_they_ran_on(
    tmp_path: Path, kernelspec: str, language: dict[str, Any], expected: tuple[str, str, str | None]
) -> None:
    metadata = {"kernelspec": {"name": kernelspec}, "language_info": language}
    request = wanted(read(document(tmp_path / "nb.ipynb", metadata)))
    assert (request.release, request.kernel, request.python) == expected


@pytest.mark.parametrize("kernelspec", ["python3", "tf7.7", "\x1b[2J", {"name": 1}, None, "../tf1"])
def test_notebooks_that_want_nothing_say_so(tmp_path: Path, kernelspec: object) -> None:
    metadata = {"kernelspec": {"name": kernelspec}, "language_info": {"tfkernels": "x", "version": 7}}
    with pytest.raises(BadNotebook, match=r"tfkernels pin .* -k KERNEL"):
        wanted(read(document(tmp_path / "nb.ipynb", metadata)))
