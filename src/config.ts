/** Every setting: environment name, default, meaning. The only reader of process.env; docs/configuration.md is generated from this table. */

interface Setting<T> {
  readonly fallback: T;
  parse(text: string): T;
  readonly doc: string;
}

const text = (fallback: string, doc: string): Setting<string> => ({ fallback, parse: (value) => value, doc });
const optionalText = (doc: string): Setting<string | undefined> => ({
  fallback: undefined,
  parse: (value) => value,
  doc,
});
const flag = (fallback: boolean, doc: string): Setting<boolean> => ({
  fallback,
  parse: (value) => {
    if (value === 'true' || value === 'false') return value === 'true';
    throw new TypeError('must be `true` or `false`');
  },
  doc,
});
const whole = (fallback: number, low: number, high: number, doc: string): Setting<number> => ({
  fallback,
  parse: (value) => {
    const number = Number(value);
    if (Number.isInteger(number) && number >= low && number <= high) return number;
    throw new TypeError(`must be a whole number from ${low} to ${high}`);
  },
  doc: `${doc} (${low} to ${high})`,
});
const list = (doc: string, check: (part: string) => void): Setting<readonly string[]> => ({
  fallback: [],
  parse: (value) => {
    const parts = value.split(/[\s,]+/).filter((part) => part !== '');
    for (const part of parts) check(part);
    return parts;
  },
  doc: `${doc} Separated by commas.`,
});
const oneOf = <T extends string>(fallback: T, choices: readonly T[], doc: string): Setting<T> => ({
  fallback,
  parse: (value) => {
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    throw new TypeError(`must be one of ${choices.join(', ')}`);
  },
  doc: `${doc} (${choices.join(' | ')})`,
});

const timeZone = (fallback: string, doc: string): Setting<string> => ({
  fallback,
  parse: (value) => {
    try {
      return new Intl.DateTimeFormat('en', { timeZone: value }) && value;
    } catch (cause) {
      throw new TypeError('must name a time zone such as Europe/Berlin', { cause });
    }
  },
  doc,
});

/** Links are this text and a path, so that it has nothing behind its own path. */
const optionalBase = (doc: string): Setting<string | undefined> => ({
  fallback: undefined,
  parse: (value) => {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    if (/^https?:$/.test(url?.protocol ?? '') && !/[?#@\s]|\/$/.test(value)) return value;
    throw new TypeError('must be an http or https URL without trailing slash, query, fragment and user');
  },
  doc,
});

/** THE table. */
export const SETTINGS = {
  HOST: text(
    '127.0.0.1',
    'Address to listen on. Without an identity provider (ISSUERS_DIR) only a loopback address is accepted.',
  ),
  PORT: whole(8080, 0, 65535, 'Port to listen on; 0 picks a free one.'),
  DATA_DIR: text('./data', 'Folder of the embedded database and the keys of this installation; survives restarts.'),
  MONGODB_URL: optionalText(
    'MongoDB replica set that holds the data instead of the embedded database, as `mongodb://a,b,c/firewatch?replicaSet=rs0` (docs/mongodb.md).',
  ),
  JOBS_DIR: optionalText(
    'Folder of the files of bulk exports, imports and asynchronous answers. With MONGODB_URL: one that every process reaches by this path; unset, exports and imports are refused there. Without: DATA_DIR.',
  ),
  PUBLIC_URL: optionalBase('Base in every link the server mints, without trailing slash. Default: http://HOST:PORT.'),
  SEED: oneOf<'demo' | 'none'>(
    'demo',
    ['demo', 'none'],
    'Load the synthetic patients of seed-data into an empty store at first start.',
  ),
  DATA_KEY_FILE: optionalText(
    'File with the passphrase that encrypts the database file; with MONGODB_URL: what the server encrypts before the database has it (docs/mongodb.md). Unset: not encrypted by the server.',
  ),
  RESERVE_MB: whole(
    128,
    0,
    65_536,
    'Room of DATA_DIR that is kept back in a file: on a full disk it is freed, so that reads are answered and recorded while writes are refused; the log, of up to 64 MB, has to fit into it. 0: none.',
  ),
  DATABASE_LIMIT_MB: whole(
    0,
    0,
    16_777_215,
    'Largest size of the embedded database in MB: beyond it writes are refused as on a full disk, and reads have RESERVE_MB more. 0: as large as the disk.',
  ),
  BODY_LIMIT_MB: whole(16, 1, 256, 'Largest request body in MB; above it 413.'),
  BUNDLE_ENTRY_LIMIT: whole(
    10_000,
    1,
    50_000,
    'Most entries in one batch or transaction, and in the Bundle of `$record`.',
  ),
  DEFAULT_COUNT: whole(50, 1, 1000, 'Page size when `_count` is not given.'),
  MAX_COUNT: whole(1000, 1, 10_000, 'Largest page size; a larger `_count` is lowered to it.'),
  CONDITIONAL_DELETE_LIMIT: whole(
    100,
    1,
    1000,
    'Most resources one conditional delete may delete; when more match, none is deleted (412).',
  ),
  INCLUDE_LIMIT: whole(2000, 1, 100_000, 'Most resources added to a page by `_include` and `_revinclude`.'),
  SEARCH_BUDGET_MS: whole(2000, 50, 60_000, 'Longest time one search may take; then it is refused with advice.'),
  REFERENTIAL_INTEGRITY: flag(false, 'Refuse references to resources of this server that are not held.'),
  ERASURE_REGISTER: optionalText(
    'File of the register of erasures; better outside DATA_DIR and its backups. Unset: erasures.ndjson in DATA_DIR.',
  ),
  DEIDENTIFICATION_KEY_FILE: optionalText(
    'File of at least 32 bytes by which ids in de-identified exports are made, so that two exports can be joined. Unset: each export has a key of its own, which is destroyed.',
  ),
  BREAK_GLASS_REVIEW_DAYS: whole(
    3,
    1,
    365,
    'Days after which a review of emergency access that is still open is overdue: counted in /metrics, and told in the log each day.',
  ),
  EXPORT_EXPIRY_HOURS: whole(24, 1, 720, 'Hours that the files of a finished bulk export or import are kept.'),
  IMPORT_LIMIT_MB: whole(20_480, 1, 1_048_576, 'Largest NDJSON body of one `$import` in MB; above it 413.'),
  EXPORT_UNENCRYPTED: flag(
    false,
    'Allow bulk export and import although DATA_KEY_FILE is set: their files are not encrypted by the server.',
  ),
  SEARCH_PARAMETERS_DIR: optionalText(
    'Folder of SearchParameter files (JSON, one each) that is followed while the server runs. Default: profiles/search.',
  ),
  MODELS_DIR: optionalText(
    'Folder of the models that answer, with the tables and schemas they share. Default: models. See docs/your-own-model.md.',
  ),
  INPUTS_WITHIN_MINUTES: list(
    'How far apart the inputs of a model may lie, as model=minutes; 0: no further limit than their windows. Older ones count as missing. Models that are not named: as their files say (news2: 60).',
    (part) => {
      if (!/^[a-z0-9-]{1,64}=\d{1,5}$/.test(part)) throw new TypeError('must hold pairs such as news2=60');
    },
  ),
  CDS_SERVICES_DIR: optionalText('Folder of the CDS service files with their schema.json. Default: cds-services.'),
  AUTHORIZATION: oneOf<'off' | 'embedded'>(
    'off',
    ['off', 'embedded'],
    'Whether this server issues access tokens itself: `embedded` is the SMART authorization server at PUBLIC_URL/oauth (docs/authorization-server.md).',
  ),
  ISSUERS_DIR: optionalText(
    'Folder with one JSON file per issuer of access tokens, as issuers/schema.json says; then every FHIR request needs a token (docs/authorization.md). Unset: loopback only, everything permitted.',
  ),
  ROLES_DIR: optionalText(
    'Folder with one JSON file per role of the site, as roles/schema.json says; they join those of roles/, and take the place of those of the same name (docs/authorization.md).',
  ),
  CONSENT_DEFAULT: optionalText(
    'JSON file with one Consent.provision (R4): what is denied, by purpose, class or whatever else, where no Consent of the patient permits it. Unset: nothing is (docs/authorization.md#consents).',
  ),
  CDS_CLIENTS_DIR: optionalText(
    'Folder with one JSON file per CDS client, as cds-services/clients/schema.json says; then every call needs its JWT. Unset: whoever reaches the server may call.',
  ),
  CDS_ORIGINS: list(
    'Origins of pages that may call `/cds-services`, besides those of registered clients.',
    (origin) => {
      if (!/^https?:\/\/[^/\s*]+$/.test(origin)) throw new TypeError('must hold origins such as https://ehr.example');
    },
  ),
  CDS_RECORD_DAYS: whole(
    365,
    1,
    3650,
    'Days that the basis of a card is kept, encrypted, for feedback and explanation.',
  ),
  CDS_BASIS_HOURS: whole(24, 1, 720, 'Hours that the page behind the link "Basis of this card" can be opened.'),
  CDS_SANDBOX: oneOf<'auto' | 'on' | 'off'>(
    'auto',
    ['auto', 'on', 'off'],
    'The page `/cds-sandbox` for trying services. auto: on where no CDS client and no issuer is registered; elsewhere it can only be off.',
  ),
  DRUG_SITE_MAP: optionalText(
    'JSON file with the drug codes and names of the site (local codes, NDC, SNOMED CT) and their ingredients; decision 0024.',
  ),
  SITE_TIME_ZONE: timeZone('UTC', 'Time zone whose midnight ends a day of the site, as `Europe/Berlin` (IANA).'),
  SURVEILLANCE: oneOf<'on' | 'off'>(
    'off',
    ['on', 'off'],
    'Judge each day by the definitions of surveillance after it has ended at the site, and store what is found.',
  ),
  SURVEILLANCE_DIR: optionalText('Folder of definitions of surveillance and their schema. Default: surveillance.'),
  OUTBOUND_ALLOW: optionalText(
    'What this server may call (endpoints of subscriptions): comma-separated origins with an optional path, as `https://hooks.example.org/notify`, ' +
      'and networks that names may resolve to although they are not public, as `10.20.0.0/16`. Unset: this machine only (loopback), any port.',
  ),
  SUBSCRIPTION_ATTEMPTS: whole(10, 1, 100, 'Failed attempts at one notification before its subscription is in error.'),
  SUBSCRIPTION_BACKOFF_MS: whole(
    1000,
    10,
    60_000,
    'Wait after the first failed attempt; it doubles with each, up to five minutes.',
  ),
  CDS_BODY_LIMIT_MB: whole(5, 1, 64, 'Largest body of a CDS Hooks call in MB; above it 413.'),
  CDS_HOOKS_3: flag(
    false,
    'Features of the CDS Hooks 3.0 ballot: versions in discovery, tokens in prefetch templates, actionSelectionBehavior for clients that are registered for it.',
  ),
  CDS_OVERRIDE_HOURS: whole(
    24,
    0,
    720,
    'Hours that an overridden finding stays quiet for its user when the same order is signed unchanged; 0: never quiet.',
  ),
  MONITORING: oneOf<'auto' | 'on' | 'off'>(
    'auto',
    ['auto', 'on', 'off'],
    'Score patients again when their record changes, by the rules of the folder monitoring; auto: on in the demonstration.',
  ),
  MONITORING_INTERVAL_MS: whole(5000, 100, 600_000, 'Least time between two scorings of one patient by monitoring.'),
  SEPSIS_ATTESTATION: optionalText(
    "The site's attestation of the sepsis model, as JSON or the path of a JSON file: docs/cds-hooks.md. Unset: no sepsis cards, alerts and evaluations outside the demonstration (SEED=demo on loopback, neither issuer nor CDS clients).",
  ),
  CDS_DEADLINE_MS: whole(2000, 50, 60_000, 'Deadline of one CDS Hooks call.'),
  REQUEST_TIMEOUT_MS: whole(30_000, 1000, 600_000, 'Longest time to receive a request.'),
  DRAIN_MS: whole(20_000, 0, 120_000, 'Longest wait for requests in flight on SIGTERM.'),
  METRICS: oneOf<'loopback' | 'open'>(
    'loopback',
    ['loopback', 'open'],
    'Who may read `GET /metrics`, which needs no token: programs of this machine, not through a proxy; or whoever reaches the server. It holds counts by names of the deployment, nothing of a request or patient.',
  ),
  LOG_LEVEL: oneOf<'error' | 'warn' | 'info' | 'debug'>(
    'info',
    ['error', 'warn', 'info', 'debug'],
    'Least severe log line written.',
  ),
} as const satisfies Record<string, Setting<unknown>>;

export type Config = { readonly [Name in keyof typeof SETTINGS]: ReturnType<(typeof SETTINGS)[Name]['parse']> };

/**
 * Settings from the environment.
 * @throws TypeError naming every variable that does not parse, and why
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>> = process.env): Config {
  const problems: string[] = [];
  const values = Object.entries(SETTINGS).map(([name, setting]: [string, Setting<unknown>]) => {
    const given = environment[name];
    if (given === undefined || given === '') return [name, setting.fallback];
    try {
      return [name, setting.parse(given)];
    } catch (error) {
      problems.push(`${name} ${error instanceof Error ? error.message : String(error)}`);
      return [name, setting.fallback];
    }
  });
  if (problems.length > 0) throw new TypeError(`Configuration: ${problems.join('; ')}.`);
  return Object.fromEntries(values) as Config;
}
