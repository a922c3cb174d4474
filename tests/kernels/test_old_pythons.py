"""What runs under the Pythons of the kernels, TensorFlow's old ones and the newest: the codec and the comparison, whose
tests run again, and shared memory.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from uv import find_uv_bin

from tests.support import hypothesis_profile
from tests.support.interpreters import interpreter
from tfkernels import recording
from tfkernels.transfer.decoder import unpack
from tfkernels.transfer.encoder import ValueMessage
from tfkernels.transfer.shared_memory.segment import Segment
from tfprovisioner.batch import recorded
from tfprovisioner.kernelspecs.install import Installed

CODEC = ["test_encoding.py", "test_encoding_dtypes.py", "test_encoding_frames.py", "test_encoding_refusals.py"]
COMPARISON = ["test_comparison_numbers.py", "test_comparison_structure.py"]
_KERNELS = Path(__file__).parents[2] / "kernels"
_UNIT = Path(__file__).parents[1] / "unit"


@pytest.fixture
def python(version: str, packages: str, tmp_path: Path) -> Callable[..., str]:
    """Runs that version with those packages, and returns what it printed."""
    found = interpreter(version)
    if found is None and version == "3.6":
        pytest.skip("no Python 3.6 here: what the other side of a magic needs was not tried on it")
    command = [find_uv_bin(), "run", "--quiet", "--no-project", "--python"]
    command += [found or version, "--with", f"{packages},hypothesis,pytest", "python"]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(_KERNELS)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        return done.stdout

    return run


@pytest.mark.parametrize(
    ("tests", "examples", "version", "packages"),
    [
        (CODEC, 15, "3.7", "numpy,pandas,scipy"),
        (COMPARISON, 15, "3.7", "numpy==1.18.*"),
        # test_values_between_pythons sends every type to 3.6 and 3.12; the newest packages are those of tests/unit.
        pytest.param(CODEC, 100, "3.7", "numpy,pandas,scipy", marks=pytest.mark.slow),
        pytest.param(COMPARISON, 100, "3.7", "numpy==1.18.*", marks=pytest.mark.slow),
        pytest.param(CODEC, 100, "3.6", "numpy,pandas,scipy", marks=pytest.mark.slow),
        pytest.param(CODEC, 100, "3.12", "numpy<2,pandas<2.3,scipy,ml_dtypes", marks=pytest.mark.slow),
        pytest.param(CODEC, 100, "3.13", "numpy,pandas,scipy,ml_dtypes", marks=pytest.mark.slow),
        pytest.param(COMPARISON, 100, "3.13", "numpy,ml_dtypes", marks=pytest.mark.slow),
    ],
)
def test_again(
    tests: list[str], examples: int, python: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hypothesis_profile.EXAMPLES, str(examples))
    shutil.copy(hypothesis_profile.__file__, tmp_path / "profile_of_tests.py")
    options = ["-q", "-c", os.devnull, "--noconftest", "-p", "no:cacheprovider", "-p", "profile_of_tests"]
    assert " passed" in python(
        "-m", "pytest", *options, *(str(Path(__file__).parents[1] / "unit" / name) for name in tests)
    )


_COMPILE = """
import pathlib, sys
try:
    compile("pair: tuple = 1, 2", "later", "exec")
except SyntaxError:
    paths = list(pathlib.Path(sys.argv[1]).rglob("*.py"))
    for path in paths:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    print(len(paths))
"""


def test_modules_have_the_oldest_syntax(installed: dict[str, Installed]) -> None:
    """By the compiler of their oldest Python: ruff and vermin know a part of its grammar."""
    python = str(installed["tf1"].environment.python)
    done = subprocess.run([python, "-c", _COMPILE, str(_KERNELS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200


_OTHER_SIDE = """
import json, os, sys
from tfkernels import recording
from tfkernels.transfer.decoder import unpack
from tfkernels.transfer.encoder import ValueMessage
from tfkernels.transfer.shared_memory import reader, segment, writer
sent, address = map(json.loads, sys.argv[1:])
x = unpack(sent)["x"]
assert reader.find_received(x), "it was not copied"
x += 1
memory = segment.open_segment(address)
message = ValueMessage({"y": x})
for _ in range(2):
    descriptor = message.write(memory, address)
assert writer.cache, "the second time through a mapping"
assert segment.mappings_keep_locks() and not segment.Segment().is_busy()
print(json.dumps(descriptor))
"""


@pytest.mark.parametrize(("version", "packages"), [("3.6", "numpy"), ("3.7", "numpy"), ("3.13", "numpy")])
def test_shared_memory(python: Callable[..., str]) -> None:
    array = np.arange(10**6, dtype="f4")
    with Segment() as there, Segment() as back:
        sent = ValueMessage({"x": array}).write(there.descriptor, there.address)
        arrived = unpack(json.loads(python("-c", _OTHER_SIDE, json.dumps(sent), json.dumps(back.address))))
    assert np.array_equal(arrived["y"], array + 1)


_SCRIPT = (
    "import sys; sys.path[sys.path.index(sys.argv[1])] = sys.argv[2]\n"  # as it is reached in scripts
    "import tfkernels, numpy as np; tfkernels.record('x', np.arange(5e3)); tfkernels.record('y', {'a': [1, None]})\n"
    "assert tfkernels.__path__ == [sys.argv[1] + '/tfkernels']"
)


@pytest.mark.parametrize(("version", "packages"), [("3.6", "numpy"), ("3.7", "numpy")])
def test_a_script_records(python: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    monkeypatch.setenv(recording.FOLDER, str(folder))
    python("-c", _SCRIPT, str(_KERNELS), str(_KERNELS / "tfkernels" / "alone"))
    x, y = recorded.of_script(folder)
    assert np.array_equal(x.value(), np.arange(5e3))
    assert y.value() == {"a": [1, None]}
    assert oct((folder / x.sha256).stat().st_mode & 0o777) == "0o600"
