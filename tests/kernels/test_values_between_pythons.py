"""Values between kernels of the oldest and the newest Python, NumPy, pandas and scipy, both ways.

The notebook's side is a kernel too: it starts the other one through ``tfkernels.kernel``, as a notebook does. Each side
makes its own specimens, and what arrives must be the same as what that side made itself.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.support import specimens
from tests.support.cells import SLEEP, Answering, begun, interrupt_when
from tests.support.interpreters import interpreter
from tfkernels import launcher
from tfkernels.client.kernel import Kernel
from tfkernels.errors import ExchangeError, RemoteError, RemoteInterrupt
from tfprovisioner.kernelspecs.install import Installed

_PACKAGES = {
    "python3.6": ["ipykernel", "numpy<1.20", "pandas<1.2", "scipy<1.6"],
    "python3.7": ["ipykernel", "numpy<1.20", "pandas<1.4", "scipy<1.8"],
    "python3.12": ["ipykernel", "numpy<2", "pandas<2.3", "scipy", "ml_dtypes", "pyarrow<20"],
    "newest": ["ipykernel", "numpy", "pandas", "scipy", "ml_dtypes"],
}
_VERSIONS = {"python3.6": "3.6", "python3.7": "3.7", "python3.12": "3.12", "newest": "3.13"}
_WITH_ML_DTYPES = {name for name, packages in _PACKAGES.items() if "ml_dtypes" in packages}


def _interpreter(version: str) -> str:
    found = interpreter(version)
    if found is None and version == "3.6":
        pytest.skip("no Python 3.6 here: what the other side of a magic needs was not tried on it")
    return found or version


@pytest.fixture(scope="module")
def kernels_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the kernels of these tests are registered, beside the environments that they run in."""
    folder = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        yield folder / "kernels"


def _registered(name: str, folder: Path) -> str:
    """The name of a kernel, made if it is not there: a small environment without TensorFlow."""
    environment = folder.parent / name
    if (folder / name).exists():
        return name
    uv = [find_uv_bin(), "--quiet"]
    subprocess.run([*uv, "venv", "--clear", "--python", _interpreter(_VERSIONS[name]), str(environment)], check=True)
    python = str(environment / "bin" / "python")
    subprocess.run([*uv, "pip", "install", "--python", python, *_PACKAGES[name]], check=True)
    content = {
        "argv": [python, str(launcher.__file__), "-f", "{connection_file}"],
        "display_name": name,
        "language": "python",
        "env": {"TFKERNELS_KERNEL": name, "TFKERNELS_KERNELS": str(folder)},
        "metadata": {
            "tfkernels": {"environment": "", "tensorflow": "", "python": "", "backend": "uv", "command": "a test"}
        },
    }
    (folder / name).mkdir(parents=True)
    (folder / name / "kernel.json").write_text(json.dumps(content))
    return name


_PAIRS = [
    ("python3.7", "python3.6"),
    ("python3.7", "newest"),
    ("python3.12", "python3.6"),
    pytest.param("python3.12", "python3.7", marks=pytest.mark.slow),
    pytest.param("newest", "python3.6", marks=pytest.mark.slow),
    ("newest", "python3.12"),
]
"""The notebook's side and the other one. Each pair once: all values go both ways. Each Python is in two quick ones."""


@pytest.fixture(scope="module")
def notebook(request: pytest.FixtureRequest, kernels_folder: Path) -> Iterator[Kernel]:
    with Kernel(_registered(request.param, kernels_folder)) as kernel:
        prepare(kernel)
        yield kernel


@pytest.fixture
def other(request: pytest.FixtureRequest, kernels_folder: Path) -> str:
    return _registered(request.param, kernels_folder)


def prepare(kernel: Kernel) -> None:
    """Both sides know the specimens and how they are compared."""
    kernel["source"] = Path(specimens.__file__).read_text(encoding="utf-8")
    kernel.run(COMPARING)


COMPARING = """
import traceback
exec(source)

def differing(arrived, own):
    found = {}
    for name in arrived:
        try:
            assert_same(arrived[name], own[name])
        except Exception:  # any difference, and any value that cannot be compared: all are shown at the end
            found[name] = traceback.format_exc(-4)
    return found
"""


@pytest.mark.parametrize(("notebook", "other"), _PAIRS, indirect=True)
def test_every_kind_both_ways(notebook: Kernel, other: str) -> None:
    notebook["name"] = other
    notebook.run(
        """
import tfkernels
there = tfkernels.kernel(name)
there["source"] = source
there.run(COMPARING + "own = all_here()")
own = all_here()
known = set(there["list(own)"])
sent = {name: value for name, value in own.items() if name in known}
missing = sorted(name for name in set(own) ^ known if ": new " not in name)
back = there.run("wrong = differing(sent, own)", inputs={"sent": sent}, outputs={"sent": "sent", "wrong": "wrong"})
wrong_here = differing(back["sent"], own)
""",
        inputs={"COMPARING": COMPARING},
    )
    assert notebook["missing"] == []
    assert notebook["back['wrong']"] == {}
    assert notebook["wrong_here"] == {}
    assert notebook["len(sent)"] > 50
    both = {notebook.name, other} <= _WITH_ML_DTYPES
    assert notebook["{name for name in sent if name[-8:] in ('bfloat16', 'e4m3fnuz')}"] == (
        {"ml_dtypes: new bfloat16", "ml_dtypes: new float8_e4m3fnuz"} if both else set()
    )
    notebook.run("there.shutdown()")


@pytest.fixture(scope="module")
def new(kernels_folder: Path) -> Iterator[Kernel]:
    _registered("python3.7", kernels_folder)
    with Kernel(_registered("newest", kernels_folder)) as kernel:
        prepare(kernel)
        kernel.run("import tfkernels; old = tfkernels.kernel('python3.7'); import numpy as np, pandas as pd")
        yield kernel


def test_types_unknown_to_older_pandas_are_converted(new: Kernel) -> None:
    new.run("""
old["x"] = [
    pd.Series(["a", np.nan]), pd.Index(["a", "b"]),
    pd.Series(np.array(["2020", "NaT"], "M8[s]")), pd.date_range("2020", periods=2, unit="us", tz="UTC"),
    pd.Series(pd.array(["a", None], dtype="string")),
]
kinds = old["[str(v.dtype) for v in x]"]
exact = old["x[0][0] == 'a' and x[0][1] != x[0][1] and str(x[3][1]) == '2020-01-02 00:00:00+00:00'"]
""")
    assert new["kinds"] == ["object", "object", "datetime64[ns]", "datetime64[ns, UTC]", "string"]
    assert new["exact"]


def test_arrow_strings_with_nan_are_converted(kernels_folder: Path) -> None:
    for name in ("python3.7", "newest"):
        _registered(name, kernels_folder)
    with Kernel(_registered("python3.12", kernels_folder)) as kernel:
        kernel.run("""
import pandas as pd, tfkernels
x = pd.Series(["ä", None], dtype="string[pyarrow_numpy]")
kinds, back = [], []
for name in ("python3.7", "newest"):
    with tfkernels.kernel(name) as there:
        there["x"] = x
        kinds.append(there["str(x.dtype)"])
        back.append(there["x"])
values = [(each[0], each.isna().tolist()) for each in back]
""")
        assert kernel["kinds"] == ["object", "str"]
        assert kernel["values"] == [("ä", [False, True])] * 2


def _refused(kernel: Kernel, expression: str) -> str:
    kernel["expression"] = expression
    kernel.run("""
error = ""
try:
    old["refused"] = eval(expression)
except tfkernels.errors.ExchangeError as caught:
    error = str(caught)
""")
    return str(kernel["error"])


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("pd.Series(np.array(['9999'], 'M8[s]'))", "pandas 1.3.5 here holds times in nanoseconds only"),
        ("pd.Timedelta(10**12, 's').as_unit('s')", "pandas 1.3.5 here holds times in nanoseconds only"),
        ("sp.csr_array((2, 2))", "has none. Pass scipy.sparse.csr_matrix(x)."),
        ("np.array(['a'], 'T')", "Pass x.astype(object)"),
        ("__import__('datetime').datetime(2020, 1, 1, tzinfo=__import__('zoneinfo').ZoneInfo('UTC'))", "in UTC"),
        ("np.ones(1, __import__('ml_dtypes').float8_e4m3)", "%%python3.7\n%pip install ml_dtypes"),
    ],
)
def test_untransferable_values_are_explained(new: Kernel, expression: str, says: str) -> None:
    new.run("old['kept'] = 1")
    assert says in _refused(new, expression)
    assert new["old['kept']"] == 1


def test_missing_libraries_name_the_installing_cell(installed: dict[str, Installed], remote: Kernel) -> None:
    specimen = specimens.frames()["series"]
    with pytest.raises(
        ExchangeError, match=rf"(?s)pandas.Series.*kernel {remote.name} lacks.*%%{remote.name}\n%pip install pandas"
    ):
        remote["x"] = specimen
    with pytest.raises(ExchangeError, match=rf"(?s)%%{remote.name}\n%pip install scipy"):
        remote["x"] = {"a": specimens.matrices()["csr_matrix"]}


def test_interrupts_questions_and_output_on_python_3_6(kernels_folder: Path) -> None:
    """ipykernel 5 calls its kernel in another way than later ones do."""
    with Kernel(_registered("python3.6", kernels_folder)) as kernel:
        assert kernel.run("x = input('a? ')", outputs={"x": "x"}, show=Answering()) == {"x": "a? False"}
        with pytest.raises(RemoteError, match="ZeroDivisionError in kernel python3"):
            kernel.run("import asyncio\nawait asyncio.sleep(0.01)\n1/0")
        with pytest.raises(ExchangeError, match=r"value\[0\]: objects of type"):
            kernel["[object()]"]
        for evaluated in (f"exec({SLEEP!r})", None):
            interrupt_when(lambda: begun(kernel))
            with pytest.raises(RemoteInterrupt):
                kernel.run("" if evaluated else SLEEP, outputs={"x": evaluated} if evaluated else None)
        with pytest.raises(RemoteError, match="newer Python"):
            kernel.run("%load_ext tfkernels\nimport tfkernels; tfkernels.kernel('python3.6')")
        assert kernel["1 + 1"] == 2
