/** The pages for people: public ones from the folders of the release, and the basis of a card, audited. */
import type { RequestHandler } from 'express';
import type { Cds } from '../cds/cds.ts';
import type { Config } from '../config.ts';
import { isOpen } from '../demonstration.ts';
import { FhirError } from '../fhir/outcome.ts';
import type { Guard } from '../http/access.ts';
import { pageHandler } from '../http/pages.ts';
import { basisPage, refusalPage } from '../pages/basis-page.ts';
import { type CatalogueFolders, readCatalogue } from '../pages/catalogue.ts';
import { readDrugList } from '../pages/drug-list.ts';
import { document } from '../pages/layout.ts';
import { PAGE_POLICY, type PageAnswer, publicPages } from '../pages/pages.ts';
import { SANDBOX_PAGE } from '../pages/sandbox-page.ts';
import type { Caller } from '../rest/context.ts';

/** `cds` of the composition root, as far as pages need it. */
export type PageSource = Pick<Cds, 'basis' | 'refuse'>;

const HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': PAGE_POLICY,
  'Cache-Control': 'no-store',
  'Referrer-Policy': 'no-referrer',
} as const;

/** Where tokens or clients are asked for, a page without them could call nothing. @throws TypeError when it is asked for all the same */
export function sandboxIsOn(setting: Config['CDS_SANDBOX'], open: boolean): boolean {
  if (setting === 'on' && !open) {
    throw new TypeError('CDS_SANDBOX=on: with CDS clients or issuers the sandbox has no token to call with.');
  }
  return setting !== 'off' && open;
}

export interface PageParts {
  readonly folders: CatalogueFolders;
  readonly config: Config;
  readonly cds: PageSource;
  /** Of pages that show a patient's data. */
  readonly guard: Guard;
  /** FHIR is for requests with an access token. */
  readonly asksTokens: boolean;
}

/** @throws Error naming a file of the release that is missing or malformed, TypeError for a setting that cannot be kept */
export function openPages({ folders, config, cds, guard, asksTokens }: PageParts): RequestHandler {
  const isOn = sandboxIsOn(config.CDS_SANDBOX, isOpen(config, asksTokens));
  const catalogue = readCatalogue(
    { ...folders, models: config.MODELS_DIR ?? folders.models },
    config.INPUTS_WITHIN_MINUTES,
  );
  const drugs = () => JSON.stringify(readDrugList(folders.pages, folders.knowledge));
  const sandbox = isOn ? { page: SANDBOX_PAGE, drugs: drugs() } : undefined;
  const pages = publicPages({ catalogue, assets: folders.pages, sandbox });
  /** Unknown and expired handles look alike; whatever is refused is audited. */
  const basis = async (handle: string, caller: Caller, refused: FhirError | undefined): Promise<PageAnswer> => {
    try {
      if (refused !== undefined) throw refused;
      const page = basisPage(await cds.basis(handle, caller), catalogue);
      return { status: 200, headers: HEADERS, body: document(page, isOn) };
    } catch (error) {
      if (!(error instanceof FhirError)) throw error;
      const { status } = await cds.refuse(error, caller);
      return { status, headers: HEADERS, body: document(refusalPage(status), isOn) };
    }
  };
  return pageHandler({ pages, basis, guard });
}
