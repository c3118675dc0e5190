/**
 * The part of markdown that cards use, as elements: paragraphs, lists, tables, strong, emphasis, escapes. Everything else is text; there are no
 * links, images or HTML, whatever the text holds. Source: GitHub Flavored Markdown 6.1 (escapes), 6.2 (entities), 4.10 (tables).
 */
import { element } from './dom.js';

const ENTITIES = { '&amp;': '&', '&lt;': '<', '&gt;': '>' };
const TOKEN = /\\([\\`*_[\]|~#!{}])|(\*\*|\*)|(&(?:amp|lt|gt);)/g;

/** Inline text: runs of `**` and `*` open and close, an escape is its character. */
function inline(text) {
  const root = document.createDocumentFragment();
  const open = [{ mark: '', node: root }];
  let from = 0;
  const top = () => open[open.length - 1];
  const say = (words) => words !== '' && top().node.append(words);
  for (const found of text.matchAll(TOKEN)) {
    say(text.slice(from, found.index));
    from = found.index + found[0].length;
    const [, character, mark, entity] = found;
    if (character !== undefined) say(character);
    else if (entity !== undefined) say(ENTITIES[entity]);
    else if (top().mark === mark) open.pop();
    else {
      const node = element(mark === '**' ? 'strong' : 'em');
      top().node.append(node);
      open.push({ mark, node });
    }
  }
  say(text.slice(from));
  return root;
}

/** Cells of a row; a bar that is escaped separates nothing. */
const cellsOf = (line) =>
  line
    .trim()
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());

function table(lines) {
  const [head, , ...rows] = lines.map(cellsOf);
  const row = (cells, name) => element('tr', {}, ...cells.map((cell) => element(name, {}, inline(cell))));
  const made = element(
    'table',
    {},
    element('thead', {}, row(head, 'th')),
    element('tbody', {}, ...rows.map((cells) => row(cells, 'td'))),
  );
  return element('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': 'Table of the card' }, made);
}

const KINDS = [
  { is: (line) => line.startsWith('|'), make: table },
  {
    is: (line) => line.startsWith('- '),
    make: (lines) => element('ul', {}, ...lines.map((line) => element('li', {}, inline(line.slice(2))))),
  },
  { is: () => true, make: (lines) => element('p', {}, inline(lines.join(' '))) },
];

/** Blocks of a text, in order. */
export function markdown(text) {
  const root = element('div', { class: 'detail' });
  let lines = [];
  let kind;
  const close = () => {
    if (lines.length > 0) root.append(kind.make(lines));
    lines = [];
  };
  for (const line of text.split('\n')) {
    const next = line.trim() === '' ? undefined : KINDS.find(({ is }) => is(line));
    if (next !== kind) close();
    kind = next;
    if (next !== undefined) lines.push(line);
  }
  close();
  return root;
}
