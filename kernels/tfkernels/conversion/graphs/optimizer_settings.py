"""Settings of the optimizer that trained a graph, from its own operations. Messages only, no TensorFlow."""

from typing import Any, Callable, Dict, Iterable

from tfkernels.conversion.graphs.nodes import attribute, by_name, constant

_INPUTS = {
    "ApplyAdam": {"learning_rate": 5, "beta_1": 6, "beta_2": 7, "epsilon": 8},
    "ApplyAdaMax": {"learning_rate": 4, "beta_1": 5, "beta_2": 6, "epsilon": 7},
    "ApplyMomentum": {"learning_rate": 2, "momentum": 4},
    "ApplyRMSProp": {"learning_rate": 3, "rho": 4, "momentum": 5, "epsilon": 6},
    "ApplyCenteredRMSProp": {"learning_rate": 4, "rho": 5, "momentum": 6, "epsilon": 7},
    "ApplyAdagrad": {"learning_rate": 2},
    "ApplyAdadelta": {"learning_rate": 3, "rho": 4, "epsilon": 5},
}
"""Which input of an operation holds a setting, under Keras's names."""


def settings_of(graph_def: Any, make_ndarray: Callable[[Any], Any]) -> Dict[str, Any]:
    """The settings that are constants. Empty if the graph does not train, or with several optimizers."""
    nodes = by_name(graph_def)
    found = []
    for node in graph_def.node:
        kind = node.op[len("Resource") :] if node.op.startswith("ResourceApply") else node.op
        if kind in _INPUTS:
            own: Dict[str, Any] = {}
            for name, place in _INPUTS[kind].items():
                value = constant(nodes, node.input[place], make_ndarray) if place < len(node.input) else None
                if value is not None and value.shape == ():
                    own[name] = float(value)
            if "RMSProp" in kind:
                own["centered"] = int(kind == "ApplyCenteredRMSProp")
            if kind == "ApplyAdagrad":  # it adds none
                own["epsilon"] = 0.0
            if kind in ("ApplyMomentum", "ApplyAdam"):  # Nadam is an Adam with it
                nesterov = attribute(node, "use_nesterov")
                own["nesterov"] = int(nesterov is not None and nesterov.b)
            found.append(own)
    return found[0] if found and all(own == found[0] for own in found) else {}


def differences(old: Dict[str, Any], new: Dict[str, Any]) -> str:
    """What is different in the settings of another optimizer, in a sentence; or an empty text."""
    others = [name for name in old if _number(new.get(name)) and abs(old[name] - new[name]) > 1e-6 * abs(old[name])]
    said = ["the old optimizer had Nesterov's momentum, and the model's has none"] * _is_nadam(old, new)
    if others:
        said.append(f"the old optimizer had {_listed(old, others)}; the model's has {_listed(new, others)}")
    return "; ".join(said)


def _is_nadam(old: Dict[str, Any], new: Dict[str, Any]) -> bool:
    """The Nadam of TensorFlow 1 is its Adam with Nesterov's momentum. Keras's Nadam is another algorithm."""
    return bool(old.get("nesterov")) and "nesterov" not in new


def _number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _listed(settings: Dict[str, Any], names: Iterable[str]) -> str:
    return ", ".join(f"{name}={settings[name]:.6g}" for name in names)
