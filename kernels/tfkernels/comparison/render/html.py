"""A comparison as HTML, to stand in a notebook: nothing runs in it, and nothing is fetched for it.

Text and lines have the colours of the notebook around it; verdicts have a sign, a word and a tint. What comes from
the values and their names is cut to one bounded line (``number_format``) and escaped.
"""

from __future__ import annotations

from html import escape
from typing import Sequence

from tfkernels.comparison.render import charts, draw_svg, number_format
from tfkernels.comparison.render.overview import (
    Cell,
    Gap,
    Row,
    alike,
    by_failures,
    by_itself,
    columns,
    headline,
    limit_rows,
    passes,
    path_of,
    reasons,
    rows,
)
from tfkernels.comparison.render.part_details import FIGURES, facts
from tfkernels.comparison.render.side_groups import ACROSS
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING, Findings, Part

# At most
ROWS = 60  # of a table
DETAILED = 100  # parts whose facts are listed
DRAWN = 8  # parts with charts
GROWTHS = 4  # sides with a chart along the order

_SIGNS = {EQUAL: "=", CLOSE: "≈", DIFFERENT: "≠", MISSING: "−", EXTRA: "+"}
_HEAD = ("path", "verdict", "values", *FIGURES)
_HEAD_BY_ITSELF = ("path", "verdict", "values", *FIGURES[:2], FIGURES[3], "by itself")
# Figures stand to the right; on a narrow page some columns go, and that of the values is cut.
_CLASSES = [
    f' class="{name}"' if name else ""
    for name in ("", "", "tfk-values", "tfk-n", "tfk-n tfk-minor", "tfk-n tfk-minor", "tfk-n", "")
]

# The class thrice outweighs the tables' styles of JupyterLab and nbconvert. Widths in cqw: of the scrolling box.
STYLE = """
& {font-size:13px;line-height:1.4}
& p {margin:4px 0 8px}
& .tfk-scroll {margin-top:10px;overflow-x:auto;container-type:inline-size}
& table {border-collapse:collapse;margin:0;width:auto;table-layout:auto;font-size:12px;border:0}
& tr {background:none;border:0}
& tbody tr:hover {background:rgba(128,128,128,.08)}
& th,& td {text-align:left;vertical-align:top;padding:3px 10px 3px 0;border:0;font-weight:normal;white-space:nowrap;
background:none;max-width:none;border-top:1px solid rgba(128,128,128,.25)}
& thead th {border-top:0;font-weight:600;vertical-align:bottom}
& .tfk-n {text-align:right;font-variant-numeric:tabular-nums}
& .tfk-v {border-radius:3px;padding:0 5px;background:rgba(61,133,198,.16);white-space:nowrap}
& .tfk-bad {background:rgba(217,83,79,.26);font-weight:600}
& .tfk-gap {opacity:.75;font-style:italic}
& code {background:none;padding:0;white-space:pre;color:inherit;font-size:inherit}
& summary {cursor:pointer}
& .tfk-more {width:0}
& .tfk-facts {width:45em;width:calc(100cqw - 24px);max-width:76em;padding:4px 0 8px 14px;white-space:normal;
box-sizing:border-box}
& dl {display:grid;grid-template-columns:max-content 1fr;gap:1px 12px;margin:0}
& dt,& dd {margin:0;padding:0;float:none;width:auto;font-weight:normal;overflow-wrap:anywhere;font-size:12px}
& dt {opacity:.75}
& .tfk-side {margin:8px 0 2px}
& .tfk-charts {display:flex;flex-wrap:wrap;gap:8px 20px;align-items:flex-end}
& figure {margin:8px 0 0;max-width:100%}
& figcaption {font-size:11px;text-align:left;opacity:.85}
& svg {max-width:100%;height:auto;overflow:visible;display:block;font-family:inherit}
& img {image-rendering:pixelated;border:1px solid rgba(128,128,128,.5);background:none;margin:0;max-width:100%}
@container (max-width:46em) {& .tfk-minor {display:none}
& .tfk-values {max-width:7em;overflow:hidden;text-overflow:ellipsis}}
""".replace("&", ".tfk.tfk.tfk").replace("\n", "")


def fragment(findings: Findings, style: str = "") -> str:
    """The verdict, what grows along the order, and a table whose rows open.

    ``style`` is ``STYLE``, or nothing in a page that has it already.
    """
    everything = rows(findings)
    sign = "✓ passed" if findings.passed else "✗ failed"
    content = [f"<p>{_tinted(sign, findings.passed)} {escape(headline(findings))}</p>"]
    content += [f"<p>{escape(number_format.line(reason, 1000))}</p>" for reason in reasons(findings)]
    if len(everything) > 2:
        sides = findings.sides
        if len(sides) > GROWTHS:
            sides = tuple(group.sides[0] for group in by_failures(findings)[:GROWTHS])
        content += [_figure(charts.growth(findings.against(side))) for side in sides]
    if len(findings.parts) == 1:
        content.append(_details(findings.parts[0], findings, drawn=True))
    elif everything:
        content.append(_table(findings, limit_rows(everything, ROWS)))
    if style:
        content.insert(0, f"<style>{style}</style>")
    # MathJax would take names with dollar signs for formulas.
    return f'<div class="tfk tex2jax_ignore mathjax_ignore">{"".join(content)}</div>'


def _table(findings: Findings, shown: list[Row | Gap]) -> str:
    several = len(findings.sides) > 1
    shown_rows = [row for row in shown if not isinstance(row, Gap)]
    parts = [part for row in shown_rows for _, part in alike(row, findings.sides)]
    by_need = sorted(parts, key=lambda part: part.passed)  # stable
    detailed, drawn = ({id(part) for part in by_need[:most]} for most in (DETAILED, DRAWN))
    opened = next((row for row in shown_rows if not passes(row)), None)
    names = [number_format.line(side, 24) for side in findings.sides]
    head = ("path", "baseline", *(names if len(names) <= ACROSS else ["verdicts"])) if several else _HEAD
    itself = by_itself(findings)
    head = _HEAD_BY_ITSELF if itself else head
    body = []
    for row in shown:
        if isinstance(row, Gap):
            body.append(f'<tr><td class="tfk-gap" colspan="{len(head)}">{escape(str(row))}</td></tr>')
            continue
        more = ""
        for sides, part in alike(row, findings.sides):
            if id(part) not in detailed:
                continue
            if several:
                more += f'<p class="tfk-side"><b>{escape(sides)}</b> {_verdict(part)}</p>'
            more += _details(part, findings, id(part) in drawn)
        shown_columns = [" ".join(map(_cell, each)) for each in columns(row, findings.sides, itself)]
        body.append(_row("td", [_path(path_of(row), more, row is opened), *shown_columns], several))
    titles = _row('th scope="col"', [escape(title) for title in head], several)
    return f'<div class="tfk-scroll"><table><thead>{titles}</thead><tbody>{"".join(body)}</tbody></table></div>'


def _row(tag: str, cells: Sequence[str], several: bool) -> str:
    classes = [""] * len(cells) if several else _CLASSES
    classes = [*classes[:5], *classes[6:]] if len(cells) < len(classes) else classes  # without the ULP distance
    return f"<tr>{''.join(f'<{tag}{kind}>{cell}</{tag[:2]}>' for kind, cell in zip(classes, cells))}</tr>"


def _cell(cell: Cell) -> str:
    part, text = cell
    verdict = "" if part is None else f"{_verdict(part)} "
    return f"{verdict}{escape(number_format.path(text, 48 if part is None else 100))}".rstrip()


def _path(path: str, more: str, opened: bool) -> str:
    name = f"<code>{escape(number_format.path(path, 48))}</code>"
    if len(path) > 48:
        name = f'<span title="{escape(number_format.path(path, 200))}">{name}</span>'
    if not more:
        return name
    return (
        f"<details{' open' if opened else ''}><summary>{name}</summary>"
        f'<div class="tfk-more"><div class="tfk-facts">{more}</div></div></details>'
    )


def _verdict(part: Part) -> str:
    return _tinted(f'<span aria-hidden="true">{_SIGNS[part.verdict]}</span> {part.verdict}', part.passed)


def _tinted(text: str, passed: bool) -> str:
    return f'<span class="tfk-v{"" if passed else " tfk-bad"}">{text}</span>'


def _details(part: Part, findings: Findings, drawn: bool) -> str:
    known = facts(part, findings.baseline)
    if part.reason and (part.statistics is None or not part.statistics.mismatched):
        known.insert(0, ("reason", number_format.line(part.reason)))
    text = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in known)
    if not drawn or part.statistics is None or part.statistics.size < 2:
        return f"<dl>{text}</dl>"
    figures = "".join(_figure(chart) for chart in charts.of_part(part) if chart is not None)
    return f"<dl>{text}</dl>" + (f'<div class="tfk-charts">{figures}</div>' if figures else "")


def _figure(chart: charts.Drawing) -> str:
    return f"<figure>{draw_svg.draw(chart)}<figcaption>{escape(chart.title)}</figcaption></figure>"
