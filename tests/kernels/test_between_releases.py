"""Values between kernels of the oldest and the newest Python, NumPy, pandas, scipy and TensorFlow, both ways.

The notebook's side is a kernel too: it starts the other one through ``tfkernels.kernel``, as a notebook does. Each side
makes its own specimens, and what arrives must be the same as what that side made itself.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import findpython
import pytest
from uv import find_uv_bin

import tfkernels
from tests.kernels import specimens
from tests.kernels.test_remote import Answering, interrupt_soon
from tfkernels import launcher
from tfkernels.errors import ExchangeError, RemoteError, RemoteInterrupt
from tfkernels.remote import RemoteKernel
from tfprovisioner.install import Installed

_PACKAGES = {
    "python3.6": ["ipykernel", "numpy<1.20", "pandas<1.2", "scipy<1.6"],
    "python3.7": ["ipykernel", "numpy<1.20", "pandas<1.4", "scipy<1.8"],
    "python3.12": ["ipykernel", "numpy<2", "pandas<2.3", "scipy", "ml_dtypes", "pyarrow<20"],
    "newest": ["ipykernel", "numpy", "pandas", "scipy", "ml_dtypes"],
}
_VERSIONS = {"python3.6": "3.6", "python3.7": "3.7", "python3.12": "3.12", "newest": "3.13"}
_WITH_ML_DTYPES = {name for name, packages in _PACKAGES.items() if "ml_dtypes" in packages}


def _interpreter(version: str) -> str:
    major, minor = map(int, version.split("."))
    found = [python for python in findpython.find_all(major, minor) if not python.freethreaded]
    if not found and version == "3.6":
        pytest.skip("no Python 3.6 here: what the other side of a magic needs was not tried on it")
    return str(found[0].interpreter) if found else version


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


@pytest.fixture(scope="module", params=["python3.7", "python3.12", "newest"])
def notebook(request: pytest.FixtureRequest, kernels_folder: Path) -> Iterator[RemoteKernel]:
    with RemoteKernel(_registered(request.param, kernels_folder)) as kernel:
        _prepare(kernel)
        yield kernel


@pytest.fixture(params=["python3.6", "python3.7", "python3.12", "newest"])
def other(request: pytest.FixtureRequest, kernels_folder: Path) -> str:
    return _registered(request.param, kernels_folder)


def _prepare(kernel: RemoteKernel) -> None:
    """Both sides know the specimens and how they are compared."""
    kernel["source"] = Path(specimens.__file__).read_text(encoding="utf-8")
    kernel.run(_COMPARING)


_COMPARING = """
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


def test_every_kind_both_ways(notebook: RemoteKernel, other: str) -> None:
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
        inputs={"COMPARING": _COMPARING},
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
def new(kernels_folder: Path) -> Iterator[RemoteKernel]:
    with RemoteKernel(_registered("newest", kernels_folder)) as kernel:
        _prepare(kernel)
        kernel.run("import tfkernels; old = tfkernels.kernel('python3.7'); import numpy as np, pandas as pd")
        yield kernel


def test_what_an_older_pandas_has_no_type_for_arrives_as_what_it_would_make_itself(new: RemoteKernel) -> None:
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


def test_strings_of_arrow_with_nan_arrive_as_what_each_pandas_calls_them(kernels_folder: Path) -> None:
    for name in ("python3.7", "newest"):
        _registered(name, kernels_folder)
    with RemoteKernel(_registered("python3.12", kernels_folder)) as kernel:
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


def _refused(kernel: RemoteKernel, expression: str) -> str:
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
        ("sp.csr_array((2, 2))", "has none such; pass scipy.sparse.csr_matrix(x)"),
        ("np.array(['a'], 'T')", "pass x.astype(object)"),
        ("__import__('datetime').datetime(2020, 1, 1, tzinfo=__import__('zoneinfo').ZoneInfo('UTC'))", "in UTC"),
        ("np.ones(1, __import__('ml_dtypes').float8_e4m3)", "%%python3.7\n!pip install ml_dtypes"),
    ],
)
def test_what_the_other_side_cannot_have_is_an_error_that_says_what_to_do(
    new: RemoteKernel, expression: str, says: str
) -> None:
    new.run("old['kept'] = 1")
    assert says in _refused(new, expression)
    assert new["old['kept']"] == 1


def test_a_missing_library_is_named_with_the_cell_that_installs_it(
    installed: dict[str, Installed], remote: RemoteKernel
) -> None:
    specimen = specimens.frames()["series"]
    with pytest.raises(
        ExchangeError, match=rf"(?s)pandas.Series.*kernel {remote.name} lacks.*%%{remote.name}\n!pip install pandas"
    ):
        remote["x"] = specimen
    with pytest.raises(ExchangeError, match=rf"(?s)%%{remote.name}\n!pip install scipy"):
        remote["x"] = {"a": specimens.matrices()["csr_matrix"]}


def test_interrupts_questions_and_output_on_python_3_6(kernels_folder: Path) -> None:
    """ipykernel 5 calls its kernel in another way than later ones do."""
    with RemoteKernel(_registered("python3.6", kernels_folder)) as kernel:
        assert kernel.run("x = input('a? ')", outputs={"x": "x"}, show=Answering()) == {"x": "a? False"}
        with pytest.raises(RemoteError, match="ZeroDivisionError in kernel python3"):
            kernel.run("import asyncio\nawait asyncio.sleep(0.01)\n1/0")
        with pytest.raises(ExchangeError, match=r"value\[0\]: objects of type"):
            kernel["[object()]"]
        interrupt_soon()
        with pytest.raises(RemoteInterrupt):
            kernel.run("import time; time.sleep(60)")
        interrupt_soon()
        with pytest.raises(RemoteInterrupt):
            kernel["__import__('time').sleep(60)"]
        with pytest.raises(RemoteError, match="newer Python"):
            kernel.run("%load_ext tfkernels\nimport tfkernels; tfkernels.kernel('python3.6')")
        assert kernel["1 + 1"] == 2


def _with_tensorflow(kernel: RemoteKernel) -> RemoteKernel:
    _prepare(kernel)
    kernel.run("import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'; import tensorflow as tf; own = tensors()")
    return kernel


@pytest.fixture(scope="module")
def eager(installed: dict[str, Installed]) -> RemoteKernel:
    """A notebook on TensorFlow 2, that has TensorFlow 1 as ``old``."""
    kernel = _with_tensorflow(tfkernels.kernel("tf2"))
    kernel.run("import tfkernels; old = tfkernels.kernel('tf1'); old['source'] = source")
    kernel.run("old.run(COMPARING + 'import tensorflow as tf')", inputs={"COMPARING": _COMPARING})
    return kernel


def test_ragged_and_sparse_tensors_arrive_as_what_the_other_side_has(eager: RemoteKernel) -> None:
    eager.run("""
back = old.run(
    "wrong = differing(sent, tensors())", inputs={"sent": {name: own[name] for name in own if "value" in name}},
    outputs={"sent": "sent", "wrong": "wrong"})
wrong = dict(back["wrong"], **differing(back["sent"], own))
""")
    assert eager["wrong"] == {}, "the values that a session gives are the same in both"
    eager.run("""
old["sent"] = {name: own[name] for name in own if "value" not in name}
kinds = {name: old["type(sent[%r]).__name__" % name] for name in own if "value" not in name}
parts = old["sent['ragged'].values, sent['ragged'].row_splits, sent['sparse'].values, sent['slices'].indices"]
again = {name: old["sent[%r]" % name] for name in ("ragged", "sparse")}
""")
    assert eager["kinds"] == {
        "ragged": "RaggedTensorValue",
        "ragged of two levels": "RaggedTensorValue",
        "ragged of rows of one length": "RaggedTensorValue",
        "sparse": "SparseTensorValue",
        "slices": "IndexedSlicesValue",
    }
    specimens.assert_same(
        eager["parts"],
        eager["own['ragged'].values, own['ragged'].row_splits, own['sparse'].values, own['slices'].indices"],
    )
    assert eager["type(again['sparse']).__name__"] == "SparseTensorValue"


def test_ragged_and_sparse_tensors_stay_what_they_are_where_execution_is_eager(eager: RemoteKernel) -> None:
    eager.run("twin = tfkernels.kernel('tf2'); twin['source'] = source; twin['COMPARING'] = COMPARING")
    assert not eager["twin[\"'tensorflow' in __import__('sys').modules\"]"]
    eager.run("back = twin.run('exec(COMPARING)', inputs={'sent': own}, outputs={'sent': 'sent'})['sent']")
    assert eager['twin["differing(sent, tensors())"]'] == {}, "TensorFlow was imported there for them"
    assert eager["differing(back, own)"] == {}
    eager.run("twin.shutdown()")


def test_dense_tensors_and_variables_arrive_as_arrays(eager: RemoteKernel) -> None:
    eager.run("""
import keras
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, name="dense")])
given = {
    "tensor": tf.constant([[1, 2]]), "variable": tf.Variable([1.5, 2]), "keras": model.weights,
    "bytes": tf.constant(["a", "b"]), "loss": tf.reduce_sum(tf.constant([1.0])),
    "weights": {layer.name: layer.get_weights() for layer in model.layers},
}
expected = {
    "tensor": given["tensor"].numpy(), "variable": given["variable"].numpy(), "bytes": given["bytes"].numpy(),
    "keras": [w.numpy() for w in model.weights], "loss": given["loss"].numpy(), "weights": given["weights"],
}
old["given"] = given
wrong = differing(old["given"], expected)
""")
    assert eager["wrong"] == {}
    specimens.assert_same([eager["given"][name] for name in eager["list(expected)"]], eager["list(expected.values())"])


_HOLDERS = """
import collections
HOLDERS = [getattr(tf, "Module", None), getattr(globals().get("keras"), "Layer", None)]

def held():
    pair = collections.namedtuple("Pair", "x y")
    return {
        "list": [1, [np.ones(2)], {"a": 2}], "dict": {"a": {"b": [1]}}, "ordered": collections.OrderedDict(b=1, a=[2]),
        "set": {1, 2}, "tuple": (1, [2]), "pair": pair([3], {"c": 4}),
    }

def holding(cls):
    holder, attributes = cls(), held()
    for name in attributes:
        setattr(holder, "my_" + name, attributes[name])
    return {name: getattr(holder, "my_" + name) for name in attributes}
"""


def test_what_was_assigned_to_a_model_arrives_as_what_it_was(eager: RemoteKernel) -> None:
    """TensorFlow and Keras put containers of their own in its place."""
    eager.run("import keras\n" + _HOLDERS)
    eager.run("old.run(HOLDERS_SOURCE)", inputs={"HOLDERS_SOURCE": _HOLDERS})
    eager.run("""
wrapped = {str(cls): holding(cls) for cls in HOLDERS}
own_classes = [[type(part).__module__.split(".")[0] for part in parts.values()] for parts in wrapped.values()]
old["arrived"] = wrapped
wrong = {name: differing(parts, held()) for name, parts in old["arrived"].items()}
wrong_there = differing(old["holding(HOLDERS[0])"], held())
""")
    assert "tensorflow" in eager["own_classes"][0]
    assert "keras" in eager["own_classes"][1]
    assert not any(eager["wrong"].values())
    assert eager["wrong_there"] == {}


def test_bfloat16_both_ways(eager: RemoteKernel) -> None:
    """TensorFlow 1 has a bfloat16 of its own, and there is no ml_dtypes."""
    eager.run("""
x = tf.cast(tf.constant([1.0, -2.5, float("nan")]), tf.bfloat16)
old["x"] = {"array": x.numpy(), "tensor": x, "record": np.zeros(2, [("a", x.numpy().dtype)])}
wrong = differing({"back": old["x['array']"], "tensor": old["x['tensor']"]}, {"back": x.numpy(), "tensor": x.numpy()})
there = old["x['array'].dtype.type is tf.bfloat16.as_numpy_dtype and x['record'].dtype['a'].name"]
old.run("s = tf.Session(); doubled = s.run(tf.constant(x['array']) + tf.constant(x['array']))")
doubled = old["doubled"]
""")
    assert eager["wrong"] == {}
    assert eager["there"] == "bfloat16"
    assert eager["doubled.astype('f4')[:2].tolist()"] == [2.0, -5.0]


def test_what_has_no_value_says_so(eager: RemoteKernel) -> None:
    eager.run("old.run('t = {\"a\": [tf.constant(1.0)]}; v = tf.Variable(1.0); r = tf.sparse_placeholder(tf.float32)')")
    for expression, path in [("t", r"\['a'\]\[0\]"), ("v", ""), ("r", r"\.indices")]:
        with pytest.raises(Exception, match=rf"{path}: this \w+ has no value yet.*sess\.run"):
            eager[f"old[{expression!r}]"]


def test_values_of_a_session_arrive_as_they_are(eager: RemoteKernel) -> None:
    eager.run("old.run('own = tensors()'); arrived = old['own']")
    assert eager["differing(arrived, own)"] == {}
    with pytest.raises(ExchangeError, match=r"(?s)SparseTensorValue arrived.*lacks tensorflow.*pip install"):
        tfkernels.kernel("tf1").run("import tensorflow as tf", outputs={"x": "tf.SparseTensorValue([[0]], [1.0], [1])"})
