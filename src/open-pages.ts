/** The pages for people: public ones from the folders of the release, and the basis of a card, audited. */
import type { RequestHandler } from 'express';
import type { Cds } from './cds/cds.ts';
import { FhirError } from './fhir/outcome.ts';
import type { Guard } from './http/access.ts';
import { pageHandler } from './http/pages.ts';
import { basisPage, refusalPage } from './pages/basis-page.ts';
import { type CatalogueFolders, readCatalogue } from './pages/catalogue.ts';
import { document } from './pages/layout.ts';
import { PAGE_POLICY, type PageAnswer, publicPages } from './pages/pages.ts';
import type { Caller } from './rest/context.ts';

/** `cds` of the composition root, as far as pages need it. */
export type PageSource = Pick<Cds, 'basis' | 'refuse'>;

const HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': PAGE_POLICY,
  'Cache-Control': 'no-store',
  'Referrer-Policy': 'no-referrer',
} as const;

/** @throws Error naming a file of the release that is missing or malformed */
export function openPages(folders: CatalogueFolders, cds: PageSource, guard: Guard): RequestHandler {
  const catalogue = readCatalogue(folders);
  const pages = publicPages({ catalogue, assets: folders.pages, sandbox: undefined });
  /** Unknown and expired handles look alike; whatever is refused is audited. */
  const basis = async (handle: string, caller: Caller, refused: FhirError | undefined): Promise<PageAnswer> => {
    try {
      if (refused !== undefined) throw refused;
      const page = basisPage(await cds.basis(handle, caller), catalogue);
      return { status: 200, headers: HEADERS, body: document(page, false) };
    } catch (error) {
      if (!(error instanceof FhirError)) throw error;
      const { status } = await cds.refuse(error, caller);
      return { status, headers: HEADERS, body: document(refusalPage(status), false) };
    }
  };
  return pageHandler({ pages, basis, guard });
}
