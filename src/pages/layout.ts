/** The frame of every page: language, title, skip link, navigation, one main landmark. Styles and scripts come from this server only. Source: WCAG 2.2 (1.3.1, 2.4.1, 2.4.2, 3.1.1). */
import { type Html, html } from './html.ts';

export interface Page {
  readonly title: string;
  /** One sentence under the title. */
  readonly lead?: string;
  readonly body: Html;
  /** Entry of the navigation that this page belongs to. */
  readonly at?: '/models' | '/cds-sandbox';
  /** A module of this server. */
  readonly script?: string;
  /** Class of the page, for what only it needs. */
  readonly kind?: string;
}

const PLACES = [
  ['/models', 'Model cards'],
  ['/cds-sandbox', 'Sandbox'],
] as const;

/** A whole document. @param sandbox the sandbox is on, so it is in the navigation */
export function document({ title, lead, body, at, script, kind }: Page, sandbox: boolean): string {
  const places = PLACES.filter(([path]) => sandbox || path !== '/cds-sandbox').map(
    ([path, name]) => html`<li><a href="${path}"${path === at ? html` aria-current="true"` : ''}>${name}</a></li>`,
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} - Firewatch</title>
<link rel="icon" href="/assets/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/pages.css">
${
  script === undefined
    ? ''
    : html`<script type="module" src="${script}"></script>
`
}</head>
<body class="${kind ?? 'text'}">
<a class="skip" href="#main">To the content</a>
<header class="site"><a class="brand" href="/models"><img src="/assets/mark.svg" alt="" width="22" height="22">Firewatch</a>
<nav aria-label="Pages"><ul>${places}</ul></nav></header>
<main id="main" tabindex="-1">
<h1>${title}</h1>
${
  lead === undefined
    ? ''
    : html`<p class="lead">${lead}</p>
`
}${body}</main>
<footer><p>Supports, and does not replace, clinical judgement. For health professionals, not for patients or caregivers. Not a medical device.</p></footer>
</body>
</html>
`.toString();
}
