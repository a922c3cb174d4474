"""A graph of TensorFlow 1 as ``tf.Module`` of TensorFlow 2: variables can be trained, signatures are functions."""

import importlib
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Set, Tuple

import numpy as np

from tfkernels.conversion.graphs import known_conditions, outside_access, restored_values, tables
from tfkernels.conversion.graphs import nodes as graph_nodes
from tfkernels.conversion.graphs.default_signature import is_frozen_read, is_learning_phase
from tfkernels.conversion.graphs.graph_file import SERVING, GraphFile, Signature, tensorflow
from tfkernels.conversion.graphs.nodes import VARIABLES, needed, tensor
from tfkernels.errors import ConversionError
from tfkernels.imports import own_imports
from tfkernels.models.tensorflow_api import v1

_CHANGES = {
    "Assign", "AssignAdd", "AssignSub", "CountUpTo", "ScatterAdd", "ScatterNdAdd", "ScatterNdUpdate", "ScatterSub",
    "ScatterUpdate",
}  # fmt: skip
"""Operations on references that change a variable. TensorFlow 2 has others, on resources."""

_UNTRAINED = ("moving_mean", "moving_variance")
_PARAMETERS = {
    "MatMul": (0, 1), "BatchMatMul": (1,), "BatchMatMulV2": (1,), "Conv1D": (1,), "Conv2D": (1,), "Conv3D": (1,),
    "DepthwiseConv2dNative": (1,), "Conv2DBackpropInput": (1,), "BiasAdd": (1,), "FusedBatchNorm": (1, 2),
    "FusedBatchNormV2": (1, 2), "FusedBatchNormV3": (1, 2), "Gather": (0,), "GatherV2": (0,), "Add": (0, 1),
    "AddV2": (0, 1), "Mul": (0, 1),
}  # fmt: skip
"""Inputs of operations that hold weights, for frozen graphs in which nothing else tells them from constants."""


class Wrapped(NamedTuple):
    """``trainable`` are the trained variables by their old names; ``fixed`` are placeholders and their values.

    Of a graph with loops TensorFlow 2 cannot take gradients: nothing of it can be trained.
    """

    module: Any
    signatures: Dict[str, Any]
    trainable: Tuple[str, ...]
    fixed: Dict[str, bool]
    loops: bool


def wrap(
    file: GraphFile, ema: bool = False, trust: bool = False, also: Sequence[str] = (), serve: str = SERVING
) -> Wrapped:
    """The module of a graph in TensorFlow 2. ``also`` are tensors that each function gives besides, by their names.

    ``serve`` is the signature that becomes the function of this name.

    Raises ``ConversionError`` if TensorFlow lacks an operation, or if a node changes a variable.
    """
    tf = tensorflow()
    fixed = _fixed(file)
    decided = known_conditions.decide(file.graph_def, fixed, tf.make_ndarray)
    original, file = file, file._replace(graph_def=decided.graph_def)
    all_nodes = file.nodes
    parts = {
        name: needed(
            all_nodes,
            [tensor(decided.name(one)).node for one in (*signature.outputs.values(), *also)],
            [tensor(one).node for one in signature.inputs.values()],
        )
        for name, signature in file.signatures.items()
    }
    every: Set[str] = set().union(*parts.values())
    _check(file, all_nodes, every, trust)
    weights, trainable = _variables_in(file, all_nodes, every)
    held = restored_values.read(original, [name for name in weights if weights[name] is None], ema)
    module = _Module(tf)
    variables = {}
    for name, frozen in weights.items():
        value = held.pop(name) if frozen is None else tf.make_ndarray(all_nodes[name].attr["value"].tensor)
        variables[name] = tf.Variable(value, trainable=name in trainable, name=name)
    module.variables = list(variables.values())
    module.trainable_variables = [variables[name] for name in weights if name in trainable]
    own_tables = tables.make(file, all_nodes, every)
    module.tables = list(own_tables.values())
    functions = {}
    for name, signature in file.signatures.items():
        replaced = {*variables, *own_tables, *(tensor(one).node for one in signature.inputs.values())}
        graph_def = _importable(file, parts[name], replaced)
        functions[name] = _Function(
            tf, graph_def, all_nodes, signature, variables, own_tables, fixed, also, decided.name
        )
    signatures = {name: function.build() for name, function in functions.items()}
    first = functions[serve]
    one_out = len(first.signature.outputs) == 1 and not also
    module.serve = natural(tf, first.specs(), one_out, first.call)
    asked = needed(original.nodes, [tensor(one).node for one in original.signatures[serve].outputs.values()])
    loops = any(all_nodes[name].op in ("Enter", "RefEnter") for name in parts[serve])
    return Wrapped(
        module,
        signatures,
        () if loops else tuple(name for name in weights if name in trainable),
        {name: value for name, value in fixed.items() if name in asked},
        loops,
    )


def _Module(tf: Any) -> Any:  # noqa: N802 (the class needs TensorFlow)
    class GraphModule(tf.Module):  # type: ignore[misc]
        """A graph. ``serve`` is its function for serving, and ``trainable_variables`` is what to train."""

        variables: Any = ()
        trainable_variables: Any = ()
        regularization_losses: Any = ()

        def __init__(self) -> None:
            super().__init__(name="graph")
            self.regularization_losses = []

        def __call__(self, inputs: Any) -> Any:
            return self.serve(inputs)

    return GraphModule()


class _Function:
    """A signature as a function of TensorFlow 2."""

    def __init__(
        self,
        tf: Any,
        graph_def: Any,
        all_nodes: Dict[str, Any],
        signature: Signature,
        variables: Dict[str, Any],
        own_tables: Dict[str, Any],
        fixed: Dict[str, bool],
        also: Sequence[str],
        new_name: Callable[[str], str],
    ) -> None:
        self.tf, self.graph_def, self.all_nodes, self.signature = tf, graph_def, all_nodes, signature
        self.names = {node.name for node in graph_def.node}
        self.variables = {name: one for name, one in variables.items() if name in self.names}
        self.tables = {name: one for name, one in own_tables.items() if name in self.names}
        self.fixed = {name: value for name, value in fixed.items() if name in self.names}
        self.also, self.new_name = also, new_name
        # A tf.function would add control inputs into the frames of loops, whose contexts the import does not have.
        self.imported = v1().wrap_function(self._import, list(self.specs().values()))

    def call(self, inputs: Dict[str, Any]) -> Dict[str, Any]:
        """The outputs. ``inputs`` are tensors."""
        outputs: Dict[str, Any] = self.imported(*(inputs[key] for key in self.signature.inputs))
        return outputs

    def _import(self, *tensors: Any) -> Dict[str, Any]:
        inputs = dict(zip(self.signature.inputs, tensors))
        replaced = {self.signature.inputs[key]: value for key, value in inputs.items()}
        graph = v1().get_default_graph()
        for name, variable in self.variables.items():
            value = variable.read_value()  # a gradient reaches only what was read
            by_handle = self.all_nodes[name].op == "VarHandleOp"
            replaced[f"{name}:0"] = graph.capture(variable.handle) if by_handle else value
        replaced.update((f"{name}:0", graph.capture(table.resource_handle)) for name, table in self.tables.items())
        replaced.update((f"{name}:0", self.tf.constant(value)) for name, value in self.fixed.items())
        used = {tensor(name) for node in self.graph_def.node for name in node.input if not name.startswith("^")}
        given = {name: value for name, value in replaced.items() if tensor(name) in used}
        wanted = {name: self.new_name(name) for name in (*self.signature.outputs.values(), *self.also)}
        inside = [name for name in dict.fromkeys(wanted.values()) if name not in replaced]
        made = self.tf.graph_util.import_graph_def(self.graph_def, input_map=given, return_elements=inside, name="")
        found = dict(zip(inside, made))
        found.update((name, self.tf.identity(replaced[name])) for name in wanted.values() if name in replaced)
        outputs = {key: found[wanted[name]] for key, name in self.signature.outputs.items()}
        outputs.update((name, found[wanted[name]]) for name in self.also)
        return outputs

    def specs(self) -> Dict[str, Any]:
        return {
            key: self.tf.TensorSpec(*_shape_and_dtype(self.tf, self.all_nodes, name), name=key)
            for key, name in self.signature.inputs.items()
        }

    def build(self) -> Any:
        """With an argument for each input, and a dict of outputs, as signatures are."""

        def signature(**inputs: Any) -> Dict[str, Any]:
            return self.call(inputs)

        return self.tf.function(signature, autograph=False).get_concrete_function(**self.specs())


def natural(tf: Any, specs: Dict[str, Any], one_out: bool, call: Callable[[Dict[str, Any]], Dict[str, Any]]) -> Any:
    """A function with one argument, a tensor or a dict of several; its result is a tensor or a dict of several."""
    key = next(iter(specs)) if len(specs) == 1 else None

    def serve(inputs: Any) -> Any:
        outputs = call(inputs if key is None else {key: inputs})
        return next(iter(outputs.values())) if one_out else outputs

    return tf.function(serve, input_signature=[specs if key is None else specs[key]], autograph=False)


def _fixed(file: GraphFile) -> Dict[str, bool]:
    """Truths that no signature has as input: Keras's learning phase, and placeholders with a default."""
    nodes = file.nodes
    fed = {tensor(name).node for signature in file.signatures.values() for name in signature.inputs.values()}
    truth = tensorflow().bool.as_datatype_enum
    found: Dict[str, bool] = {}
    for name, node in nodes.items():
        if name in fed or node.op not in graph_nodes.PLACEHOLDERS:
            continue
        if is_learning_phase(node):
            found[name] = False
        elif node.op == "PlaceholderWithDefault" and graph_nodes.dtype_of(node, "dtype") == truth:
            value = graph_nodes.constant(nodes, node.input[0], tensorflow().make_ndarray)
            if value is not None and value.shape == ():
                found[name] = bool(value)
    return found


def _shape_and_dtype(tf: Any, all_nodes: Dict[str, Any], name: str) -> Tuple[Any, Any]:
    """Of an input. A placeholder says its shape itself; any other tensor that is fed can have any."""
    node = all_nodes[tensor(name).node]
    dtype = graph_nodes.dtype_of(node, "dtype" if node.op in graph_nodes.PLACEHOLDERS else "T")
    if not dtype:
        raise ConversionError(f"Cannot feed {name}: its dtype is not known. Name a placeholder as input.")
    shape = tf.TensorShape(node.attr["shape"].shape) if "shape" in node.attr else tf.TensorShape(None)
    inferred = graph_nodes.inferred_shape(node)
    if shape.ndims == 0 and inferred is not None:  # before 1.0 a placeholder of any shape said ()
        shape = tf.TensorShape(inferred)
    return shape, tf.as_dtype(dtype)


def input_spec(all_nodes: Dict[str, Any], key: str, name: str) -> Dict[str, Any]:
    """Name, shape and dtype of an input, and for a scalar that switches something the value that switches it off."""
    tf = tensorflow()
    shape, dtype = _shape_and_dtype(tf, all_nodes, name)
    dims = None if shape.ndims is None else shape.as_list()
    found = {"name": key, "shape": dims, "dtype": dtype.name}
    if dims == []:
        word = name.split(":")[0].split("/")[-1].lower()
        if dtype == tf.bool:
            found["value"] = False
        elif dtype.is_floating and "keep" in word:
            found["value"] = 1.0
        elif dtype.is_floating and "drop" in word:
            found["value"] = 0.0
    return found


def _check(file: GraphFile, all_nodes: Dict[str, Any], every: Set[str], trust: bool) -> None:
    with own_imports():
        registry = importlib.import_module("tensorflow.python.framework.op_def_registry")
    used = [node for name, node in all_nodes.items() if name in every]
    functions = list(file.graph_def.library.function)
    lacking = sorted(outside_access.unknown(used, functions, registry.get))
    if lacking:
        at = [node.name for node in used if node.op in lacking][:3]
        raise ConversionError(
            f"Cannot wrap the graph: TensorFlow {tensorflow().__version__} has no operation {', '.join(lacking)} "
            f"(node {', '.join(at)}). Choose outputs in front of it with --outputs, or an older release with --to.",
            layer=at[0] if at else "",
        )
    if not trust:
        outside_access.check(used, file.graph_def.library, file.path)
    for node in used:
        if node.op in _CHANGES:
            raise ConversionError(
                f"Cannot wrap the graph: the node {node.name} ({node.op}) changes a variable when an output is "
                "computed. Choose outputs in front of it with --outputs.",
                layer=str(node.name),
            )


def _variables_in(file: GraphFile, all_nodes: Dict[str, Any], every: Set[str]) -> Tuple[Dict[str, Any], Set[str]]:
    """The variables that outputs need, each with the constant that holds its value if any; and which are trained."""
    found: Dict[str, Any] = {name: None for name in all_nodes if name in every and all_nodes[name].op in VARIABLES}
    trained = set(file.collection("trainable_variables")) & set(found)
    frozen = _frozen(all_nodes, every)
    found.update((name, all_nodes[name]) for name in frozen)
    floats = {name for name in found if _is_float(all_nodes[name]) and not name.endswith(_UNTRAINED)}
    return found, trained or floats


def _frozen(all_nodes: Dict[str, Any], every: Set[str]) -> List[str]:
    """The constants that were variables: by the node that reads them, else as inputs that are weights elsewhere."""
    reads = [node for name, node in all_nodes.items() if name in every and node.op == "Identity" and node.input]
    found = {tensor(node.input[0]).node for node in reads if is_frozen_read(all_nodes, node)}
    if not found:
        for name in every:
            node = all_nodes[name]
            for place in _PARAMETERS.get(node.op, ()):
                source = all_nodes.get(tensor(node.input[place]).node) if place < len(node.input) else None
                if source is not None and source.op == "Const" and source.attr["value"].tensor.tensor_shape.dim:
                    found.add(source.name)
    return [name for name in all_nodes if name in found and _is_float(all_nodes[name])]


def _is_float(node: Any) -> bool:
    dtype = tensorflow().as_dtype(graph_nodes.dtype_of(node, "dtype"))
    return bool(dtype.is_floating) and np.dtype(dtype.as_numpy_dtype).itemsize > 0


def _importable(file: GraphFile, wanted: Set[str], replaced: Set[str]) -> Any:
    """The nodes as TensorFlow 2 takes them. What is replaced remains as a node without output, for control inputs."""
    found = graph_nodes.part(file.graph_def, wanted)
    graph_nodes.without_references(found)
    for node in found.node:
        if node.name in replaced:
            node.op = "NoOp"
            node.attr.clear()
            del node.input[:]
        elif node.op in tables.LOOKUPS:
            node.op = tables.LOOKUPS[node.op]
    return found
