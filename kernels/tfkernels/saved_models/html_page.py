"""A saved model as tables for a notebook."""

from html import escape
from typing import Any, Sequence

from tfkernels.saved_models.text import summary, tables


def as_html(saved: Any) -> str:
    parts = [_table((), [(title, text) for title, text in summary(saved)])]
    for title, columns, rows in tables(saved):
        opened = " open" if title == "layers" else ""
        parts.append(f"<details{opened}><summary>{len(rows):,} {title}</summary>{_table(columns, rows)}</details>")
    return "".join(parts)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = f"<thead><tr>{''.join(f'<th>{escape(one)}</th>' for one in columns)}</tr></thead>" if columns else ""
    body = "".join(f"<tr>{''.join(f'<td>{_spaced(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{head}<tbody>{body}</tbody></table>"


def _spaced(cell: str) -> str:
    return escape(cell).replace("  ", "&nbsp;&nbsp;")
