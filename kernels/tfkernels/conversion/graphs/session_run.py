"""Outputs of a file's graph in a session, with TensorFlow's own loader: what a conversion is compared with.

Works in every release, also in those that wrote the file. It shares no code with ``graph_module``.
"""

from typing import Any, Dict, Mapping, Sequence

from tfkernels.conversion.graphs import outside_access, restored_values
from tfkernels.conversion.graphs.default_signature import is_learning_phase
from tfkernels.conversion.graphs.graph_file import GraphFile, Signature, tensorflow
from tfkernels.conversion.graphs.nodes import VARIABLES, by_name, needed, part, tensor
from tfkernels.errors import ConversionError
from tfkernels.models.tensorflow_api import v1


def run(
    file: GraphFile,
    signature: Signature,
    inputs: Mapping[str, Any],
    ema: bool = False,
    trust: bool = False,
    also: Sequence[str] = (),
) -> Dict[str, Any]:
    """The outputs by their names, and the tensors ``also`` by theirs. ``inputs`` are arrays by the names of inputs."""
    missing = [key for key in signature.inputs if key not in inputs]
    if missing:
        raise ConversionError(
            f"Cannot run the graph: the input {', '.join(missing)} has no value. It takes "
            f"{', '.join(signature.inputs)}."
        )
    wanted = {**signature.outputs, **{name: name for name in also}}
    nodes = file.nodes
    fed = [tensor(name).node for name in signature.inputs.values()]
    used = needed(nodes, [tensor(name).node for name in wanted.values()], fed)
    if not trust:
        run = used | needed(nodes, [tensor(name).node for name in file.run_when_loaded()])
        outside_access.check([nodes[name] for name in run], file.graph_def.library, file.path)
    tf = tensorflow()
    graph = tf.Graph()
    with graph.as_default(), v1().Session(graph=graph, config=v1().ConfigProto(device_count={"GPU": 0})) as session:
        _load(file, session, nodes, used)
        if ema:
            variables = [name for name in used if nodes[name].op in VARIABLES]
            _set(graph, session, restored_values.read(file, variables, ema=True))
        feed = {graph.get_tensor_by_name(signature.inputs[key]): inputs[key] for key in signature.inputs}
        for name in used:
            if is_learning_phase(nodes[name]):
                feed[graph.get_tensor_by_name(f"{name}:0")] = False
        keys = list(wanted)
        values = session.run([graph.get_tensor_by_name(wanted[key]) for key in keys], feed)
    return dict(zip(keys, values))


def _load(file: GraphFile, session: Any, nodes: Dict[str, Any], used: Any) -> None:
    """SavedModels by their loader, which also reads assets and runs what initialises; others by the graph's Saver."""
    if file.kind == "saved-model":
        saved_model = v1().saved_model
        getattr(saved_model, "loader", saved_model).load(session, list(file.tags), file.path)
        return
    if file.kind == "frozen-graph" or file.checkpoint is None:
        v1().import_graph_def(part(file.graph_def, used), name="")
        return
    meta_graph = type(file.meta_graph)()
    meta_graph.CopyFrom(file.meta_graph)
    meta_graph.graph_def.CopyFrom(part(file.graph_def, set(by_name(file.graph_def))))
    saver = v1().train.import_meta_graph(meta_graph, clear_devices=True)
    if saver is None:
        names = [name for name in nodes if nodes[name].op in VARIABLES]
        _set(session.graph, session, restored_values.read(file, [name for name in names if name in used]))
    else:
        saver.restore(session, file.checkpoint)
    if session.graph.get_collection("table_initializer"):
        session.run(session.graph.get_collection("table_initializer"))


def _set(graph: Any, session: Any, values: Mapping[str, Any]) -> None:
    """Assigns values to variables by operations of its own: what a file names as initializer can be any operation."""
    for variable in graph.get_collection("variables"):
        name = variable.op.name
        if name in values and variable.op.type in VARIABLES:
            place = v1().placeholder(variable.dtype.base_dtype)
            session.run(v1().assign(variable, place, validate_shape=False).op, {place: values[name]})
