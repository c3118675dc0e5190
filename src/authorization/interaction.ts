/** What happens between an authorization request and its answer: sign-in, choice of a patient, consent. Source: SMART App Launch 2.2; oidc-provider's interactions. */
import type { InteractionResults, Provider } from 'oidc-provider';
import { isForPatients, PATIENT_ROLE } from '../smart/scopes.ts';
import type { ResourceStore } from '../store/port.ts';
import type { Clients } from './clients.ts';
import { BTG, EMERGENCY_S, hasSignedInFor, leftInEmergency, opensData, reasonIn, sealedAs } from './emergency.ts';
import { narrowed } from './granular.ts';
import type { LaunchContext, Launches } from './launch.ts';
import { isCurrent } from './launch-request.ts';
import {
  codePage,
  consentPage,
  emergencyPage,
  encounterPage,
  errorPage,
  loginPage,
  PAGE_HEADERS,
  type PatientChoice,
  pageHeaders,
  patientPage,
} from './pages.ts';
import { GRANT_S } from './provider.ts';
import { isAllowed, LAUNCH_SCOPES, needsPatient, parseScope } from './scope.ts';
import type { Seal } from './seal.ts';
import type { SignedIn, SignIn } from './sign-in.ts';
import type { AuditOf, Peer } from './trail.ts';
import type { UserRecord, Users } from './users.ts';

export type Incoming = Parameters<Provider['interactionDetails']>[0];
export type Outgoing = Parameters<Provider['interactionDetails']>[1];
type Details = Awaited<ReturnType<Provider['interactionDetails']>>;

/** An answer of ours, as against one that oidc-provider writes. */
export interface PageAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Patients, through the door with the user's own rights. */
export interface PatientDesk {
  find(name: string, user: UserRecord, peer: Peer): Promise<readonly PatientChoice[]>;
  /** undefined when there is none that the user may read. */
  read(id: string, user: UserRecord, peer: Peer): Promise<PatientChoice | undefined>;
  /** The newest encounters of a patient that the user may read. */
  encounters(patient: string, user: UserRecord, peer: Peer): Promise<readonly PatientChoice[]>;
}

export interface InteractionGround {
  readonly provider: Provider;
  readonly fhirBase: string;
  readonly store: ResourceStore;
  readonly clients: Clients;
  readonly users: Users;
  readonly launches: Launches;
  readonly signIn: SignIn;
  readonly patients: PatientDesk;
  readonly audit: AuditOf;
  readonly seal: Seal;
  /** What a role leaves of `patient/` scopes in an emergency; '' = it may not break the glass. */
  emergencyLetters(role: string): string;
  now(): number;
}

interface Asked {
  readonly details: Details;
  readonly uid: string;
  readonly request: Incoming;
  readonly response: Outgoing;
  readonly peer: Peer;
  readonly client: { readonly id: string; readonly name: string };
}

const html = (body: string, headers: Readonly<Record<string, string>> = PAGE_HEADERS, status = 200): PageAnswer => ({
  status,
  headers: { ...headers, 'Content-Type': 'text/html; charset=utf-8' },
  body,
});

const NO_REASON = 'Choose why; in your words, where the choice does not say it.';
/** As long as a code and the token it gives, s. */
const EMERGENCY_KEPT_S = EMERGENCY_S + 300;

/** Why emergency access is refused before its page is shown; for the app and the audit. */
function emergencyProblem(details: Details, letters: string, scopes: readonly string[]): string | undefined {
  if (!hasSignedInFor(details)) return 'emergency access needs a sign-in with both factors';
  if (letters === '') return 'the role may not break the glass';
  return scopes.some(opensData) ? undefined : 'emergency access needs a patient/ scope';
}

/** Said by the form instead of an id: `-` begins none that we make. */
const NO_ENCOUNTER = '-none-';

export class Interactions {
  readonly #ground: InteractionGround;

  constructor(ground: InteractionGround) {
    this.#ground = ground;
  }

  /** @param form undefined: the page is asked for; otherwise a step is taken */
  async answer(
    uid: string,
    request: Incoming,
    response: Outgoing,
    form: URLSearchParams | undefined,
    peer: Peer,
  ): Promise<PageAnswer> {
    const details = await this.#ground.provider.interactionDetails(request, response).catch(() => undefined);
    if (details === undefined || details.uid !== uid) return html(errorPage('invalid_request'), PAGE_HEADERS, 400);
    const id = String(details.params.client_id);
    const client = { id, name: (await this.#ground.clients.find(id))?.name ?? id };
    const asked: Asked = { details, uid, request, response, peer, client };
    const step = form?.get('step') ?? '';
    if (step === 'cancel')
      return this.#finished(asked, { error: 'access_denied', error_description: 'the user cancelled' });
    return details.prompt.name === 'login' ? this.#login(asked, step, form) : this.#consent(asked, step, form);
  }

  async #login(asked: Asked, step: string, form: URLSearchParams | undefined): Promise<PageAnswer> {
    const { signIn } = this.#ground;
    const { uid, client, peer } = asked;
    const page = (body: string, status = 200) => html(body, pageHeaders(asked.details.params.redirect_uri), status);
    if (form === undefined) return page((await signIn.waitsForCode(uid)) ? codePage() : loginPage(client.name));
    const signed: SignedIn =
      step === 'code'
        ? await signIn.code(uid, client.id, form.get('code') ?? '', peer)
        : await signIn.password(uid, client.id, form.get('name') ?? '', form.get('password') ?? '', peer);
    switch (signed.state) {
      case 'refused':
        return page(loginPage(client.name, signed.problem), 401);
      case 'code':
        return page(codePage(signed.problem), signed.problem === undefined ? 200 : 401);
      case 'in': {
        const { user, factors } = signed;
        return this.#finished(asked, { login: { accountId: user.id, amr: [...factors] } });
      }
      default:
        return signed satisfies never;
    }
  }

  async #consent(asked: Asked, step: string, form: URLSearchParams | undefined): Promise<PageAnswer> {
    const { details, client, peer } = asked;
    const page = (body: string, status = 200) => html(body, pageHeaders(details.params.redirect_uri), status);
    const user = await this.#ground.users.byId(details.session?.accountId ?? '');
    if (user === undefined) return html(errorPage('access_denied'), PAGE_HEADERS, 403);
    const isEmergency = details.params.purpose_of_use === BTG;
    const letters = isEmergency ? this.#ground.emergencyLetters(user.role) : '';
    const askable = await this.#askable(asked, user.role);
    const scopes = isEmergency ? leftInEmergency(askable, letters) : askable;
    if (isEmergency) {
      const problem = emergencyProblem(details, letters, scopes);
      if (problem !== undefined) return this.#refused(asked, user, problem);
    }
    const reason = isEmergency ? reasonIn(form) : undefined;
    if (isEmergency && reason === undefined)
      return page(emergencyPage(client.name, form === undefined ? undefined : NO_REASON));
    const context = await this.#context(asked, scopes, user);
    if (context === undefined)
      return this.#finished(asked, { error: 'access_denied', error_description: 'the launch is of another user' });
    const isPicked = context.patient === undefined && scopes.some(needsPatient);
    const id = isPicked ? (form?.get('patient') ?? '') : context.patient;
    const patient = id === undefined || id === '' ? undefined : await this.#patient(id, user, peer, isEmergency);
    if (isPicked && patient === undefined) {
      const search = step === 'search' ? (form?.get('search') ?? '').trim().slice(0, 100) : '';
      const found = search === '' ? undefined : await this.#ground.patients.find(search, user, peer);
      return page(
        patientPage(
          client.name,
          found,
          step === 'patient' ? 'This patient is not available to you.' : undefined,
          reason,
        ),
      );
    }
    if (context.patient !== undefined && patient === undefined)
      return this.#finished(asked, {
        error: 'access_denied',
        error_description: 'the patient is not available to the user',
      });
    const isOpen = scopes.includes('launch/encounter') && context.encounter === undefined && !scopes.includes('launch');
    const choices =
      isOpen && patient !== undefined ? await this.#ground.patients.encounters(patient.id, user, peer) : [];
    const picked = form?.get('encounter') ?? '';
    const encounter = choices.find(({ id: each }) => each === picked);
    if (choices.length > 0 && encounter === undefined && picked !== NO_ENCOUNTER)
      return page(encounterPage(client.name, patient, choices));
    if (step !== 'consent') {
      const chosen = choices.length === 0 ? undefined : (encounter ?? { id: NO_ENCOUNTER, label: 'none' });
      return page(consentPage({ client: client.name, user: user.name, scopes, patient, encounter: chosen, reason }));
    }
    return this.#decided(asked, user, narrowed(scopes, new Set(form?.getAll('scope') ?? [])), {
      ...context,
      ...(patient === undefined ? {} : { patient: patient.id }),
      ...(encounter === undefined ? {} : { encounter: encounter.id }),
      ...(reason === undefined ? {} : { emergency: reason }),
    });
  }

  /** What the user may read; in an emergency also what is hidden from them, which shows no more than that it is there. */
  async #patient(id: string, user: UserRecord, peer: Peer, isEmergency: boolean): Promise<PatientChoice | undefined> {
    const seen = await this.#ground.patients.read(id, user, peer);
    if (seen !== undefined || !isEmergency || !/^[A-Za-z0-9\-.]{1,64}$/.test(id)) return seen;
    return (await isCurrent('Patient', id, this.#ground.store)) ? { id, label: `Record ${id}` } : undefined;
  }

  /** Recorded, then told to the app. */
  async #refused(asked: Asked, user: UserRecord, problem: string): Promise<PageAnswer> {
    const { store, audit } = this.#ground;
    const { peer, client } = asked;
    const event = { interaction: 'consent', peer, client: client.id, user: user.fhirUser } as const;
    await store.commit({ commands: [], audit: [audit({ ...event, status: 403, description: problem })] });
    return this.#finished(asked, { error: 'access_denied', error_description: problem });
  }

  /** What was asked for and may be granted to this client in the name of a user. */
  async #askable({ details, client }: Asked, role: string): Promise<readonly string[]> {
    const registered = (await this.#ground.clients.find(client.id))?.scopes ?? [];
    return [...new Set(String(details.params.scope ?? '').split(' '))].filter((scope) => {
      const parsed = parseScope(scope);
      const isFitting = parsed === undefined || role !== PATIENT_ROLE || isForPatients(parsed);
      return isFitting && isAllowed(scope, registered) && parsed?.context !== 'system';
    });
  }

  /** The EHR's context, or the patient that the user is; undefined when the launch is not for this user. */
  async #context({ details }: Asked, scopes: readonly string[], user: UserRecord): Promise<LaunchContext | undefined> {
    const handle = details.params.launch;
    if (scopes.includes('launch') && typeof handle === 'string') {
      const launch = await this.#ground.launches.find(handle);
      if (launch === undefined || (launch.user !== undefined && launch.user !== user.fhirUser)) return undefined;
      const { client: _client, user: _user, ...context } = launch;
      return context;
    }
    return user.fhirUser.startsWith('Patient/') ? { patient: user.fhirUser.slice('Patient/'.length) } : {};
  }

  async #decided(
    asked: Asked,
    user: UserRecord,
    granted: readonly string[],
    context: LaunchContext,
  ): Promise<PageAnswer> {
    const { provider, fhirBase, launches, store, audit, seal, now } = this.#ground;
    const { details, client, peer } = asked;
    const event = {
      interaction: 'consent',
      peer,
      client: client.id,
      user: user.fhirUser,
      patient: context.patient,
    } as const;
    const { emergency } = context;
    const isUseful = (scope: string): boolean =>
      opensData(scope) || (emergency === undefined && (scope === 'openid' || scope.startsWith('launch')));
    if (!granted.some(isUseful)) {
      await store.commit({ commands: [], audit: [audit({ ...event, status: 403, description: 'nothing granted' })] });
      return this.#finished(asked, { error: 'access_denied', error_description: 'nothing was allowed' });
    }
    const grant = new provider.Grant({ accountId: user.id, clientId: client.id });
    const asking = String(details.params.scope ?? '')
      .split(' ')
      .filter((each) => each !== '');
    const parts = granted.filter((scope) => !asking.includes(scope));
    if (parts.length > 0) {
      // What a user has narrowed is what was asked for, from here on: the library grants nothing else.
      details.params.scope = [...asking, ...parts].join(' ');
      await details.persist();
    }
    for (const scope of [...asking, ...parts]) {
      const isLaunch = Object.hasOwn(LAUNCH_SCOPES, scope);
      if (granted.includes(scope)) {
        grant.addResourceScope(fhirBase, scope);
        if (isLaunch) grant.addOIDCScope(scope);
      } else {
        grant.rejectResourceScope(fhirBase, scope);
        if (isLaunch) grant.rejectOIDCScope(scope);
      }
    }
    const grantId = await grant.save();
    const handle =
      granted.includes('launch') && typeof details.params.launch === 'string' ? details.params.launch : undefined;
    const taken = handle === undefined ? undefined : await launches.take(handle);
    const until = now() + (emergency === undefined ? GRANT_S : EMERGENCY_KEPT_S) * 1000;
    const { code, text } = emergency ?? {};
    const kept: LaunchContext =
      code === undefined
        ? context
        : { ...context, emergency: { code, text: text && seal.close(text, sealedAs(grantId)) } };
    const said = [...(code === undefined ? [] : [`${BTG} ${code}:`]), ...granted].join(' ');
    const session = granted.includes('offline_access') ? undefined : details.session?.uid;
    const { ok } = await store.commit({
      commands: [
        ...(taken === undefined ? [] : [taken]),
        launches.keep(grantId, kept, until),
        ...(session === undefined ? [] : [launches.bind(session, grantId, until)]),
      ],
      audit: [audit({ ...event, status: 200, description: said })],
    });
    if (!ok || (handle !== undefined && taken === undefined))
      return this.#finished(asked, { error: 'access_denied', error_description: 'the launch was used' });
    return this.#finished(asked, { consent: { grantId } });
  }

  /** Back to oidc-provider, which goes on with the request. */
  async #finished({ request, response }: Asked, result: InteractionResults): Promise<PageAnswer> {
    const location = await this.#ground.provider.interactionResult(request, response, result);
    return { status: 303, headers: { Location: location, 'Cache-Control': 'no-store' }, body: '' };
  }
}
