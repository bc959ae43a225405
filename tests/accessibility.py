"""What can be checked by machine of a page's accessibility, asked in the browser after styles are computed.

Language, title, one first heading and no level skipped, landmarks, labels of every field, texts of links and buttons, header
cells of tables, identifiers that are unique, contrast of every text with what is behind it (WCAG 1.4.3: 4.5 to 1, large
texts 3 to 1). Not a substitute for a person with a screen reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chromium import Tab

_SCRIPT = """
(() => {
  const wrong = [];
  const shown = e => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== 'hidden';
  if (!['es', 'en'].includes(document.documentElement.lang)) wrong.push('html has no lang');
  if (!document.title.trim()) wrong.push('no title');
  const heads = [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')];
  if (heads.filter(h => h.tagName === 'H1').length !== 1) wrong.push('not one h1');
  heads.reduce((before, h) => {
    const level = +h.tagName[1];
    if (level > before + 1) wrong.push('heading skips to ' + h.tagName + ': ' + h.textContent);
    if (!h.textContent.trim()) wrong.push('empty heading');
    return level;
  }, 0);
  for (const landmark of ['header', 'main', 'footer'])
    if (document.querySelectorAll(landmark).length !== 1) wrong.push('not one ' + landmark);
  for (const field of document.querySelectorAll('input:not([type=hidden]),select,textarea'))
    if (!field.labels.length || ![...field.labels].some(l => l.textContent.trim()))
      wrong.push('no label: ' + field.name);
  for (const field of document.querySelectorAll('[aria-describedby]'))
    if (!document.getElementById(field.getAttribute('aria-describedby'))) wrong.push('hint missing: ' + field.name);
  for (const e of document.querySelectorAll('a,button'))
    if (!e.textContent.trim() && !e.getAttribute('aria-label')) wrong.push('no text: ' + e.outerHTML);
  for (const e of document.querySelectorAll('fieldset'))
    if (!e.querySelector('legend')) wrong.push('fieldset without legend');
  for (const e of document.querySelectorAll('table')) {
    if (!e.querySelector('caption')) wrong.push('table without caption');
    if ([...e.querySelectorAll('thead th')].some(h => h.scope !== 'col')) wrong.push('header without scope');
  }
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of new Set(ids)) if (ids.filter(x => x === id).length > 1) wrong.push('id twice: ' + id);
  for (const e of document.querySelectorAll('[tabindex]')) if (+e.getAttribute('tabindex') > 0) wrong.push('tabindex');
  const skip = document.querySelector('a.skip');
  if (!skip || !document.querySelector(skip.getAttribute('href'))) wrong.push('no skip link');
  // A telephone's window grows with what is too wide; the layout's own width does not.
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth + 1) wrong.push('wider than the window');
  // On a telephone a table is a list of cards, so nothing of it is beyond the window's edge.
  if (innerWidth <= 640) for (const e of document.querySelectorAll('table')) {
    const name = e.caption ? e.caption.textContent.trim() : '';
    if (e.scrollWidth > document.documentElement.clientWidth) wrong.push('table wider than the window: ' + name);
    if ([...e.querySelectorAll('td:not([colspan])')].some(d => shown(d) && !d.dataset.label)) wrong.push('card without labels: ' + name);
  }
  const parts = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => {
    const [r, g, b] = parts(c).map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor, p = parts(c);
      if (p.length < 4 || p[3] === 1) return c;
      if (p[3] > 0) return null;
    }
    return 'rgb(255, 255, 255)';
  };
  let texts = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !shown(e)) continue;
    const style = getComputedStyle(e), back = behind(e);
    if (back === null) { wrong.push('cannot tell the contrast of ' + e.outerHTML.slice(0, 80)); continue; }
    const [a, b] = [light(style.color), light(back)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) wrong.push('contrast ' + ratio.toFixed(2) + ': ' + e.outerHTML.slice(0, 80));
    texts += 1;
  }
  if (!texts) wrong.push('no text at all');
  return wrong;
})()
"""


async def faults_of(tab: Tab) -> list[str]:
    """What is wrong with the page that a tab shows."""
    return list(await tab.ask(_SCRIPT))
