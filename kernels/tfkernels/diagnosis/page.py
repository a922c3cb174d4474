"""The catalogue of rules as a page of the docs: ``python -m tfkernels.diagnosis.page`` prints it."""

from __future__ import annotations

from tfkernels.diagnosis.finding import QUANTITIES
from tfkernels.diagnosis.rules.catalogue import RULES
from tfkernels.diagnosis.rules.rule import Rule

_HEAD = """# Why trainings differ

`tfkernels.compare` of two training traces names a rule of this page as `finding.reason`.
Each rule has two cells that show it: their values of `x` differ.

This page is made from the rules: `python -m tfkernels.diagnosis.page`.
See [Find why a training differs](../how-to/find-why-training-differs.md).
"""


def page() -> str:
    """The page as Markdown, with the rules in the order of a step."""
    parts = [_HEAD]
    for quantity in QUANTITIES:
        parts.append(f"## {quantity.capitalize()}\n")
        parts += [_section(rule) for rule in RULES if rule.quantity == quantity]
    return "\n".join(parts)


def _section(rule: Rule) -> str:
    cells = "\n".join(f"```python\n{_spaced(cell.strip())}\n```\n" for cell in rule.cells)
    return f"### {rule.title}\n\n`{rule.id}`. {rule.releases}\n\n{cells}"


def _spaced(cell: str) -> str:
    """With an empty line after the imports, as formatters want it."""
    lines = cell.split("\n")
    imports = sum(line.startswith("import ") for line in lines)
    return "\n".join([*lines[:imports], *[""][:imports], *lines[imports:]])


if __name__ == "__main__":
    print(page(), end="")
