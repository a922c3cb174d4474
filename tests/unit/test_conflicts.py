"""Conflicts of requirements: all are found, the causes are named, and as little as possible is loosened. No process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from tfprovisioner.resolution.conflicts import loosen, search
from tfprovisioner.resolution.conflicts.causes import causes, causes_of_conda
from tfprovisioner.resolution.conflicts.explain import Conflict, Conflicts, Search
from tfprovisioner.resolution.conflicts.loosen import Change


@dataclass
class Index:
    """What cannot be resolved: sets of lines, each with what uv says of them."""

    rows: dict[frozenset[str], str]
    asked: list[tuple[str, ...]] = field(default_factory=list)

    @classmethod
    def of(cls, *rows: Iterable[str]) -> Index:
        return cls({frozenset(row): f"Because {' and '.join(row)} are incompatible" for row in rows})

    def refusal(self, lines: Sequence[str]) -> str | None:
        self.asked.append(tuple(lines))
        return next((words for row, words in self.rows.items() if row <= set(lines)), None)

    def found(self, lines: Sequence[str]) -> search.Found:
        words = self.refusal(lines)
        assert words is not None
        found = search.find(lines, words, self.refusal)
        assert found is not None
        return found


LINES = [f"package{number}==1.{number}" for number in range(40)]


def test_each_conflict_takes_few_resolutions() -> None:
    index = Index.of(LINES[3:4], LINES[20:21], LINES[30:32], LINES[39:])
    found = index.found(LINES)
    assert {core.lines for core in found.cores} == {(LINES[3],), (LINES[20],), (LINES[30], LINES[31]), (LINES[39],)}
    assert found.wide == {line: line.partition("==")[0] for line in (LINES[3], LINES[20], LINES[31], LINES[39])}
    assert index.refusal(list({line: found.wide.get(line, line) for line in LINES}.values())) is None
    assert len(index.asked) <= 2 + 2 * len(found.cores)


def test_conflicts_whose_packages_uv_does_not_name() -> None:
    """The search is by halves then."""
    index = Index({frozenset((LINES[7], LINES[29])): "No solution found"})
    (core,) = index.found(LINES).cores
    assert core.lines == (LINES[7], LINES[29])
    assert len(index.asked) < 30


def test_the_fewest_lines_change() -> None:
    one, *others = LINES[:4]
    found = Index.of(*((one, other) for other in others)).found([*others, one])
    assert found.wide == {one: "package0"}
    ranged = "ranged<2"
    assert Index.of((one, ranged)).found([ranged, one]).wide == {ranged: "ranged"}, "rather than an exact version"


def test_lines_without_any_version_are_removed() -> None:
    index = Index.of(["gone==1"], ["gone"], ["-c limited<2", "six"])
    found = index.found(["gone==1", "-c limited<2", "six"])
    assert found.wide == {"gone==1": search.REMOVED, "-c limited<2": search.REMOVED}
    assert [core.tried for core in found.cores] == [("gone",), ("-c limited<2", "six")], "that is the stronger cause"


def test_a_file_by_its_address_is_never_one_of_the_index() -> None:
    address = "foo @ https://example.org/foo-1-py3-none-any.whl"
    found = Index.of([address]).found([address, "six"])
    assert found.wide == {address: search.REMOVED}
    assert search.any_version("foo==1") == "foo"


def test_failures_of_our_own_requirements_are_no_conflict() -> None:
    for words in ("numpy was not found in the registry", "No solution found"):
        index = Index({frozenset(): words})
        assert search.find(["numpy", "six"], words, index.refusal) is None


def test_conflicts_are_listed_beside_failures_of_our_own() -> None:
    index = Index({frozenset(["six==1"]): "six==1 is against numpy", frozenset(): "gast has no wheel"})
    found = index.found(["numpy", "six==1"])
    assert [core.lines for core in found.cores] == [("six==1",)]
    assert not found.resolves
    lines = {line: line for line in ("numpy", "six==1")}
    asked = Search(lines, "1.14.0", "3.7", index.refusal, lambda _: {})
    conflicts = asked.conflicts({}, index.refusal(list(lines)), True, lambda _: None)
    assert "six==1: " in str(conflicts)
    assert str(conflicts).endswith(
        "TensorFlow itself cannot be installed like this, either. Run the same command without them."
    )


def explained(*lines: str, words: str) -> str:
    return "; ".join(causes(lines, f"error: No solution found\n  cause: {words}", "1.15.5", "3.7.16"))


NEEDS = "Because tensorflow==1.15.5 depends on numpy>=1.16.0,<1.19.0 and environment depends on tensorflow==1.15.5, "
END = "we can conclude that your requirements are unsatisfiable."


@pytest.mark.parametrize(
    ("lines", "words", "expected"),
    [
        (
            ["numpy==1.10"],
            (f"{NEEDS}we can conclude that environment depends on numpy>=1.16.0,<1.19.0.\n"
            f"And because environment depends on numpy==1.10, {END}"),
            "TensorFlow 1.15.5 needs numpy>=1.16.0,<1.19.0",
        ),
        (
            ["protobuf==4.0"],
            f"Because environment depends on protobuf==4.0 and protobuf<4, {END}",
            "TensorFlow 1.15.5 works only with protobuf<4: 4 removed what TensorFlow's generated code calls",
        ),
        (
            ["ipykernel<5"],
            f"Because environment depends on ipykernel<5 and ipykernel>=5, {END}",
            "the kernel needs ipykernel>=5: tfkernels extends classes that came with 5",
        ),
        (
            ["a==1.0"],
            ("Because a==1.0.0 depends on gast>=0.3.2 and tensorflow==1.15.5 depends on gast==0.2.2, we can conclude "
            f"that they are incompatible. And because environment depends on tensorflow==1.15.5 and a==1.0, {END}"),
            "it needs gast>=0.3.2; TensorFlow 1.15.5 needs gast==0.2.2",
        ),
        (
            ["-c b<2", "a"],
            f"Because a>=1 depends on b>=2 and environment depends on a, {END} And because environment depends on b<2",
            "a>=1 needs b>=2",
        ),
        (
            ["a==2"],
            f"Because the Python version (3.7) does not satisfy Python>=3.8 and a==2 depends on Python>=3.8, {END}",
            "it needs Python>=3.8, and this kernel has 3.7",
        ),
        (
            ["a"],
            f"Because all versions of a depend on b>=1 and b>=1 has no usable wheels, {END}\n\nhint: Wheels for `b`",
            "every a needs b>=1; b>=1 has no wheel for Python 3.7",
        ),
        (
            ["a==2"],
            ("Because only the following versions of tensorflow are available:\n tensorflow<2\n tensorflow>=3\n"
            f"and a==2 depends on tensorflow{{sys_platform == 'linux'}}>=2,<3, {END}"),
            "it needs tensorflow>=2,<3, and this kernel has TensorFlow 1.15.5",
        ),
        (["a==9"], f"Because there is no version of a==9 and environment depends on a==9, {END}",
         "the index has no a==9"),
        (["b"], f"Because b was not found in the package registry and environment depends on b, {END}",
         "the index has no package b"),
        (["a==1"], f"Because a==1 has invalid metadata and environment depends on a==1, {END}",
         "the metadata of a==1 is invalid"),
        (["a>2,<1"], "environment depends on a<1 and a>2, which are incompatible", "no version fulfils all of that"),
        (["a"], "uv has learned to speak otherwise.", ""),
    ],
)  # fmt: skip
def test_causes_name_the_pin_and_whose_it_is(lines: list[str], words: str, expected: str) -> None:
    assert explained(*lines, words=words).startswith(expected)
    assert bool(expected) == bool(explained(*lines, words=words))


@pytest.mark.parametrize(
    ("lines", "words", "expected"),
    [
        (
            ["pandas>=1"],
            """Cannot solve the request because of: pandas >=1 cannot be installed because there are no viable options:
└─ pandas 1.0.0 would require
   ├─ python 3.8.*, for which no candidates were found.
   └─ libfoo >=1.0a0,<2, which can be installed with any of the following options:
      └─ libfoo 1.1 | 1.2
The following packages are incompatible
├─ pandas >=1 can be installed with any of the following options:
│  └─ pandas 1.3.5 would require
│     └─ numpy >=1.20, which can be installed with any of the following options:
│        └─ numpy 1.21.6
└─ tensorflow ==1.15.5 cannot be installed because there are no viable options:
   └─ tensorflow 1.15.5 would require
      └─ numpy >=1.16,<1.19, which cannot be installed because there are no viable options:
         └─ numpy 1.18.5, which conflicts with the versions reported above.
""",
            ("pandas 1.3.5 needs numpy>=1.20; pandas 1.0.0 needs Python==3.8.*, and this kernel has 3.7; "
            "TensorFlow 1.15.5 needs numpy>=1.16,<1.19"),
        ),
        (["a==9"], "Cannot solve the request because of: No candidates were found for a ==9.",
         "the channels have no a==9"),
        (["a==1", "a==2"], "Cannot solve the request because of: No candidates were found for a ==1.",
         "no version fulfils all of that"),
        (["a==1"], ("├─ a ==1 can be installed with any of the following options:\n│  └─ a 1 | 2 would constrain\n"
          "│     └─ b =1.*, which conflicts with any installable versions previously reported"), "a needs b==1.*"),
        (["a==1"], "The solver has learned to speak otherwise.", ""),
    ],
)  # fmt: skip
def test_causes_of_condas_solver_are_read_from_its_tree(lines: list[str], words: str, expected: str) -> None:
    assert "; ".join(causes_of_conda(lines, words, "1.15.5", "3.7.16")) == expected


def test_failed_builds_are_named() -> None:
    words = f"Because a==1 has no usable wheels and environment depends on a==1, {END}"
    (told,) = causes(["a==1"], words, "1.15.5", "3.7", {"a": "the compiler gcc is missing"})
    assert told == "it has no wheel for Python 3.7, and cannot be built: the compiler gcc is missing"


def test_long_explanations_become_their_conclusion() -> None:
    """Also where uv lists versions, and ends the list without a dot."""
    words = "Because all of:\n  a==0.1\n  a==0.2\nhave no usable wheels and all of:\n  a==0.3\n  a==0.4\n"
    words += "depend on numpy>=1.15, we can conclude that all of:\n a==0.1\n a==0.4\ndepend on one of:\n numpy>=1.15\n"
    words += " numpy>=2\n\nAnd because a>=0.5,<=0.6 depends on Python>=3.8 and a>=0.7 depends on numpy>=1.17, we can "
    words += "conclude that all versions of a depend on numpy>=1.15. (1)\n\nBecause we know from (1) that all versions "
    words += f"of a depend on numpy>=1.15 and environment depends on numpy==1.14.0, {END}"
    assert explained("a", "numpy==1.14.0", words=words) == "every a needs numpy>=1.15"
    many = [f"a=={number} depends on tensorflow>=2.{number},<2.{number + 1}" for number in (9, 10, 11, 12)]
    words = f"Because {many[0]} and {many[2]}, we can conclude that a==1 cannot be used. And because {many[1]} and "
    words += f"{many[3]}, {END}"
    assert explained("a>=9", words=words).startswith("a needs tensorflow>=2.9,<2.10 … tensorflow>=2.12,<2.13, and this")


def error(*found: Conflict, least: int = 1, changes: tuple[Change, ...] | None = None) -> Conflicts:
    return Conflicts("Cannot add them", found, least, changes)


def test_messages_have_one_line_for_each_conflict() -> None:
    one = Conflict(("numpy==1.10",), ("TensorFlow 1.15.5 needs numpy>=1.16",))
    two = Conflict(("a==1", "numpy==1.10"), ("every a needs numpy>=1.17", "b has no wheel for Python 3.7"), ("a==1",))
    heading, first, second, advice = error(one, two, least=2).text({"numpy==1.10": "requirements.txt:3"}).splitlines()
    assert heading == "Cannot add them:"
    assert first == "  numpy==1.10 (requirements.txt:3): TensorFlow 1.15.5 needs numpy>=1.16"
    both = "a==1 in any version and numpy==1.10 (requirements.txt:3)"
    assert second == f"  {both}: every a needs numpy>=1.17; b has no wheel for Python 3.7"
    assert advice.startswith("Name a folder with the missing wheels: --find-links. 2 requirements have to change.")
    assert str(error(Conflict(("a",), (), output="It is so."))).splitlines()[1] == "  a: the solver reported: It is so."
    of_the_day = Conflict(("a",), ("the index has no a",), output="hint: `a` was\n filtered by `exclude-newer` to…")
    assert "or choose a later day: --as-of." in str(error(of_the_day))


def test_relaxed_requirements_keep_the_others() -> None:
    changes = (Change("a==1 --hash=sha256:1", "a>=1", "2"), Change("-c b<2", "", ""))
    assert error(changes=changes).relaxed(["x<3", "a==1 --hash=sha256:1", "-c b<2"]) == ("x<3", "a>=1")


@pytest.mark.parametrize(
    ("line", "refused", "expected"),
    [
        ("a==1.2.3", (), "a==1.2.*"),
        ("a==1.2.3", ("a==1.2.*",), "a>=1.2.3"),
        ("a==1.2.3", ("a==1.2.*", "a>=1.2.3"), "a"),
        ("a==1.2.*", (), "a>=1.2"),
        ("a==2017", (), "a>=2017"),
        ("a==1.2+cu1", ("a==1.2.*",), "a>=1.2"),
        ("a~=1.2", (), "a>=1.2"),
        ("a>=1.2,<2,!=1.3", (), "a!=1.3,>=1.2"),
        ("a<2", (), "a"),
        ("a[x]==1.2 ; python_version > '3'", (), 'a[x]==1.2.*; python_version > "3"'),
    ],
)
def test_lines_are_loosened_no_more_than_needed(line: str, refused: tuple[str, ...], expected: str) -> None:
    wide = {line: search.any_version(line)}
    asked = Index.of(*([text] for text in refused))
    (change,) = loosen.proposal(["b", line], wide, asked.refusal, lambda lines: {"a": "1.5", "b": str(len(lines))})
    assert change == Change(line, expected, "1.5")
    assert all("b" in lines for lines in asked.asked), "with all other lines"


def test_proposals_have_the_other_tensorflow_too() -> None:
    lines = {"tensorflow==1.14.*": "tensorflow==1.14", "a==1": "a==1 --hash=sha256:1", "b": "b"}
    index = Index.of(["a==1"])
    asked = Search(lines, "1.15.5", "3.7.16", index.refusal, lambda lines: {"a": "2.0"})
    steps: list[str] = []
    words = index.rows[frozenset(["a==1"])]
    conflicts = asked.conflicts({"tensorflow==1.14.*": "there is one already"}, words, True, steps.append)
    assert conflicts is not None
    assert conflicts.changes == (Change("tensorflow==1.14", "", ""), Change("a==1 --hash=sha256:1", "a>=1", "2.0"))
    assert str(conflicts).startswith("Cannot add 2 of 3 requirements to TensorFlow 1.15.5 on Python 3.7:\n")
    assert steps[1:] == ["looking for all conflicts: 2 found", "looking for the smallest change with which all fit"]
    assert "  a==1: the solver reported: " in str(conflicts), "without its hash"
    assert not any("tensorflow" in line for lines in index.asked for line in lines), "it needs no resolution"
    only = asked.conflicts({"tensorflow==1.14.*": "there is one already"}, None, False, steps.append)
    assert only is not None
    assert only.changes is None
    assert "tensorflow==1.14: there is one already\n" in str(only)
