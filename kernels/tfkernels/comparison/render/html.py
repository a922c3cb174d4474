"""A comparison as HTML, to stand in a notebook: nothing runs in it, and nothing is fetched for it.

Text and lines have the colours of the notebook around it; verdicts have a sign, a word and a tint. What comes from
the values and their names is cut to one bounded line (``number_format``) and escaped.
"""

from __future__ import annotations

import html
import typing

from tfkernels.comparison.render import charts, number_format, svg
from tfkernels.comparison.render.rows import Gap, Row, described, first, limit_rows, passes, rows
from tfkernels.comparison.render.wording import FIGURES, facts, figure, figures, headline, kinds
from tfkernels.comparison.result import CLOSE, DIFFERENT, EQUAL, EXTRA, MISSING, Findings, Part

# At most
ROWS = 60  # of a table
DETAILED = 100  # parts whose facts are listed
DRAWN = 8  # parts with charts
GROWTHS = 4  # sides with a chart along the order

_SIGNS = {EQUAL: "=", CLOSE: "≈", DIFFERENT: "≠", MISSING: "−", EXTRA: "+"}
_HEAD = ("path", "verdict", "values", *FIGURES)
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


def render(findings: Findings) -> str:
    """A fragment of HTML: the verdict, what grows along the order, and a table whose rows open."""
    return fragment(findings, f"<style>{STYLE}</style>")


def fragment(findings: Findings, style: str = "") -> str:
    """``render`` without ``STYLE``, for pages that have it once and show many comparisons."""
    everything = rows(findings)
    sign = "✓ passed" if findings.passed else "✗ failed"
    content = [f"<p>{_tinted(sign, findings.passed)} {_escape(headline(findings))}</p>"]
    if len(findings.parts) == 1:
        content.append(_details(findings.parts[0], findings, drawn=True))
    elif everything:
        if len(everything) > 2:
            along = [charts.growth(findings.against(side)) for side in findings.sides[:GROWTHS]]
            content += [_figure(svg.draw(chart, 572, 178), chart.title) for chart in along]
        content.append(_table(findings, limit_rows(everything, ROWS)))
    # MathJax would take names with dollar signs for formulas.
    return f'<div class="tfk tex2jax_ignore mathjax_ignore">{style}{"".join(content)}</div>'


def _table(findings: Findings, shown: list[Row | Gap]) -> str:
    several = len(findings.sides) > 1
    parts = [part for row in shown if not isinstance(row, Gap) for part in row.values()]
    by_need = sorted(parts, key=lambda part: part.passed)  # stable: those that failed first, in order
    detailed, drawn = ({id(part) for part in by_need[:most]} for most in (DETAILED, DRAWN))
    head = ("path", "baseline", *(number_format.line(side, 24) for side in findings.sides)) if several else _HEAD
    body = []
    opened = False
    for row in shown:
        if isinstance(row, Gap):
            body.append(f'<tr><td class="tfk-gap" colspan="{len(head)}">{_escape(str(row))}</td></tr>')
            continue
        details = ""
        for part in row.values():
            if several and id(part) in detailed:
                side = _escape(number_format.line(part.side, 24))
                details += f'<p class="tfk-side"><b>{side}</b> {_verdict(part)}</p>'
            if id(part) in detailed:
                details += _details(part, findings, id(part) in drawn)
        opening = not opened and not passes(row)
        opened = opened or opening
        if several:
            cells = [_escape(number_format.path(described(row), 48))]
            cells += [
                f"{_verdict(row[side])} {_escape(figure(row[side]))}" if side in row else "" for side in findings.sides
            ]
        else:
            part = first(row)
            cells = [_verdict(part), *map(_escape, [number_format.path(kinds(part), 48), *figures(part)])]
        body.append(_cells("td", [_path(first(row).path, details, opening), *cells], several))
    titles = _cells('th scope="col"', [_escape(title) for title in head], several)
    return f'<div class="tfk-scroll"><table><thead>{titles}</thead><tbody>{"".join(body)}</tbody></table></div>'


def _cells(tag: str, cells: typing.Sequence[str], several: bool) -> str:
    classes = [""] * len(cells) if several else _CLASSES
    shown = (f"<{tag}{kind}>{cell}</{tag[:2]}>" for kind, cell in zip(classes, cells))
    return f"<tr>{''.join(shown)}</tr>"


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
    return _tinted(f'<span aria-hidden="true">{_SIGNS[part.verdict]}</span> {part.verdict}', part.passed)


def _tinted(text: str, passed: bool) -> str:
    return f'<span class="tfk-v{"" if passed else " tfk-bad"}">{text}</span>'


def _details(part: Part, findings: Findings, drawn: bool) -> str:
    known = facts(part, findings.baseline)
    if part.reason and (part.statistics is None or not part.statistics.mismatched):
        known.insert(0, ("reason", number_format.line(part.reason)))
    text = "".join(f"<dt>{_escape(label)}</dt><dd>{_escape(value)}</dd>" for label, value in known)
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
