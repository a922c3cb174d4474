"""Pages and notebooks are plain English: short sentences, nouns as subjects, links that lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import mean

import pytest

_ROOT = Path(__file__).parents[2]
_PAGES = [
    *(_ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md")),
    *(
        page for page in sorted(_ROOT.glob("docs/**/*.md")) if page.parent.name not in ("project", "notebooks")
    ),  # copies
    *(page for page in sorted(_ROOT.glob("notebooks/*")) if page.suffix in (".ipynb", ".md")),
]
_ids = [str(page.relative_to(_ROOT)) for page in _PAGES]

_FENCE = re.compile(r"^(```|~~~).*?^\1 *$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:(?<=\n\n)|(?<=\A))(?:    .*\n|\n)+(?=\n?\S|\Z)")
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]*)\)")
_CODE = re.compile(r"``.+?``|`[^`]*`")
_MARK = re.compile(r"\*{1,2}")
_BLOCK_START = re.compile(r"^\s*(?:[-*] |\d+\. |#+ |\||> )")
_SENTENCE_END = re.compile(r"(?<=[.!?])[)\"”']*\s+(?=[\"“(A-Z0-9`%]|\w+[._]|tfkernels)")
_WORD = re.compile(r"[\w'’%-]*\w[\w'’%-]*")
_FORBIDDEN = re.compile(r"(?:^|[;:] )(?:what|whatever|who|whoever|that one|those)\b", re.IGNORECASE)


def _blocks(text: str) -> list[tuple[str, str]]:
    """Kind (``prose``, ``heading``, ``cell``) and text of each paragraph, list item, heading and table cell."""
    found: list[tuple[str, str]] = []
    lines: list[str] = []

    def close() -> None:
        if lines:
            found.append(("prose", " ".join(lines)))
            lines.clear()

    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or _BLOCK_START.match(line):
            close()
        if stripped.startswith("#"):
            found.append(("heading", stripped.lstrip("# ")))
        elif stripped.startswith("|"):
            found += [("cell", cell.strip()) for cell in re.split(r"(?<!\\)\||;", stripped.strip("|"))]
        elif stripped:
            lines.append(re.sub(r"^(?:[-*] |\d+\. |> )", "", stripped))
    close()
    return found


def _text(page: Path) -> str:
    """Without blocks of code; of a notebook, its Markdown cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        text = "\n\n".join(
            "".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"
        )
    return _FENCE.sub("", text)


def _sentences(page: Path) -> list[tuple[str, str]]:
    """Kind and text; a piece of code is one word, and a link is its text."""
    text = _INDENTED.sub("\n", _text(page))
    text = _CODE.sub("CODE", _LINK.sub(r"\1", text))
    return [
        (kind, sentence)
        for kind, block in _blocks(text)
        for sentence in _SENTENCE_END.split(_MARK.sub("", block))
        if _WORD.search(sentence)
    ]


def _length(sentence: str) -> int:
    return len(_WORD.findall(sentence))


@pytest.mark.parametrize("page", _PAGES, ids=_ids)
def test_no_sentence_is_over_30_words(page: Path) -> None:
    assert not [sentence for _, sentence in _sentences(page) if _length(sentence) > 30]


def test_the_mean_sentence_has_at_most_16_words() -> None:
    assert mean(_length(text) for page in _PAGES for kind, text in _sentences(page) if kind == "prose") <= 16


@pytest.mark.parametrize("page", _PAGES, ids=_ids)
def test_subjects_are_nouns(page: Path) -> None:
    """A heading or a sentence that asks may begin with "what" or "who"."""
    statements = [text for kind, text in _sentences(page) if kind != "heading" and not text.endswith("?")]
    assert not [text for text in statements if _FORBIDDEN.search(text)]


@pytest.mark.parametrize("page", _PAGES, ids=_ids)
def test_links_lead_somewhere(page: Path) -> None:
    for _, target in _LINK.findall(_text(page)):
        if re.match(r"https?:|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        assert path.exists(), target
        if anchor:
            assert anchor in _anchors(path), target


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
