"""Rules for names: which weight of a checkpoint becomes which weight of a model. Names only.

They are what ``--map FILE.toml`` holds::

    ignore = ["aux_logits/.*"]      # names of the checkpoint that are left out
    keep = ["new_head/.*"]          # names of the model that keep their initial values

    [[rename]]                      # regular expressions for whole names, tried in order; the first that fits counts
    from = 'resnet/unit_(\\d+)/conv/weights'
    to = 'unit_\\1/conv/kernel'

    [weights]                       # single weights: the model's name, then the checkpoint's
    "logits/kernel" = "resnet/logits/weights"

What no rule names is matched as ``tfkernels.load_weights`` does.
"""

import re
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Pattern, Tuple

from tfkernels.errors import ConversionError
from tfkernels.models.load_report import LoadReport

_TABLES = {"ignore", "keep", "rename", "weights"}


class NameRules(NamedTuple):
    """``weights`` are by the model's names; ``renames`` lead from the checkpoint's names to the model's."""

    weights: Mapping[str, str]
    renames: Tuple[Tuple["Pattern[str]", str], ...]
    ignore: Tuple["Pattern[str]", ...]
    keep: Tuple["Pattern[str]", ...]


def parse(given: Mapping[str, Any]) -> NameRules:
    """The rules of a TOML file's contents. Raises ``ConversionError`` that says which one is wrong."""
    unknown = sorted(set(given) - _TABLES)
    if unknown:
        raise _wrong(f"{unknown[0]} is no rule. Rules are {', '.join(sorted(_TABLES))}")
    weights = given.get("weights", {})
    if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights.values()):
        raise _wrong('weights is a table of names: "model/name" = "checkpoint/name"')
    renames = given.get("rename", [])
    if not isinstance(renames, list) or not all(
        isinstance(rule, Mapping) and set(rule) == {"from", "to"} and all(isinstance(one, str) for one in rule.values())
        for rule in renames
    ):
        raise _wrong("each [[rename]] has the texts from and to")
    rules = []
    for rule in renames:
        pattern = _pattern(rule["from"])
        try:
            pattern.sub(rule["to"], "")  # reads all of it, also where nothing matches
        except (re.error, IndexError) as error:
            raise _wrong(f"to = {rule['to']!r} does not fit its from: {error}") from error
        rules.append((pattern, rule["to"]))
    return NameRules(weights, tuple(rules), _patterns(given, "ignore"), _patterns(given, "keep"))


def renamed(rules: NameRules, names: Iterable[str]) -> Dict[str, str]:
    """The names of a checkpoint by what rules call them, without those that are left out.

    Raises ``ConversionError`` if two become one.
    """
    found: Dict[str, str] = {}
    for name in names:
        if _fits(rules.ignore, name):
            continue
        new = next(
            (match.expand(to) for match, to in ((one.fullmatch(name), to) for one, to in rules.renames) if match), name
        )
        if new in found:
            raise _wrong(f"{found[new]} and {name} both become {new}. Leave one out with ignore")
        found[new] = name
    return found


def kept(rules: NameRules, names: Iterable[str]) -> List[str]:
    """The names of a model that keep their values."""
    return [name for name in names if _fits(rules.keep, name)]


def toml(report: LoadReport, rules: NameRules) -> str:
    """The names that were found as rules, for the user to edit. What is missing is a comment."""
    lines = ["# The model's weight = the checkpoint's. Edit, then give it with --map FILE.toml."]
    for key, patterns in (("ignore", rules.ignore), ("keep", rules.keep)):
        if patterns:
            lines.append(f"{key} = [{', '.join(_quoted(one.pattern) for one in patterns)}]")
    lines += ["", "[weights]"]
    found = [*report.matched, *report.held]
    lines += [f"{_quoted(pair.target)} = {_quoted(pair.source)}  # {pair.how}" for pair in found]
    for bad in report.mismatched:
        lines.append(f"# {_quoted(bad.target)} = {_quoted(bad.source)}  # does not fit: {bad.wanted} from {bad.given}")
    for missing in report.missing:
        lines.append(f'# {_quoted(missing.target)} = ""  # {missing.shape}; {missing.remark}')
    lines += [f"# not used: {_quoted(name)}" for name in report.unused]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda one: f"\\u{ord(one.group()):04x}", escaped) + '"'


def _patterns(given: Mapping[str, Any], key: str) -> Tuple["Pattern[str]", ...]:
    texts = given.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _wrong(f"{key} is a list of regular expressions")
    return tuple(_pattern(text) for text in texts)


def _pattern(text: str) -> "Pattern[str]":
    try:
        return re.compile(text)
    except re.error as error:
        raise _wrong(f"{text!r} is no regular expression: {error}") from error


def _fits(patterns: Iterable["Pattern[str]"], name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in patterns)


def _wrong(problem: str) -> ConversionError:
    return ConversionError(f"Cannot use the rules for names: {problem}.")
