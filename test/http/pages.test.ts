// Model cards as pages and as data: 45 CFR 170.315(b)(11)(iv) and (v)(A); the pages hold no PHI, no script, nothing of elsewhere.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sandboxIsOn } from '../../src/open/pages.ts';
import { readCatalogue } from '../../src/pages/catalogue.ts';
import { readDrugList } from '../../src/pages/drug-list.ts';
import { html, table, webLink } from '../../src/pages/html.ts';
import { publicPages } from '../../src/pages/pages.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const folders = { models: join(ROOT, 'models'), knowledge: join(ROOT, 'knowledge'), pages: join(ROOT, 'pages') };
const pages = publicPages({ catalogue: readCatalogue(folders), assets: folders.pages, sandbox: undefined });
const text = (path: string): string => pages.answer(path, undefined)?.body ?? '';
const graphs = readdirSync(join(ROOT, 'models'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !['scores', 'train'].includes(entry.name))
  .flatMap(({ name }) =>
    readdirSync(join(ROOT, 'models', name))
      .filter((version) => /^\d/.test(version))
      .map((version) => ({ id: name, version, path: `/models/${name}/${version}` })),
  );
const scores = readdirSync(join(ROOT, 'models', 'scores')).map((file) => {
  const { id, version } = JSON.parse(readFileSync(join(ROOT, 'models', 'scores', file), 'utf8'));
  return { id, version, path: `/models/${id}/${version}` };
});
const unescaped = (markup: string): string =>
  markup
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

test('§6.1 §8.15 card-content@page: every model has its 31 attributes on a page, word for word, "not available" said', () => {
  assert.ok(graphs.length >= 9, 'control: the folders are found');
  for (const { id, version, path } of graphs) {
    const page = unescaped(text(path));
    const card = JSON.parse(readFileSync(join(ROOT, 'models', id, version, 'card.json'), 'utf8'));
    for (const { number, name, value } of card.attributes) {
      assert.ok(page.includes(`<span class="number">${number}</span> ${name}</dt>`), `${path} ${number}`);
      assert.ok(page.includes(`>${value}</dd>`), `${path} ${number} value`);
    }
    const unknown = card.attributes.filter(({ value }: { value: string }) => /^not available\.?$/i.test(value));
    assert.equal(page.split('class="unavailable"').length - 1, unknown.length, path);
    const manifest = JSON.parse(readFileSync(join(ROOT, 'models', id, version, 'manifest.json'), 'utf8'));
    for (const { name, display, codes = [] } of manifest.features) {
      assert.ok(page.includes(`${display} <code>${name}</code>`), `${path} ${name}`);
      for (const code of codes) assert.ok(page.includes(code), `${path} ${code}`);
    }
    for (const limit of manifest.limits) assert.ok(page.includes(limit), path);
    for (const band of manifest.bands) assert.ok(page.includes(String(band.from)), `${path} ${band.name}`);
    assert.ok(page.includes(manifest.sha256) && page.includes(manifest.citation.url), path);
  }
});

test('card-content@page-figures: figures carry their intervals, plots are there by path', () => {
  const page = text('/models/sepsis-icu/1.0.0');
  const [value, low, high] = JSON.parse(
    readFileSync(join(ROOT, 'models', 'sepsis-icu', '1.0.0', 'evaluation.json'), 'utf8'),
  ).cohorts.recordedHeldOut.overall.auroc.map((figure: number) => Number(figure.toFixed(3)));
  assert.ok(page.includes(`${value} (${low} to ${high})`));
  assert.ok(page.includes('src="/models/sepsis-icu/1.0.0/roc.svg"'));
  const plot = pages.answer('/models/sepsis-icu/1.0.0/roc.svg', undefined);
  assert.match(plot?.headers['Content-Type'] ?? '', /^image\/svg\+xml/);
  assert.match(plot?.headers['Content-Security-Policy'] ?? '', /default-src 'none'.*sandbox/);
});

test('card-content@page-scores: every score file has a page with its points, every band and its citation', () => {
  for (const { id, path } of scores) {
    const page = unescaped(text(path));
    const file = JSON.parse(readFileSync(join(ROOT, 'models', 'scores', `${id}.json`), 'utf8'));
    for (const item of file.items) assert.ok(page.includes(item.display), `${path} ${item.name}`);
    for (const result of file.results) assert.ok(page.includes(result.formula), `${path} ${result.name}`);
    assert.ok(page.includes(file.citation.text), path);
  }
  const lace = text('/models/lace/1.0.0');
  assert.match(lace, /up to 0<\/th><td>0<\/td>[\s\S]*above 13<\/th><td>7<\/td>/, 'ends of bands in words');
});

test('§6.1.3 card-content@page-knowledge: the drug tables with source, version, licence', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'knowledge', 'manifest.json'), 'utf8'));
  const page = unescaped(text(`/models/drug-safety/${manifest.version}`));
  for (const { file, licence, source } of manifest.files) {
    assert.ok(page.includes(`<code>${file}</code>`) && page.includes(licence) && page.includes(source), file);
  }
  for (const name of ['Developer and contact', 'Funding source', 'Bibliographic citation', 'Use of race'])
    assert.ok(page.includes(name), name);
});

test('§6.1 §6.1.6 card-content@page-data: the same as JSON; the list names every page', () => {
  const list = JSON.parse(text('/models.json')).models;
  assert.equal(list.length, graphs.length + scores.length + 3, 'and two editions of ESI, and the drug tables');
  for (const { page } of list) {
    assert.ok(text('/models').includes(`href="${page}"`), page);
    assert.match(text(page), /^<!doctype html>/, page);
    assert.equal(JSON.parse(text(`${page}.json`)).page, page);
  }
  const { attributes } = JSON.parse(text('/models/news2/1.0.0.json'));
  assert.equal(attributes.length, 31);
  assert.ok(
    attributes.every(
      ({ available, value }: { available: boolean; value: string }) => available === !/^not available/i.test(value),
    ),
  );
});

test('card-content@page-policy: no script, no style in the page, nothing of another origin; one main, one h1, a language, heads of tables', () => {
  const list = JSON.parse(text('/models.json')).models;
  for (const path of ['/models', ...list.map(({ page }: { page: string }) => page)]) {
    const answer = pages.answer(path, undefined);
    const page = answer?.body ?? '';
    assert.equal(
      answer?.headers['Content-Security-Policy'],
      "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    assert.doesNotMatch(
      page,
      /<script|<style|\sstyle=|\son[a-z]+=|javascript:|src="(?!\/)|<link[^>]+href="(?!\/)/i,
      path,
    );
    assert.equal(page.split('<main').length, 2, path);
    assert.equal(page.split('<h1').length, 2, path);
    assert.match(page, /<html lang="en">/);
    assert.equal(page.split('<table').length, page.split('<caption').length, path);
    assert.doesNotMatch(page, /undefined|NaN|\[object/, path);
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    assert.equal(new Set(ids).size, ids.length, `${path}: ids are unique`);
  }
});

test('card-content@page-etag: an unchanged page is 304 without body; unknown paths are none of the pages', () => {
  const first = pages.answer('/models', undefined);
  const etag = first?.headers.ETag ?? '';
  assert.match(etag, /^"[\w-]{22}"$/);
  for (const given of [etag, `W/${etag}`, `"x", ${etag}`, '*'])
    assert.equal(pages.answer('/models', given)?.status, 304, given);
  assert.equal(pages.answer('/models', '"other"')?.status, 200);
  assert.equal(pages.answer('/models/', undefined)?.body, first?.body, 'a trailing slash is the same page');
  for (const path of [
    '/models/none/1.0.0',
    '/models/news2/1.0.0/model.onnx',
    '/models/../package.json',
    '/assets/drug-safety.json',
    '/assets/sandbox.js',
    '',
  ])
    assert.equal(pages.answer(path, undefined), undefined, path);
});

for (const [path, leads] of [
  ['/', '/models'],
  ['/models/news2', '/models/news2/1.0.0'],
  ['/models/sepsis-icu', '/models/sepsis-icu/1.1.0'],
  ['/models/sepsis-3/1.0.0', '/models/sepsis-3/1.1.0'],
  ['/models/esi-v4/0.9.0', '/models/esi-v4/1.0.0'],
] as const) {
  test(`pages@elsewhere: ${path} leads to ${leads}`, () => {
    const answer = pages.answer(path, undefined);
    assert.deepEqual([answer?.status, answer?.headers.Location], [302, leads]);
    assert.equal(pages.answer(leads, undefined)?.status, 200);
  });
}

const HOSTILE: readonly [data: string, shown: string, why: string][] = [
  ['plain', 'plain', 'control'],
  ['<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;', 'an element'],
  ['" onload="x', '&quot; onload=&quot;x', 'out of an attribute'],
  ["' onload='x", '&#39; onload=&#39;x', 'out of the other kind of attribute'],
  ['&lt;b&gt;', '&amp;lt;b&amp;gt;', 'entities stay text'],
  ['a\u202eb\u0000c\u200bd', 'abcd', 'what turns or hides text'],
];
for (const [data, shown, why] of HOSTILE) {
  test(`card-content@page-escape: ${why}`, () => {
    assert.equal(html`<p title="${data}">${[data]}</p>`.toString(), `<p title="${shown}">${shown}</p>`);
    assert.ok(
      table('t', ['h'], [[data]])
        .toString()
        .includes(`<th scope="row">${shown}</th>`),
    );
  });
}
test('card-content@page-escape: only web addresses become links', () => {
  assert.match(webLink('https://example.org/"x', 'y').toString(), /^<a href="https:\/\/example.org\/&quot;x"/);
  for (const url of ['javascript:alert(1)', 'data:text/html,x', '/x', ''])
    assert.equal(webLink(url, 'y').toString(), 'y');
});

const SETTINGS: readonly [
  isOn: boolean | RegExp,
  setting: 'auto' | 'on' | 'off',
  demonstration: boolean,
  why: string,
][] = [
  [true, 'auto', true, 'control: a demonstration'],
  [true, 'on', true, 'asked for in a demonstration'],
  [false, 'off', true, 'not wanted'],
  [false, 'auto', false, 'clients or issuers are registered'],
  [false, 'off', false, 'not wanted where they are registered'],
  [/has no token/, 'on', false, 'asked for where it could call nothing'],
];
for (const [isOn, setting, demonstration, why] of SETTINGS) {
  test(`pages@sandbox-setting: ${why}`, () => {
    if (isOn instanceof RegExp) assert.throws(() => sandboxIsOn(setting, demonstration), isOn);
    else assert.equal(sandboxIsOn(setting, demonstration), isOn);
  });
}

test('pages@sandbox-drugs: every drug that can be ordered has a code of the tables; the modules make no markup from text', () => {
  const drugs = readDrugList(folders.pages, folders.knowledge);
  assert.ok(drugs.length >= 20);
  for (const { name, rxcui, text: words } of drugs) {
    assert.match(rxcui, /^\d+$/, name);
    assert.ok(words.toLowerCase().startsWith(name), name);
  }
  const modules = readdirSync(folders.pages).filter((name) => name.endsWith('.js'));
  assert.ok(modules.includes('sandbox.js'));
  for (const name of modules) {
    const source = readFileSync(join(folders.pages, name), 'utf8');
    assert.doesNotMatch(
      source,
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc/,
      name,
    );
    for (const [, from] of source.matchAll(/from '([^']+)'/g))
      assert.ok(modules.includes((from ?? '').slice(2)), `${name}: ${from}`);
  }
});
