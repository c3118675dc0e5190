/** The pages for people, from the folders of the release. */

import { type CatalogueFolders, readCatalogue } from './pages/catalogue.ts';
import { type PublicPages, publicPages } from './pages/pages.ts';

/** @throws Error naming a file of the release that is missing or malformed */
export function openPages(folders: CatalogueFolders): PublicPages {
  const catalogue = readCatalogue(folders);
  return publicPages({ catalogue, assets: folders.pages, sandbox: undefined });
}
