/** The sandbox's page: its landmarks and forms. What is in them comes from pages/sandbox.js by the public API. */
import { html } from './html.ts';
import type { Page } from './layout.ts';

export const SANDBOX_PAGE: Page = {
  at: '/cds-sandbox',
  kind: 'sandbox',
  title: 'CDS Hooks sandbox',
  lead: 'Open a chart, draft an order, sign it, and see what the services answer. Nothing is ordered; reads, calls and feedback are real and audited.',
  script: '/assets/sandbox.js',
  body: html`<p id="status" role="status" class="status">Loading ...</p>
<noscript><p class="alert">The sandbox is a script of this server; this browser does not run it.</p></noscript>
<div class="work">
<div class="side">
<section aria-labelledby="step-patient"><h2 id="step-patient">Chart</h2>
<form id="choose">
<label for="patient">Patient</label><select id="patient" required></select>
<label for="user">Signed in as</label><select id="user"><option value="Practitioner/demo-physician">Physician (Practitioner/demo-physician)</option><option value="Practitioner/demo-nurse">Nurse (Practitioner/demo-nurse)</option></select>
<button id="open" type="submit" class="main" disabled>Open chart</button>
</form></section>
<div id="chart" hidden>
<section aria-labelledby="chart-name" class="banner"><h2 id="chart-name"></h2><p id="chart-facts"></p></section>
<section aria-labelledby="step-order"><h2 id="step-order">Orders</h2>
<form id="order">
<label for="drug">Drug</label><select id="drug" required></select>
<label for="drug-text">As worded</label><input id="drug-text" type="text" maxlength="200" autocomplete="off">
<button type="submit" class="plain">Add draft order</button>
</form>
<ul id="orders" class="orders" aria-label="Draft orders"></ul>
<button id="sign" type="button" class="main" disabled>Sign orders</button>
</section></div>
</div>
<section aria-labelledby="step-cards" class="answers"><h2 id="step-cards">Cards</h2>
<div id="cards"><p class="empty">Cards appear here when a chart is open.</p></div>
</section>
</div>
<section aria-labelledby="step-calls"><h2 id="step-calls">Calls</h2>
<p class="hint">Each request as it was sent and its answer, newest first.</p>
<ol id="calls" class="calls"></ol></section>
<section aria-labelledby="step-services"><h2 id="step-services">Services</h2>
<dl id="services" class="facts"></dl></section>
`,
};
