"""Values between kernels of TensorFlow 1 and 2, both ways: where a graph is run, and where execution is eager."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tfkernels
from tests.kernels.test_values_between_pythons import COMPARING, prepare
from tests.support import specimens
from tfkernels.client.kernel import Kernel
from tfkernels.errors import ExchangeError, RemoteError
from tfprovisioner.kernelspecs.install import Installed


def _with_tensorflow(kernel: Kernel) -> Kernel:
    prepare(kernel)
    kernel.run("import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'; import tensorflow as tf; own = tensors()")
    return kernel


@pytest.fixture(scope="module")
def eager(installed: dict[str, Installed]) -> Kernel:
    """A notebook on TensorFlow 2, that has TensorFlow 1 as ``old``."""
    kernel = _with_tensorflow(tfkernels.kernel("tf2"))
    kernel.run("import tfkernels; old = tfkernels.kernel('tf1'); old['source'] = source")
    kernel.run("old.run(COMPARING + 'import tensorflow as tf')", inputs={"COMPARING": COMPARING})
    return kernel


def test_ragged_and_sparse_tensors_are_converted_without_eager(eager: Kernel) -> None:
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
PARTS = (
    "[{0}['ragged'].values, {0}['ragged'].row_splits, {0}['sparse'].values, {0}['slices'].indices, "
    "{0}['ragged of short splits'].row_splits, {0}['ragged of texts'].values, {0}['sparse of texts'].values]"
)
parts = old[PARTS.format("sent")]
own_parts = eval(PARTS.format("own"))
again = {name: old["sent[%r]" % name] for name in ("ragged", "sparse")}
""")
    assert eager["kinds"] == {
        "ragged": "RaggedTensorValue",
        "ragged of two levels": "RaggedTensorValue",
        "ragged of rows of one length": "RaggedTensorValue",
        "ragged of short splits": "RaggedTensorValue",
        "ragged of texts": "RaggedTensorValue",
        "sparse": "SparseTensorValue",
        "sparse of texts": "SparseTensorValue",
        "slices": "IndexedSlicesValue",
    }
    specimens.assert_same(eager["parts"], eager["own_parts"])
    assert eager["type(again['sparse']).__name__"] == "SparseTensorValue"


def test_ragged_and_sparse_tensors_stay_with_eager(eager: Kernel) -> None:
    eager.run("twin = tfkernels.kernel('tf2'); twin['source'] = source; twin['COMPARING'] = COMPARING")
    assert not eager["twin[\"'tensorflow' in __import__('sys').modules\"]"]
    eager.run("back = twin.run('exec(COMPARING)', inputs={'sent': own}, outputs={'sent': 'sent'})['sent']")
    assert eager['twin["differing(sent, tensors())"]'] == {}, "TensorFlow was imported there for them"
    assert eager["differing(back, own)"] == {}
    eager.run("twin.shutdown()")


def test_dense_tensors_and_variables_arrive_as_arrays(eager: Kernel) -> None:
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


def test_tracked_containers_arrive_as_plain_ones(eager: Kernel) -> None:
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


@pytest.fixture(scope="module")
def early(installed: dict[str, Installed]) -> Iterator[Kernel]:
    """A notebook on TensorFlow 1 that executes eagerly, and has TensorFlow 2 as ``new``."""
    with Kernel("tf1") as kernel:
        kernel.run("import tensorflow as tf; tf.enable_eager_execution()")
        _with_tensorflow(kernel)
        kernel.run("import tfkernels; new = tfkernels.kernel('tf2'); new['source'] = source")
        kernel.run("new.run(COMPARING + 'import tensorflow as tf')", inputs={"COMPARING": COMPARING})
        yield kernel


def test_eager_tensorflow_1_tensors_stay_in_tensorflow_2(early: Kernel) -> None:
    early.run("""
back = new.run("wrong = differing(sent, tensors())", inputs={"sent": own}, outputs={"sent": "sent", "wrong": "wrong"})
""")
    assert early["back['wrong']"] == {}
    assert early["differing(back['sent'], own)"] == {}
    early.run("regular = new['tensors()[\"ragged of rows of one length\"]']")
    assert early["regular.to_list()"] == [[[1, 2], [3, 4]]], "TensorFlow 1 knows no such rows, and takes them as any"
    assert {"ragged of short splits", "ragged of texts", "sparse of texts"} <= set(early["list(own)"])


def test_eager_tensorflow_1_values_arrive_as_arrays(early: Kernel) -> None:
    early.run("""
model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])
given = {
    "variable": tf.Variable([1.5, 2]), "tensor": tf.constant([[1, 2]]), "bytes": tf.constant(["a", "b"]),
    "bfloat16": tf.cast(tf.constant([1.0, -2.5]), tf.bfloat16),
}
expected = {name: given[name].numpy() for name in given}
given["keras"], expected["keras"] = model.weights, model.get_weights()
new["given"] = given
wrong = differing(new["given"], expected)
there = new["{name: type(value).__name__ for name, value in given.items()}"]
""")
    assert early["wrong"] == {}
    assert early["there"] == {**dict.fromkeys(["variable", "tensor", "bytes", "bfloat16"], "ndarray"), "keras": "list"}


def test_bfloat16_both_ways(eager: Kernel) -> None:
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


def test_what_has_no_value_says_so(eager: Kernel) -> None:
    eager.run("old.run('t = {\"a\": [tf.constant(1.0)]}; v = tf.Variable(1.0); r = tf.sparse_placeholder(tf.float32)')")
    for expression, path in [("t", r"\['a'\]\[0\]"), ("v", ""), ("r", r"\.indices")]:
        with pytest.raises(Exception, match=rf"{path}: this \w+ has no value yet.*sess\.run"):
            eager[f"old[{expression!r}]"]


def test_values_of_a_session_arrive_as_they_are(eager: Kernel) -> None:
    eager.run("old.run('own = tensors()'); arrived = old['own']")
    assert eager["differing(arrived, own)"] == {}
    with pytest.raises(ExchangeError, match=r"(?s)SparseTensorValue.*lacks tensorflow.*pip install"):
        tfkernels.kernel("tf1").run("import tensorflow as tf", outputs={"x": "tf.SparseTensorValue([[0]], [1.0], [1])"})


@pytest.mark.parametrize(
    "value",
    [
        "tf.constant(1.0)",
        "tf.compat.v1.Variable(1.0, use_resource=False)",
        "tf.compat.v1.Variable(1.0, use_resource=True)",
        "tf.SparseTensor([[0]], [1.0], [2])",
        "tf.no_op()",
        "tf.data.Dataset.range(3)",
        "tf.keras.Sequential()",
    ],
)
def test_what_has_no_value_is_not_compared(remote: Kernel, value: str) -> None:
    """Two models are no equal values because they are one object."""
    remote.run("import tensorflow as tf, tfkernels")
    with pytest.raises(RemoteError, match=r"has no value by itself\. Compare sess\.run"):
        remote.run(f"with tf.Graph().as_default():\n    value = {value}\n    tfkernels.compare(value, value)")
