"""A comparison as HTML, to stand in a notebook: nothing runs in it, and nothing is fetched for it.

Colours of text and lines are those of the notebook around it, so that every theme fits; verdicts are told by sign,
word and tint. What comes from the values and their names is cut to one bounded line (``formats``) and escaped.
"""

from __future__ import annotations

import html
import typing

from tfkernels.comparison.render import charts, number_format, svg
from tfkernels.comparison.render.rows import Gap, Row, described, excerpt, first, passes, rows
from tfkernels.comparison.render.wording import FIGURES, facts, figure, figures, headline, kinds
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING, Findings, Part

ROWS = 60
"""So many rows of a table."""
TOLD = 100
"""So many parts are told in full."""
DRAWN = 8
"""So many parts have charts."""
GROWTHS = 4
"""So many sides have a chart along the order."""

_SIGNS = {EQUAL: "=", CLOSE: "≈", DIFFERENT: "≠", MISSING: "−", EXTRA: "+"}
_HEAD = ("path", "verdict", "values", *FIGURES)

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


def render(comparison: Findings) -> str:
    """A fragment of HTML: the verdict, what grows along the order, and a table whose rows open."""
    return fragment(comparison, f"<style>{STYLE}</style>")


def fragment(comparison: Findings, style: str = "") -> str:
    """``render`` without ``STYLE``, for pages that have it once and show many comparisons."""
    everything = rows(comparison)
    content = [_headline(comparison)]
    if len(comparison.parts) == 1:
        content.append(_told(comparison.parts[0], comparison, drawn=True))
    elif everything:
        if len(everything) > 2:
            along = [charts.growth(comparison.against(side)) for side in comparison.sides[:GROWTHS]]
            content += [_figure(svg.draw(chart, 572, 178), chart.title) for chart in along]
        content.append(_table(comparison, excerpt(everything, ROWS)))
    # MathJax would take names with dollar signs for formulas.
    return f'<div class="tfk tex2jax_ignore mathjax_ignore">{style}{"".join(content)}</div>'


def _headline(comparison: Findings) -> str:
    passed = comparison.passed
    sign, word = ("✓", "passed") if passed else ("✗", "failed")
    return (
        f'<p><span class="tfk-v{"" if passed else " tfk-bad"}">{sign} {word}</span> {_escape(headline(comparison))}</p>'
    )


def _table(comparison: Findings, shown: list[Row | Gap]) -> str:
    several = len(comparison.sides) > 1
    parts = [part for row in shown if not isinstance(row, Gap) for part in row.values()]
    by_need = sorted(parts, key=lambda part: part.passed)  # stable: those that failed first, in order
    told = {id(part) for part in by_need[:TOLD]}
    drawn = {id(part) for part in by_need[:DRAWN]}
    head = ("path", "baseline", *(number_format.line(side, 24) for side in comparison.sides)) if several else _HEAD
    body = []
    opened = False
    for row in shown:
        if isinstance(row, Gap):
            body.append(f'<tr><td class="tfk-gap" colspan="{len(head)}">{_escape(str(row))}</td></tr>')
            continue
        more = "".join(
            (_side(part) if several else "") + _told(part, comparison, id(part) in drawn)
            for part in row.values()
            if id(part) in told
        )
        opening = not opened and not passes(row)
        opened = opened or opening
        cells = _matrix_cells(row, comparison.sides) if several else _cells(first(row))
        body.append(f"<tr><td>{_path(first(row).path, more, opening)}</td>{cells}</tr>")
    titles = "".join(
        f'<th scope="col"{_attributes(place, several)}>{_escape(name)}</th>' for place, name in enumerate(head)
    )
    return (
        f'<div class="tfk-scroll"><table><thead><tr>{titles}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )


def _attributes(column: int, several: bool) -> str:
    """Figures stand to the right; on a narrow page some columns go, and that of the values is cut."""
    classes = (
        "" if several else ("", "", "tfk-values", "tfk-n", "tfk-n tfk-minor", "tfk-n tfk-minor", "tfk-n", "")[column]
    )
    return f' class="{classes}"' if classes else ""


def _path(path: str, more: str, opening: bool) -> str:
    name = f"<code>{_escape(number_format.path(path, 48))}</code>"
    if len(path) > 48:
        name = f'<span title="{_escape(number_format.path(path, 200))}">{name}</span>'
    if not more:
        return name
    return (
        f"<details{' open' if opening else ''}><summary>{name}</summary>"
        f'<div class="tfk-more"><div class="tfk-facts">{more}</div></div></details>'
    )


def _verdict(part: Part) -> str:
    style = "tfk-v" if part.passed else "tfk-v tfk-bad"
    return f'<span class="{style}"><span aria-hidden="true">{_SIGNS[part.verdict]}</span> {part.verdict}</span>'


def _cells(part: Part) -> str:
    cells = [_verdict(part), *map(_escape, [number_format.path(kinds(part), 48), *figures(part)])]
    return "".join(f"<td{_attributes(place + 1, False)}>{cell}</td>" for place, cell in enumerate(cells))


def _matrix_cells(row: Row, sides: tuple[str, ...]) -> str:
    cells = [_escape(number_format.path(described(row), 48))]
    for side in sides:
        part = row.get(side)
        cells.append("" if part is None else f"{_verdict(part)} {_escape(figure(part))}")
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _side(part: Part) -> str:
    return f'<p class="tfk-side"><b>{_escape(number_format.line(part.side, 24))}</b> {_verdict(part)}</p>'


def _told(part: Part, comparison: Findings, drawn: bool) -> str:
    told = facts(part, comparison.baseline)
    if part.reason and (part.statistics is None or not part.statistics.mismatched):
        told.insert(0, ("reason", number_format.line(part.reason)))
    text = "".join(f"<dt>{_escape(label)}</dt><dd>{_escape(value)}</dd>" for label, value in told)
    return f"<dl>{text}</dl>{_charts(part) if drawn else ''}"


def _charts(part: Part) -> str:
    found = part.statistics
    if found is None or found.size < 2:
        return ""
    drawn = []
    if found.sample is not None:
        histograms = (charts.error_histogram(found.sample), charts.ulp_histogram(found.sample))
        drawn = [_figure(svg.draw(chart, 258, 102), chart.title) for chart in histograms if chart is not None]
    heat = None if found.picture is None else charts.heat_map(found.picture)
    if heat is not None:
        drawn.append(_figure(svg.draw_heat_map(heat), heat.title))
    return f'<div class="tfk-charts">{"".join(drawn)}</div>' if drawn else ""


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{_escape(caption)}</figcaption></figure>"


def _escape(text: typing.Any) -> str:
    return html.escape(str(text), quote=True)
