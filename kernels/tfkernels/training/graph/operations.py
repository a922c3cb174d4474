"""Operations of a graph: what they need, and which variables they read and change."""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional

_VARIABLES = ("Variable", "VariableV2", "VarHandleOp")

_HAND_ON = {
    *("Identity", "IdentityN", "Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond"),
    *("RefIdentity", "RefSwitch", "RefMerge", "RefEnter", "RefExit", "RefNextIteration", "RefSelect"),
}
_READ = {
    *("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp"),
    "IsVariableInitialized",
}

_SAME_MEMORY = {"Identity", "StopGradient", "PreventGradient", "CheckNumerics", "Reshape", "Squeeze", "ExpandDims"}
"""Operations that hand on their first input, maybe in another shape, without copying it."""


def direct_needs(operation: Any) -> List[Any]:
    return [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)


def closure(operations: Iterable[Any], stop: Optional[Callable[[Any], bool]] = None) -> Dict[Any, None]:
    """All operations that these need, and themselves, each after what it needs. Loops are cut somewhere.

    Where ``stop`` is true of an operation, what it needs is left out.
    """
    found: Dict[Any, None] = {}
    begun = set()
    for operation in operations:
        stack = [(operation, False)]
        while stack:
            current, ready = stack.pop()
            if ready:
                found[current] = None
            elif current not in begun:
                begun.add(current)
                stack.append((current, True))
                if stop is None or not stop(current):
                    stack += [(need, False) for need in reversed(direct_needs(current)) if need not in begun]
    return found


def arguments(operation: Any) -> Dict[str, Any]:
    """The inputs by the names that the definition of the operation gives them; empty if some are lists."""
    names = [argument.name for argument in operation.op_def.input_arg]
    inputs = list(operation.inputs)
    return dict(zip(names, inputs)) if len(names) == len(inputs) else {}


def variable_behind(tensor: Any) -> Optional[Any]:
    """The operation of the variable that ``tensor`` refers to; ``None`` if it is a value."""
    while tensor.op.type not in _VARIABLES:
        if not (_refers(tensor) and tensor.op.inputs):
            return None
        tensor = tensor.op.inputs[0]
    return tensor.op


def changed(operation: Any) -> List[Any]:
    """The operations of the variables that ``operation`` changes, in the order of its inputs."""
    if operation.type in _HAND_ON or operation.type in _READ:
        return []
    behind = (variable_behind(tensor) for tensor in operation.inputs if _refers(tensor))
    return list(dict.fromkeys(variable for variable in behind if variable is not None))


def is_variable(operation: Any) -> bool:
    return operation.type in _VARIABLES


def variable_read_by(tensor: Any) -> Optional[Any]:
    """The operation of the variable whose own memory ``tensor`` is; an update overwrites it before it is fetched."""
    while tensor.op.type in _SAME_MEMORY:
        tensor = tensor.op.inputs[0]
    return variable_behind(tensor.op.inputs[0] if tensor.op.type == "ReadVariableOp" else tensor)


def reads(operation: Any, variable: Any) -> bool:
    """Whether ``operation`` computes with the value of the ``variable``, and does not only hand on its memory."""
    if operation.type in _SAME_MEMORY or changed(operation):
        return False
    return any(variable_read_by(tensor) is variable for tensor in operation.inputs)


def fetchable(tensor: Any) -> Optional[Any]:
    """The tensor, or the one outside a condition that it is handed on from; ``None`` if a session can fetch neither."""
    while not tensor.graph.is_fetchable(tensor):
        if tensor.op.type not in ("Identity", "Switch"):
            return None
        tensor = tensor.op.inputs[0]
    return tensor


def nearest(tensor: Any, wanted: Callable[[Any], bool], through: Iterable[str]) -> List[Any]:
    """The tensors with ``wanted`` that are nearest before ``tensor``, on ways of operations of the types ``through``.

    All that are equally near; ``tensor`` itself is not one of them.
    """
    types = set(through)
    level, seen = [tensor], {tensor.name}
    while level:
        before = [found for one in level if one.op.type in types for found in one.op.inputs if found.name not in seen]
        level = list({found.name: found for found in before}.values())
        seen.update(found.name for found in level)
        hits = [found for found in level if wanted(found)]
        if hits:
            return hits
    return []


def consumers_within(operations: Dict[Any, None]) -> Dict[str, List[Any]]:
    """The operations that use each tensor, by its name."""
    found: Dict[str, List[Any]] = {}
    for operation in operations:
        for tensor in operation.inputs:
            found.setdefault(tensor.name, []).append(operation)
    return found


def scopes(name: str) -> Iterator[str]:
    """The scopes that a name is in, the innermost first."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _refers(tensor: Any) -> bool:
    return bool(tensor.dtype.base_dtype != tensor.dtype) or tensor.dtype.name == "resource"
