/** The sandbox: a small EHR that opens a chart, drafts and signs orders, and shows what CDS Hooks answers. It uses the public API only. */
import { cardView } from './card-view.js';
import { button, element, jsonBlock } from './dom.js';
import { bundleOf, call, discover, draftOrder, read } from './hooks.js';

const by = (id) => document.getElementById(id);
const page = {
  status: by('status'),
  patient: by('patient'),
  user: by('user'),
  open: by('open'),
  chart: by('chart'),
  drug: by('drug'),
  text: by('drug-text'),
  orders: by('orders'),
  sign: by('sign'),
  cards: by('cards'),
  calls: by('calls'),
  services: by('services'),
};
const state = {
  services: [],
  patients: new Map(),
  drugs: [],
  patient: undefined,
  encounter: undefined,
  drafts: [],
  next: 1,
};

const say = (words) => page.status.replaceChildren(words);
const nameOf = ({ name: [name = {}] = [], id }) =>
  name.text ?? ([...(name.given ?? []), name.family].filter(Boolean).join(' ') || id);

/** One call and its answer, newest first. */
function log({ method, path, body, status, value, ms }, cards) {
  const about = `${method} ${path}: ${status}, ${ms} ms${cards.length > 0 ? `, ${cards.length} card${cards.length === 1 ? '' : 's'}` : ''}`;
  const entry = element('details', {}, element('summary', {}, about));
  if (body !== undefined) entry.append(element('h3', {}, 'Request'), jsonBlock('Request', body));
  entry.append(element('h3', {}, 'Answer'), jsonBlock('Answer', value ?? ''));
  page.calls.prepend(element('li', {}, entry));
}

const ORDER = { critical: 0, warning: 1, info: 2 };

/** Every service of a hook at once; cards replace those of the hook before. */
async function fire(hook, more) {
  const services = state.services.filter((service) => service.hook === hook);
  say(`Asking ${services.length} services on ${hook} ...`);
  const started = performance.now();
  const context = { userId: page.user.value, patientId: state.patient, ...more };
  if (state.encounter !== undefined) context.encounterId = state.encounter;
  const answers = await Promise.all(
    services.map(async (service) => ({ service, answer: await call(service, context) })),
  );
  const ms = Math.round(performance.now() - started);
  const shown = answers.flatMap(({ service, answer }) => {
    const cards = answer.value?.cards ?? [];
    log(answer, cards);
    return cards.map((card) => ({ card, service: service.id }));
  });
  shown.sort((one, other) => ORDER[one.card.indicator] - ORDER[other.card.indicator]);
  const act = { apply, log };
  const views = shown.map(({ card, service }) => cardView(card, service, act));
  page.cards.replaceChildren(...(views.length > 0 ? views : [element('p', { class: 'empty' }, 'No cards.')]));
  const failed = answers.filter(({ answer }) => answer.status !== 200).length;
  say(
    `${shown.length} card${shown.length === 1 ? '' : 's'} on ${hook}, answered in ${ms} ms${failed > 0 ? `; ${failed} calls were refused` : ''}.`,
  );
}

/** What an accepted suggestion does to the drafts of this page; nothing is written to the store. */
function apply({ type, resourceId, resource }) {
  const reference = ({ resourceType, id }) => `${resourceType}/${id}`;
  if (type === 'delete') state.drafts = state.drafts.filter((draft) => reference(draft) !== resourceId);
  if (type === 'update')
    state.drafts = state.drafts.map((draft) => (reference(draft) === reference(resource) ? resource : draft));
  if (type === 'create') state.drafts = [...state.drafts, { ...resource, id: resource.id ?? `draft-${state.next++}` }];
  showDrafts();
}

const wordsOf = ({ resourceType, id, medicationCodeableConcept, code }) =>
  medicationCodeableConcept?.text ??
  medicationCodeableConcept?.coding?.[0]?.display ??
  code?.text ??
  code?.coding?.[0]?.display ??
  `${resourceType}/${id}`;

function showDrafts() {
  const items = state.drafts.map((draft) => {
    const words = wordsOf(draft);
    const remove = button('Remove', 'quiet', () =>
      apply({ type: 'delete', resourceId: `${draft.resourceType}/${draft.id}` }),
    );
    remove.setAttribute('aria-label', `Remove ${words}`);
    return element('li', {}, element('span', {}, words), remove);
  });
  page.orders.replaceChildren(...(items.length > 0 ? items : [element('li', { class: 'empty' }, 'No draft orders.')]));
  page.sign.disabled = items.length === 0;
}

async function openChart() {
  state.patient = page.patient.value;
  state.drafts = [];
  showDrafts();
  page.cards.replaceChildren();
  const current = await read(
    `/fhir/Encounter?patient=${encodeURIComponent(state.patient)}&status=in-progress&_count=1`,
  );
  state.encounter = current.value?.entry?.[0]?.resource?.id;
  const { birthDate = 'no birth date', gender = 'no sex', ...patient } = state.patients.get(state.patient);
  by('chart-name').replaceChildren(nameOf(patient));
  by('chart-facts').replaceChildren(`${gender}, born ${birthDate}, Patient/${state.patient}`);
  page.chart.hidden = false;
  await fire('patient-view', {});
}

async function order() {
  const drug = state.drugs[Number(page.drug.value)];
  const draft = draftOrder(`draft-${state.next++}`, state.patient, drug, page.text.value.trim() || drug.name);
  state.drafts = [...state.drafts, draft];
  showDrafts();
  await fire('order-select', {
    selections: [`MedicationRequest/${draft.id}`],
    draftOrders: bundleOf(state.drafts),
  });
}

const sign = () => fire('order-sign', { draftOrders: bundleOf(state.drafts) });

/** A refusal or a lost connection is said, never silent. */
const told = (work) => (event) => {
  event?.preventDefault();
  work().catch(() => say('The server did not answer.'));
};

function showServices() {
  const rows = state.services.map(({ id, hook, title, description }) =>
    element(
      'div',
      {},
      element('dt', {}, title),
      element('dd', {}, element('code', {}, id), ` on ${hook}. ${description}`),
    ),
  );
  page.services.replaceChildren(...rows);
}

async function start() {
  const [services, patients, drugs] = await Promise.all([
    discover(),
    read('/fhir/Patient?_count=100&_sort=family'),
    read('/cds-sandbox/drugs.json'),
  ]);
  state.services = services.value?.services ?? [];
  state.drugs = drugs.value ?? [];
  for (const { resource } of patients.value?.entry ?? []) state.patients.set(resource.id, resource);
  page.patient.replaceChildren(
    ...[...state.patients.values()].map((patient) =>
      element('option', { value: patient.id }, `${nameOf(patient)} (${patient.id})`),
    ),
  );
  page.drug.replaceChildren(...state.drugs.map(({ name }, index) => element('option', { value: String(index) }, name)));
  const word = () => {
    page.text.value = state.drugs[Number(page.drug.value)]?.text ?? '';
  };
  page.drug.addEventListener('change', word);
  word();
  showServices();
  page.open.disabled = state.patients.size === 0;
  by('choose').addEventListener('submit', told(openChart));
  by('order').addEventListener('submit', told(order));
  page.sign.addEventListener('click', told(sign));
  say(
    state.patients.size === 0
      ? 'There are no patients: start with SEED=demo, or store some.'
      : `${state.patients.size} patients, ${state.services.length} services. Choose a patient and open the chart.`,
  );
}

told(start)();
