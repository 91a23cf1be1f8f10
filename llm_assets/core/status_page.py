"""Where every asset and crawl stands, as a page: the same as ``llm-assets status`` and ``plan``, for people who look.

One HTML file that loads and runs nothing: the states are chosen by a group of radio buttons and a few lines of CSS, so that
keyboard and screen reader work as they do everywhere. Colours follow the system, light or dark; each state has a sign and a
word besides.
"""

import html
from collections import Counter
from collections.abc import Iterable, Sequence

from llm_assets.core.freshness import Plan, Standing, State, plan
from llm_assets.core.oneline import one_line, shortened

STATUS = "data_docs/status.html"  # where it is served, beside the other pages
SIGNS: dict[State, str] = {
    "fresh": "✓",
    "behind": "~",
    "stale": "!",
    "refused": "✗",
    "failed": "✗",
    "missing": "·",
    "running": "…",
}
MEANINGS: dict[State, str] = {
    "fresh": "is what recipe, code and inputs give now",
    "behind": "waits for an input that is not fresh; made anew only if that comes out otherwise",
    "stale": "would be made otherwise now",
    "refused": "was made, and checks stopped it; readers see the one before",
    "failed": "its last run raised",
    "missing": "was never accepted",
    "running": "is being made",
}
_REASON_CHARS = 300
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--line:#c9ccd1;--soft:#f3f4f6;--fresh:#00613f;--behind:#6b5200;
--stale:#8a4b00;--bad:#a61b00;--quiet:#565b63;--running:#0a4f86}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#16181c;--line:#3c4048;--soft:#20242a;--fresh:#5fd6a5;
--behind:#e8c95a;--stale:#f0a95c;--bad:#ff8a73;--quiet:#a7adb7;--running:#7cc0f5}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:84rem;margin:0 auto;padding:1rem}
h1{margin:.5rem 0 .2rem}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;padding-bottom:.7rem;border-bottom:1px solid var(--line)}
a{color:inherit}fieldset{border:0;margin:1rem 0 .6rem;padding:0;display:flex;flex-wrap:wrap;gap:.5rem}
legend{padding:0;margin-bottom:.3rem;color:var(--quiet)}
input{position:absolute;opacity:0;width:1px;height:1px}
label{border:1px solid var(--line);border-radius:999px;padding:.15rem .8rem;cursor:pointer}
input:checked+label{background:var(--ink);color:var(--paper);border-color:var(--ink)}
input:checked+label .state{color:inherit}
input:focus-visible+label{outline:3px solid var(--running);outline-offset:2px}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}caption{text-align:left;color:var(--quiet);padding:.3rem 0}
th,td{text-align:left;vertical-align:top;padding:.4rem .7rem;border-bottom:1px solid var(--line)}
thead th{border-bottom:2px solid var(--line);white-space:nowrap}tbody th{font-weight:600;white-space:nowrap}
td.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.why{overflow-wrap:anywhere;min-width:18rem}
td ul{margin:0;padding-left:1.1rem}code{font-size:.9em;color:var(--quiet)}
.state{white-space:nowrap;font-weight:600}.fresh{color:var(--fresh)}.behind{color:var(--behind)}.stale{color:var(--stale)}
.refused,.failed{color:var(--bad)}.missing{color:var(--quiet)}.running{color:var(--running)}
p.plan{background:var(--soft);padding:.6rem .9rem;border-radius:6px}
"""


def page(found: Sequence[Standing], recipe: str, made: str, navigation: str = "") -> str:
    """The page. ``made``: when this was found, as text; ``navigation``: HTML that stands above."""
    counts = Counter(one.state for one in found)
    rules = "".join(f"main:has(#only-{state}:checked) tbody tr:not(.is-{state}){{display:none}}" for state in SIGNS)
    body = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Status of {html.escape(recipe)}</title><style>{_STYLE}{rules}</style></head><body>{navigation}<main>",
        f"<h1>Status</h1><p>Recipe <b>{html.escape(recipe)}</b>, as of {html.escape(made)}.</p>",
        f'<p class="plan">{html.escape(summary(plan(found)))}</p>',
        _filters(counts, len(found)),
        '<div class="wide"><table><caption>Inputs before their readers; times are those of the last run.</caption>',
        '<thead><tr><th scope="col">Asset</th><th scope="col">Crawl</th><th scope="col">State</th><th scope="col">Why</th>',
        '<th scope="col">Seconds</th><th scope="col">Readers see</th></tr></thead><tbody>',
        *map(_row, found),
        "</tbody></table></div>" if found else "</tbody></table></div><p>Nothing is known yet.</p>",
        "</main></body></html>\n",
    ]
    return "".join(body)


def summary(made: Plan) -> str:
    """What a run of everything would do, in one sentence."""
    if not made.certain and not made.possible:
        return "Everything is fresh; a run would make nothing."
    (least, most), (least_gpu, most_gpu) = made.seconds, made.gpu_hours
    said = f"A run would make {len(made.certain)} anew"
    said += f", and {len(made.possible)} more if an input comes out otherwise" if made.possible else ""
    unknown = sum(not one.seconds for one in (*made.certain, *made.possible))
    took = f"{least:,.0f} s" if round(least) == round(most) else f"{least:,.0f} to {most:,.0f} s"
    gpu = f" and {least_gpu:,.2f} to {most_gpu:,.2f} GPU hours" if most_gpu else ""
    return f"{said}: {took}{gpu} by the last run of each" + (f"; {unknown} were never made." if unknown else ".")


def _filters(counts: Counter[State], total: int) -> str:
    chips = [f'<input type="radio" name="only" id="only-all" checked><label for="only-all">all <b>{total}</b></label>']
    for state, sign in SIGNS.items():
        if counts[state]:
            chips.append(
                f'<input type="radio" name="only" id="only-{state}"><label for="only-{state}" title="{MEANINGS[state]}">'
                f'<span class="state {state}">{sign} {state}</span> <b>{counts[state]}</b></label>'
            )
    return f"<fieldset><legend>Show only</legend>{''.join(chips)}</fieldset>"


def _row(one: Standing) -> str:
    cells = [
        f'<th scope="row">{html.escape(one.asset)}</th>',
        f"<td>{html.escape(one.partition) if one.partition != 'all' else ''}</td>",
        f'<td><span class="state {one.state}" title="{MEANINGS[one.state]}">{SIGNS[one.state]} {one.state}</span></td>',
        f'<td class="why">{_reasons(one)}</td>',
        f'<td class="number">{f"{one.seconds:,.1f}" if one.seconds else ""}</td>',
        f"<td><code>{html.escape(one.identity)}</code></td>",
    ]
    return f'<tr class="is-{one.state}">{"".join(cells)}</tr>'


def _reasons(one: Standing) -> str:
    said: Iterable[str] = (*one.reasons, *(["what would be made is in the store already"] if one.ready else []))
    shown = [html.escape(shortened(one_line(reason), _REASON_CHARS)) for reason in said]
    return shown[0] if len(shown) == 1 else f"<ul>{''.join(f'<li>{reason}</li>' for reason in shown)}</ul>" if shown else ""
