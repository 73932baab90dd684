# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The style of the page of an export: for wide and narrow screens, light and dark, and for paper."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f7f6f3; --card: #ffffff; --text: #1f2328; --quiet: #5b6068; --line: #dddad3; --link: #0b57a8;
  --own: #eaf3ee; --own-line: #3f8f63; --note: #fdf3d7; --note-line: #c99a1e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #16181b; --card: #1f2226; --text: #e6e6e3; --quiet: #a3a8b0; --line: #363b41; --link: #8ab8f0;
    --own: #1f2f28; --own-line: #5fb486; --note: #332c18; --note-line: #d1a93f;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
body { margin: 0; background: var(--page); color: var(--text); overflow-wrap: anywhere; }
header, main, footer, nav { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.5rem; }
footer { padding-bottom: 3rem; color: var(--quiet); font-size: .875rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1.05rem; margin: 0; }
h4 {
  font-size: .8rem; font-weight: 600; color: var(--quiet); margin: 1.5rem 0 .5rem; display: flex; align-items: center;
  gap: .75rem;
}
h4::after { content: ""; flex: 1; border-top: 1px solid var(--line); }
p { margin: .5rem 0; }
a { color: var(--link); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem 1rem; }
.quiet { color: var(--quiet); }
.lead { color: var(--quiet); max-width: 46rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .35rem 1.25rem; list-style: none; margin: 1rem 0 0; padding: .75rem 0; }
nav ul { border-block: 1px solid var(--line); }
.card, table, details.room { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
.card { padding: 1rem 1.25rem; }
.person { display: flex; flex-wrap: wrap; gap: 1.25rem; align-items: flex-start; }
.person .portrait { width: 7rem; flex: none; }
.person .portrait img { width: 7rem; height: 7rem; object-fit: cover; border-radius: .6rem; }
.person dl { flex: 1 1 18rem; margin: 0; }
dl { margin: 0; }
dl > div { display: grid; grid-template-columns: minmax(7rem, 11rem) 1fr; gap: 1rem; padding: .3rem 0; }
dl > div + div { border-top: 1px solid var(--line); }
dt { color: var(--quiet); }
dd { margin: 0; min-width: 0; }
table { width: 100%; border-collapse: separate; border-spacing: 0; font-size: .925rem; margin: .75rem 0; }
caption { text-align: start; padding: 0 0 .5rem; color: var(--quiet); }
th, td { text-align: start; vertical-align: top; padding: .55rem .9rem; }
th { font-size: .8rem; color: var(--quiet); font-weight: 600; overflow-wrap: normal; }
td { border-top: 1px solid var(--line); }
td img { max-height: 5rem; max-width: 8rem; }
time { white-space: nowrap; }
img { max-width: 100%; height: auto; border-radius: .4rem; display: block; }
figure { margin: .35rem 0; }
figure img { max-height: 26rem; width: auto; background: var(--line); }
figcaption { font-size: .875rem; color: var(--quiet); }
details.room { margin: .75rem 0; }
summary { cursor: pointer; }
details.room > summary { padding: .8rem 1.25rem; }
details.room > summary h3 { display: inline; }
details.room > summary p { margin: .1rem 0 0 1.05rem; font-size: .875rem; color: var(--quiet); }
details.room[open] > summary { border-bottom: 1px solid var(--line); }
.inside { padding: .75rem 1.25rem 1.25rem; }
.inside > dl { font-size: .925rem; }
.note { background: var(--note); border-inline-start: 4px solid var(--note-line); padding: .6rem .9rem; }
.note { border-radius: .3rem; margin: .75rem 0; }
ol.messages { list-style: none; margin: 0; padding: 0; }
ol.messages > li { padding: .4rem .75rem; margin: .25rem 0; border-inline-start: 3px solid var(--line); }
ol.messages > li { border-radius: .3rem; overflow: clip; }
ol.messages > li.own { background: var(--own); border-color: var(--own-line); }
ol.messages > li.change { border-color: transparent; color: var(--quiet); font-size: .9rem; padding-block: .1rem; }
ol.messages > li:target { outline: 2px solid var(--note-line); }
ol.messages p { margin: .2rem 0; }
.who { font-size: .875rem; color: var(--quiet); }
.who .name { font-weight: 600; color: var(--text); font-size: .975rem; }
ol.messages p.who { margin: 0; }
.kind { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .55rem; font-size: .8rem; }
.text { white-space: pre-wrap; unicode-bidi: plaintext; tab-size: 4; }
.reply { margin: .2rem 0; padding-inline-start: .6rem; border-inline-start: 2px solid var(--quiet); }
.reply { font-size: .875rem; }
.more { font-size: .875rem; color: var(--quiet); margin: .2rem 0; }
.reactions { display: flex; flex-wrap: wrap; gap: .35rem; list-style: none; margin: .3rem 0; padding: 0; }
.reactions li { border: 1px solid var(--line); border-radius: 1rem; padding: 0 .6rem; font-size: .875rem; }
pre { white-space: pre-wrap; background: var(--page); padding: .75rem; border-radius: .4rem; font-size: .85rem; }
pre { max-height: 30rem; overflow: auto; margin: .35rem 0; }
.pages { display: flex; flex-wrap: wrap; gap: .25rem .9rem; list-style: none; padding: 0; margin: .35rem 0; }
@media (max-width: 40rem) {
  header, main, footer, nav { padding-inline: .8rem; }
  h1 { font-size: 1.5rem; }
  .card, .inside, details.room > summary { padding-inline: .8rem; }
  dl > div { grid-template-columns: 1fr; gap: 0; }
  thead { position: absolute; clip-path: inset(50%); height: 1px; width: 1px; overflow: hidden; white-space: nowrap; }
  table, tbody, tr, td, caption { display: block; }
  tr { padding: .45rem .8rem; }
  tr + tr { border-top: 1px solid var(--line); }
  td { border: 0; padding: .1rem 0; display: grid; grid-template-columns: 6.5rem minmax(0, 1fr); gap: .5rem; }
  td::before { content: attr(data-label); color: var(--quiet); font-size: .85rem; }
  caption { padding: .6rem .8rem 0; }
}
@media print {
  :root {
    color-scheme: light;
    --page: #fff; --card: #fff; --text: #000; --quiet: #444; --line: #bbb; --link: #000; --own: #fff; --note: #fff;
  }
  html { font-size: 80%; }
  nav, .skip { display: none; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  ol.messages > li, tr, figure { break-inside: avoid; }
  h2, h3, h4, summary { break-after: avoid; }
  pre { max-height: none; }
}
"""

# The content security policy allows the style by this hash. No content of a message has the same hash.
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
