/** Pages people see: complete HTML without script or inline style, usable by keyboard and screen reader. Whatever is put in is escaped; nothing of a request is repeated. */
import { type GivenReason, REASON_LENGTH, REASONS } from './emergency.ts';
import { partsOf } from './granular.ts';
import { scopeSentence } from './scope.ts';

/** Only our own stylesheet; forms go back to us. */
export const PAGE_HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const;

/**
 * Headers of a page whose form ends at an app: browsers apply `form-action` to redirects as well.
 * @param redirectUri registered, so already judged
 */
export function pageHeaders(redirectUri: unknown): Readonly<Record<string, string>> {
  const target = typeof redirectUri === 'string' && URL.canParse(redirectUri) ? new URL(redirectUri) : undefined;
  if (target === undefined) return PAGE_HEADERS;
  const source = target.origin === 'null' ? target.protocol : target.origin;
  const policy = PAGE_HEADERS['Content-Security-Policy'].replace("form-action 'self'", `form-action 'self' ${source}`);
  return { ...PAGE_HEADERS, 'Content-Security-Policy': policy };
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escaped = (text: string): string => text.replace(/[&<>"']/g, (found) => ESCAPES[found] ?? '');

function document(title: string, main: string, depth = '../'): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${escaped(title)} - Firewatch</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="${depth}page.css">
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
${main}
</main>
</body>
</html>
`;
}

const alert = (text: string | undefined): string =>
  text === undefined ? '' : `<p role="alert" id="problem" class="problem">${escaped(text)}</p>\n`;
const described = (problem: string | undefined): string =>
  problem === undefined ? '' : ' aria-describedby="problem" aria-invalid="true"';
const cancel =
  '<form method="post"><input type="hidden" name="step" value="cancel"><button type="submit" class="quiet">Cancel</button></form>';

export function loginPage(client: string, problem?: string): string {
  return document(
    'Sign in',
    `<p>to continue to <strong>${escaped(client)}</strong></p>
${alert(problem)}<form method="post">
<input type="hidden" name="step" value="login">
<label for="name">User name</label>
<input id="name" name="name" type="text" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus maxlength="64"${described(problem)}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required maxlength="256"${described(problem)}>
<button type="submit">Sign in</button>
</form>
${cancel}`,
  );
}

export function codePage(problem?: string): string {
  return document(
    'Second factor',
    `<p>Enter the six digits that your authenticator app shows.</p>
${alert(problem)}<form method="post">
<input type="hidden" name="step" value="code">
<label for="code">Code</label>
<input id="code" name="code" type="text" inputmode="numeric" autocomplete="one-time-code" pattern="[0-9]{6}" maxlength="6" required autofocus${described(problem)}>
<button type="submit">Continue</button>
</form>
${cancel}`,
  );
}

/** A patient as a person tells them apart. */
export interface PatientChoice {
  readonly id: string;
  readonly label: string;
}

/** Why and for how long: said before a user breaks the glass, and once more before they confirm. */
const WATCHED =
  '<p>For 15 minutes one record is open to you, also what is restricted in it. This is recorded, and the privacy officer reviews it.</p>\n';

/** @param problem why what was said will not do */
export function emergencyPage(client: string, problem?: string): string {
  const reasons = Object.entries(REASONS).map(
    ([code, text], index) =>
      `<div class="choice"><input type="radio" id="reason-${code}" name="reason" value="${code}" required${index === 0 ? ' autofocus' : ''}><label for="reason-${code}">${escaped(text)}</label></div>`,
  );
  return document(
    'Break the glass',
    `<p><strong>${escaped(client)}</strong> asks for emergency access to the record of one patient.</p>
${WATCHED}${alert(problem)}<form method="post">
<input type="hidden" name="step" value="reason">
<fieldset><legend>Why</legend>
${reasons.join('\n')}
</fieldset>
<label for="reason-text">In your words</label>
<textarea id="reason-text" name="reason-text" rows="4" maxlength="${REASON_LENGTH}"${described(problem)}></textarea>
<button type="submit">Continue</button>
</form>
${cancel}`,
  );
}

/** Carried from page to page in the form, so that it is in no URL and kept nowhere before it counts. */
const keptReason = (reason: GivenReason | undefined): string =>
  reason === undefined
    ? ''
    : `<input type="hidden" name="reason" value="${escaped(reason.code)}">
<input type="hidden" name="reason-text" value="${escaped(reason.text ?? '')}">
`;

/** Who is hidden from a search can still be named by the id of the record. */
const byRecord = (reason: GivenReason): string => `<form method="post">
<input type="hidden" name="step" value="patient">
${keptReason(reason)}<label for="patient">Or the id of the record</label>
<input id="patient" name="patient" type="text" autocomplete="off" autocapitalize="none" spellcheck="false" required maxlength="64">
<button type="submit">Choose this record</button>
</form>
`;

/**
 * @param found undefined before a search
 * @param reason of emergency access
 */
export function patientPage(
  client: string,
  found: readonly PatientChoice[] | undefined,
  problem?: string,
  reason?: GivenReason,
): string {
  const choices = (found ?? []).map(
    ({ id, label }, index) =>
      `<div class="choice"><input type="radio" id="patient-${index}" name="patient" value="${escaped(id)}" required><label for="patient-${index}">${escaped(label)}</label></div>`,
  );
  const list =
    found === undefined
      ? ''
      : choices.length === 0
        ? '<p role="status">No patient was found.</p>'
        : `<form method="post">
<input type="hidden" name="step" value="patient">
${keptReason(reason)}<fieldset><legend>Patients found</legend>
${choices.join('\n')}
</fieldset>
<button type="submit">Choose this patient</button>
</form>`;
  return document(
    'Choose a patient',
    `<p><strong>${escaped(client)}</strong> asks for the record of one patient.</p>
${alert(problem)}<form method="post" role="search">
<input type="hidden" name="step" value="search">
${keptReason(reason)}<label for="search">Name</label>
<input id="search" name="search" type="search" autocomplete="off" required autofocus maxlength="100"${described(problem)}>
<button type="submit">Search</button>
</form>
${list}
${reason === undefined ? '' : byRecord(reason)}${cancel}`,
  );
}

/** @param choices at least one */
export function encounterPage(
  client: string,
  patient: PatientChoice | undefined,
  choices: readonly PatientChoice[],
): string {
  const all = [...choices, { id: '-none-', label: 'None of these' }].map(
    ({ id, label }, index) =>
      `<div class="choice"><input type="radio" id="encounter-${index}" name="encounter" value="${escaped(id)}" required${index === 0 ? ' autofocus' : ''}><label for="encounter-${index}">${escaped(label)}</label></div>`,
  );
  return document(
    'Choose an encounter',
    `<p><strong>${escaped(client)}</strong> asks which encounter it is about.</p>
${told('Patient', patient)}<form method="post">
<input type="hidden" name="step" value="encounter">
${kept('patient', patient)}<fieldset><legend>Newest encounters</legend>
${all.join('\n')}
</fieldset>
<button type="submit">Choose this encounter</button>
</form>
${cancel}`,
  );
}

export interface ConsentView {
  readonly client: string;
  readonly user: string;
  readonly scopes: readonly string[];
  readonly patient: PatientChoice | undefined;
  /** Chosen, or chosen not to be; undefined: it was not asked for. */
  readonly encounter: PatientChoice | undefined;
  /** Why the glass is to be broken; undefined: it is no emergency. */
  readonly reason: GivenReason | undefined;
}

const box = (id: string, scope: string, text: string, isChecked: boolean): string =>
  `<div class="choice"><input type="checkbox" id="${id}" name="scope" value="${escaped(scope)}"${isChecked ? ' checked' : ''}><label for="${id}">${escaped(text)} <code>${escaped(scope)}</code></label></div>`;

/** A scope, and beside it what it can be narrowed to: the parts count where the whole is cleared. */
function scopeBoxes(scope: string, index: number): string {
  const parts = partsOf(scope);
  const whole = box(`scope-${index}`, scope, scopeSentence(scope), true);
  if (parts.length === 0) return whole;
  const inner = parts.map((part, each) =>
    box(`scope-${index}-${each}`, part, `Only ${part.slice(part.lastIndexOf('|') + 1)}`, false),
  );
  return `${whole}
<fieldset class="parts"><legend>or, when that is cleared, only</legend>
${inner.join('\n')}
</fieldset>`;
}

const kept = (name: string, choice: PatientChoice | undefined): string =>
  choice === undefined ? '' : `<input type="hidden" name="${name}" value="${escaped(choice.id)}">\n`;
const told = (name: string, choice: PatientChoice | undefined): string =>
  choice === undefined ? '' : `<p>${name}: <strong>${escaped(choice.label)}</strong></p>\n`;

export function consentPage({ client, user, scopes, patient, encounter, reason }: ConsentView): string {
  const boxes = scopes.map(scopeBoxes);
  const chosen = told('Patient', patient) + told('Encounter', encounter);
  const warning =
    reason === undefined
      ? ''
      : `${WATCHED}<p>Why: <strong>${escaped(REASONS[reason.code] ?? reason.code)}</strong></p>\n`;
  return document(
    reason === undefined ? 'Allow access' : 'Break the glass',
    `<p><strong>${escaped(client)}</strong> asks to do this in the name of <strong>${escaped(user)}</strong>. Leave out what it shall not do.</p>
${warning}${chosen}<form method="post">
<input type="hidden" name="step" value="consent">
${keptReason(reason)}${kept('patient', patient)}${kept('encounter', encounter)}<fieldset><legend>It may</legend>
${boxes.join('\n')}
</fieldset>
<button type="submit">${reason === undefined ? 'Allow' : 'Break the glass'}</button>
</form>
${cancel}`,
  );
}

/** THE table of errors people see. Nothing of the request is in them. */
const PROBLEMS: Readonly<Record<string, string>> = {
  invalid_client: 'The app is not registered here.',
  invalid_redirect_uri: 'The address the app wants to return to is not registered.',
  invalid_request:
    'The app asked in a way that is not understood, or this page is too old. Go back to the app and start again.',
  access_denied: 'The access was not allowed.',
  server_error: 'Something went wrong here. Try again.',
};

export function errorPage(code: string): string {
  const text = Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code] : PROBLEMS.invalid_request;
  return document('This did not work', alert(text), './');
}

/** @param form oidc-provider's, with the secret that proves the page was ours */
export function logoutPage(form: string): string {
  return document(
    'Sign out',
    `<p>Apps that you use only while signed in are disconnected.</p>
${form}
<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>
<button type="submit" form="op.logoutForm" class="quiet">Stay signed in</button>`,
    './',
  );
}

export function loggedOutPage(): string {
  return document('Signed out', '<p role="status">You are signed out. You may close this page.</p>', '../');
}

export const PAGE_STYLE = `:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--line:#6b7480;--action:#0b57d0;--on-action:#fff;--bad:#a4130e}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ed;--paper:#15181c;--line:#9aa4af;--action:#8ab4f8;--on-action:#10151c;--bad:#ff9a92}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:34rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.5rem;line-height:1.2;margin:0 0 1rem}
label{display:block;margin:.75rem 0 .25rem}
input[type=text],input[type=password],input[type=search],textarea{width:100%;font:inherit;padding:.6rem;border:1px solid var(--line);border-radius:.25rem;background:var(--paper);color:var(--ink)}
button{font:inherit;min-height:2.75rem;padding:.5rem 1.25rem;margin:1rem .5rem 0 0;border:1px solid var(--action);border-radius:.25rem;background:var(--action);color:var(--on-action);cursor:pointer}
button.quiet{background:none;color:var(--action)}
:focus-visible{outline:3px solid var(--action);outline-offset:2px}
fieldset{border:1px solid var(--line);border-radius:.25rem;margin:1rem 0;padding:.5rem 1rem 1rem}
.choice{display:flex;gap:.6rem;align-items:baseline;margin:.5rem 0}
.choice label{margin:0}
.parts{border:0;margin:0 0 .5rem 1.8rem;padding:0}
.choice input{inline-size:1.2rem;block-size:1.2rem;flex:none}
.problem{border-inline-start:4px solid var(--bad);padding-inline-start:.75rem;color:var(--bad)}
code{font-size:.85em;overflow-wrap:anywhere}
`;
