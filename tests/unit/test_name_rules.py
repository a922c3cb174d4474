"""Rules for the names of weights: what they rename, leave out and keep, and what is said of wrong ones."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from tfkernels.conversion.given_model.name_rules import kept, parse, renamed, toml
from tfkernels.errors import ConversionError
from tfkernels.models.load_report import examine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RULES: dict[str, Any] = {
    "ignore": ["aux/.*"],
    "keep": ["head/.*"],
    "rename": [
        {"from": r"resnet/unit_(\d+)/conv/(\w+)", "to": r"unit_\1/\2"},
        {"from": "resnet/(.*)", "to": r"\1"},
    ],
    "weights": {"out/kernel": "resnet/logits/weights"},
}


def test_first_rule_for_a_whole_name_counts() -> None:
    names = ["resnet/unit_1/conv/kernel", "resnet/logits/weights", "my/resnet/logits", "aux/w"]
    assert renamed(parse(RULES), names) == {
        "unit_1/kernel": names[0], "logits/weights": names[1], "my/resnet/logits": names[2],
    }  # fmt: skip
    assert renamed(parse({"rename": [{"from": "(?i)NET/(.*)", "to": r"\1"}]}), ["net/w"]) == {"w": "net/w"}
    assert kept(parse(RULES), ["head/kernel", "ahead/kernel"]) == ["head/kernel"]


def test_two_names_that_become_one_are_refused() -> None:
    with pytest.raises(ConversionError, match="a/w and w both become w"):
        renamed(parse({"rename": [{"from": "a/(.*)", "to": r"\1"}]}), ["a/w", "w"])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"renames": []}, "renames is no rule. Rules are ignore, keep, rename, weights"),
        ({"ignore": "aux"}, "ignore is a list of regular expressions"),
        ({"keep": ["("]}, r"'\(' is no regular expression"),
        ({"rename": [{"from": "a"}]}, r"each \[\[rename\]\] has the texts from and to"),
        ({"rename": [{"from": "(a)", "to": r"\2"}]}, r"'\\\\2' does not fit its from: invalid group"),
        ({"weights": {"a": 1}}, "weights is a table of names"),
    ],
)
def test_wrong_rules_are_named(rules: dict[str, Any], said: str) -> None:
    with pytest.raises(ConversionError, match=said):
        parse(rules)


def test_found_names_are_rules_to_edit() -> None:
    shapes = {"dense/kernel": (2, 3), "dense/bias": (3,), 'odd"name\\': (7,), "lost": (5,)}
    sources = {"net/dense/weights": (2, 3), "net/dense/biases": (3,), "x": (7,), "rest\n[weights]": (9, 9)}
    arrays = {name: np.zeros(shape, "float32") for name, shape in sources.items()}
    report, _ = examine(shapes, dict.fromkeys(shapes, np.dtype("float32")), arrays, {'odd"name\\': "x"})
    text = toml(report, parse({"ignore": [r"aux\..*"]}))
    written = tomllib.loads(text)
    assert written["weights"] == {
        "dense/kernel": "net/dense/weights", "dense/bias": "net/dense/biases", 'odd"name\\': "x",
    }  # fmt: skip
    assert written["ignore"] == [r"aux\..*"]
    assert '# "lost" = ""' in text
    assert r'# not used: "rest\u000a[weights]"' in text
    parse(written)
