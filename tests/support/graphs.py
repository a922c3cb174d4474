"""Stand-ins for a graph of TensorFlow 1: operations, tensors and variables, as far as a search in a graph asks them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple


class Shape:
    """A shape of which nothing is known."""

    ndims = 0

    def is_fully_defined(self) -> bool:
        return True

    def is_compatible_with(self, other: object) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape)

    def __hash__(self) -> int:
        return 0


class Dtype(NamedTuple):
    name: str
    is_reference: bool = False

    @property
    def base_dtype(self) -> Dtype:
        return Dtype(self.name)


FLOAT = Dtype("float32")


class Operation:
    def __init__(self, graph: Graph, kind: str, name: str, inputs: list[Tensor], waits: list[Operation]) -> None:
        self.graph, self.type, self.name, self.inputs, self.control_inputs = graph, kind, name, inputs, waits
        self.outputs: list[Tensor] = []
        self.op_def = SimpleNamespace(input_arg=[])
        self.node_def = SimpleNamespace(attr={})

    def _add_control_input(self, operation: Operation) -> None:
        self.control_inputs.append(operation)


class Tensor:
    value_index = 0
    fetchable = True

    def __init__(self, operation: Operation, dtype: Dtype) -> None:
        self.op, self.dtype, self.graph, self.name = operation, dtype, operation.graph, f"{operation.name}:0"

    def get_shape(self) -> Shape:
        return Shape()

    def consumers(self) -> list[Operation]:
        return [operation for operation in self.graph.operations.values() if self in operation.inputs]


class Variable(NamedTuple):
    ref: Tensor
    read: Tensor


class Graph:
    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}

    def add(self, kind: str, name: str, inputs: list[Tensor], dtype: Dtype = FLOAT, waits: Any = ()) -> Tensor:
        while name in self.operations:
            name += "_1"
        operation = self.operations[name] = Operation(self, kind, name, list(inputs), list(waits))
        operation.outputs.append(Tensor(operation, dtype))
        return operation.outputs[0]

    def placeholder(self, name: str) -> Tensor:
        return self.add("Placeholder", name, [])

    def variable(self, name: str, resource: bool = False) -> Variable:
        kinds = ("VarHandleOp", "ReadVariableOp") if resource else ("VariableV2", "Identity")
        ref = self.add(kinds[0], name, [], Dtype("resource") if resource else Dtype("float32", is_reference=True))
        return Variable(ref, self.add(kinds[1], f"{name}/read", [ref]))

    def apply(self, kind: str, changed: dict[str, Tensor], **values: Tensor) -> Tensor:
        """An operation with named arguments, of which the first are references to variables."""
        tensor = self.add(kind, kind, [*changed.values(), *values.values()])
        arguments = [(name, True) for name in changed] + [(name, False) for name in values]
        tensor.op.op_def.input_arg += [SimpleNamespace(name=name, is_ref=is_ref) for name, is_ref in arguments]
        return tensor

    def get_operation_by_name(self, name: str) -> Operation:
        return self.operations[name]

    def is_fetchable(self, tensor: Tensor) -> bool:
        return tensor.fetchable

    def is_feedable(self, tensor: Tensor) -> bool:
        return tensor.fetchable
