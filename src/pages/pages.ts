/** Pages that hold no PHI: model cards as HTML and JSON, their plots, styles and modules. Made once, when they are first asked for. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CatalogueEntry } from './catalogue.ts';
import { html, table } from './html.ts';
import { document, type Page } from './layout.ts';
import { isUnavailable, modelPage, pathOf, section } from './model-page.ts';
import { esiPage, knowledgePage, scorePage } from './score-page.ts';

export interface PageAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const HTML = 'text/html; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';
const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml; charset=utf-8',
};

const CLOSED = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** Styles and pictures of this server; no script at all. */
export const PAGE_POLICY = `default-src 'none'; style-src 'self'; img-src 'self'; ${CLOSED}`;
/** The sandbox besides runs modules of this server, which talk to it alone. */
export const SCRIPT_POLICY = `default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; ${CLOSED}`;
/** A picture opened by itself runs nothing and loads nothing. */
const PICTURE_POLICY = `default-src 'none'; style-src 'unsafe-inline'; sandbox; ${CLOSED}`;

export interface PublicPages {
  /** undefined for a path that is none of these. 304 when `ifNoneMatch` names what would be sent. */
  answer(path: string, ifNoneMatch: string | undefined): PageAnswer | undefined;
}

export interface PageOptions {
  readonly catalogue: ReadonlyMap<string, CatalogueEntry>;
  /** Folder of styles and modules. */
  readonly assets: string;
  /** The sandbox is on; its drugs as JSON text. */
  readonly sandbox: { readonly page: Page; readonly drugs: string } | undefined;
}

interface Made {
  readonly type: string;
  readonly policy: string;
  readonly body: string;
  readonly etag: string;
}

function made(type: string, body: string, policy: string = PAGE_POLICY): Made {
  const digest = createHash('sha256').update(body).digest('base64url').slice(0, 22);
  return { type, policy, body, etag: `"${digest}"` };
}

/** @throws Error when the folder of assets cannot be read */
export function publicPages({ catalogue, assets, sandbox }: PageOptions): PublicPages {
  const whole = (page: Page, policy?: string): Made => made(HTML, document(page, sandbox !== undefined), policy);
  const makers = new Map<string, () => Made>([
    ['/models', () => whole(listPage(catalogue))],
    ['/models.json', () => made(JSON_TYPE, JSON.stringify({ models: [...catalogue.values()].map(listed) }))],
    ...[...catalogue.values()].flatMap((entry) => entryMakers(entry, whole)),
    ...assetMakers(assets, sandbox !== undefined),
  ]);
  if (sandbox !== undefined) {
    makers.set('/cds-sandbox', () => whole(sandbox.page, SCRIPT_POLICY));
    makers.set('/cds-sandbox/drugs.json', () => made(JSON_TYPE, sandbox.drugs));
  }
  const kept = new Map<string, Made>();
  const elsewhere = new Map([['/', sandbox === undefined ? '/models' : '/cds-sandbox'], ...newest(catalogue)]);
  return {
    answer: (asked, ifNoneMatch) => {
      const path = asked.replace(/(?<=.)\/$/, '');
      const found = kept.get(path) ?? makers.get(path)?.();
      if (found === undefined) {
        const Location = elsewhere.get(path) ?? elsewhere.get(VERSIONED.exec(path)?.[1] ?? '');
        return Location === undefined
          ? undefined
          : { status: 302, headers: { Location, 'Cache-Control': 'no-cache' }, body: '' };
      }
      kept.set(path, found);
      const common = { ETag: found.etag, 'Cache-Control': 'no-cache', 'Content-Security-Policy': found.policy };
      const known = (ifNoneMatch ?? '').split(/\s*,\s*/);
      if (known.some((tag) => tag === '*' || tag.replace(/^W\//, '') === found.etag)) {
        return { status: 304, headers: common, body: '' };
      }
      return { status: 200, headers: { 'Content-Type': found.type, ...common }, body: found.body };
    },
  };
}

function entryMakers(
  entry: CatalogueEntry,
  whole: (page: Page) => Made,
): readonly (readonly [path: string, make: () => Made])[] {
  const path = pathOf(entry);
  const plots = entry.kind === 'graph' ? [...entry.plots] : [];
  return [
    [path, () => whole(pageOf(entry))],
    [`${path}.json`, () => made(JSON_TYPE, JSON.stringify(dataOf(entry)))],
    ...plots.map(([name, svg]) => [`${path}/${name}`, () => made(TYPES.svg ?? '', svg, PICTURE_POLICY)] as const),
  ];
}

/** Modules are of the sandbox alone. */
function assetMakers(folder: string, scripts: boolean): readonly (readonly [path: string, make: () => Made])[] {
  return readdirSync(folder)
    .filter((name) => /^[a-z-]+\.(?:css|svg|js)$/.test(name) && (scripts || !name.endsWith('.js')))
    .map((name) => {
      const type = TYPES[name.split('.').at(-1) ?? ''] ?? '';
      const text = readFileSync(join(folder, name), 'utf8');
      return [`/assets/${name}`, () => made(type, text, PICTURE_POLICY)];
    });
}

function pageOf(entry: CatalogueEntry): Page {
  switch (entry.kind) {
    case 'graph':
      return modelPage(entry);
    case 'score':
      return scorePage(entry);
    case 'knowledge':
      return knowledgePage(entry);
    case 'esi':
      return esiPage(entry);
  }
}

const listed = ({ kind, id, version, title, sha256 }: CatalogueEntry) => ({
  kind,
  id,
  version,
  title,
  sha256,
  page: `/models/${id}/${version}`,
});

/** The page as data. Attributes say whether they are unavailable; plots are paths. */
function dataOf(entry: CatalogueEntry): Readonly<Record<string, unknown>> {
  const common = listed(entry);
  switch (entry.kind) {
    case 'graph': {
      const { card, manifest, evaluation, plots } = entry;
      const attributes = card?.attributes.map((one) => ({ ...one, available: !isUnavailable(one) }));
      const paths = [...plots.keys()].map((name) => `${common.page}/${name}`);
      return { ...common, attributes, manifest, evaluation, plots: paths };
    }
    case 'score':
      return { ...common, score: entry.file };
    case 'knowledge':
      return {
        ...common,
        date: entry.date,
        statements: entry.statements,
        sources: entry.sources,
        files: entry.files,
      };
    case 'esi':
      return { ...common, edition: entry.edition };
  }
}

const KINDS: readonly (readonly [kind: CatalogueEntry['kind'], id: string, title: string, about: string])[] = [
  ['graph', 'graphs', 'Models', 'ONNX graphs, trained or of a published score, each with its 31 source attributes.'],
  ['score', 'scores', 'Published scores', 'Tables of points from their publications; nothing is learned.'],
  ['esi', 'triage', 'Triage rules', 'The Emergency Severity Index by edition.'],
  ['knowledge', 'drugs', 'Drug knowledge', 'Interaction, allergy and dosing tables, with sources and licences.'],
];

function listPage(catalogue: ReadonlyMap<string, CatalogueEntry>): Page {
  const groups = KINDS.map(([kind, id, title, about]) => {
    const entries = [...catalogue.values()].filter((entry) => entry.kind === kind);
    const rows = entries.map((entry) => [
      html`<a href="${pathOf(entry)}">${entry.title}</a>`,
      html`<code>${entry.id}</code>`,
      entry.version,
      populationOf(entry),
    ]);
    return section(
      id,
      title,
      html`<p>${about}</p>
${table(title, ['Name', 'Id', 'Version', 'For'], rows)}`,
    );
  });
  return {
    at: '/models',
    title: 'Model cards',
    lead: 'What every score, model and table on this server is, learned from, and may not be used for.',
    body: html`${groups}`,
  };
}

/** Path of a model with a version: an old card leads to one that is no longer here, and from there to the newest, which names its own. */
const VERSIONED = /^(\/models\/[^/]+)\/\d+\.\d+\.\d+$/;

/** From the path of a model without a version to that of its newest. */
function newest(catalogue: ReadonlyMap<string, CatalogueEntry>): [string, string][] {
  const paths = [...catalogue.values()].map(pathOf).sort(new Intl.Collator('en', { numeric: true }).compare);
  return paths.map((path) => [path.slice(0, path.lastIndexOf('/')), path]);
}

function populationOf(entry: CatalogueEntry): string {
  if (entry.kind === 'graph') return entry.manifest.population;
  if (entry.kind === 'score') return entry.file.population;
  return entry.kind === 'esi' ? 'arrivals in an emergency department' : 'orders of medication';
}
