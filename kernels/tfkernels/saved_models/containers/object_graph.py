"""The graph of objects in a checkpoint of TensorFlow 2: who holds which variable under which attribute.

The message is TensorFlow's ``trackable_object_graph.proto``.
"""

from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.containers.protobuf import Message
from tfkernels.saved_models.limits import MOST_PARTS, check_length

KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"


class Slot(NamedTuple):
    weight: int
    name: str
    variable: int


class Object(NamedTuple):
    """An object by its number, with what it holds."""

    number: int
    children: Dict[str, int]
    key: str
    """Under which its value is in the checkpoint, if it is a variable."""
    full_name: str
    """The variable's name in its program: ``dense/kernel``."""
    slots: Tuple[Slot, ...]


class ObjectGraph:
    def __init__(self, data: memoryview) -> None:
        nodes = Message(data).all_bytes(1)
        check_length(len(nodes), MOST_PARTS, "its number of objects")
        self.objects = [_object(number, Message(node)) for number, node in enumerate(nodes)]
        for one in self.objects:
            numbers = [
                *one.children.values(),
                *(number for slot in one.slots for number in (slot.weight, slot.variable)),
            ]
            if any(not 0 <= number < len(self.objects) for number in numbers):
                raise UnreadableFile("its objects lead to others that are not there")
        if not self.objects:
            raise UnreadableFile("it has no objects")

    def __getitem__(self, number: int) -> Object:
        return self.objects[number]

    @property
    def slots(self) -> List[Slot]:
        return [slot for one in self.objects for slot in one.slots]

    def below(self, number: int, without: Optional[Set[int]] = None) -> Iterator[Tuple[Tuple[str, ...], Object]]:
        """All objects that one leads to, the nearest first, each once, with the attributes that lead there."""
        seen = {number, *(without or ())}
        level: List[Tuple[Tuple[str, ...], int]] = [((), number)]
        while level:
            following = []
            for path, place in level:
                yield path, self.objects[place]
                for name, child in self.objects[place].children.items():
                    if child not in seen:
                        seen.add(child)
                        following.append(((*path, name), child))
            level = following


def _object(number: int, node: Message) -> Object:
    children = {child.text(2): child.integer(1) for child in node.messages(1)}
    value = next((one for one in node.messages(2) if one.text(1) == _VALUE), None)
    slots = tuple(Slot(one.integer(1), one.text(2), one.integer(3)) for one in node.messages(3))
    return Object(number, children, value.text(3) if value else "", value.text(2) if value else "", slots)
