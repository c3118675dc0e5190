/** Where the files are that come with the server. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project folder, from `src/` as from `dist/`. */
const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const FOLDERS = {
  definitions: join(ROOT, 'profiles'),
  topics: join(ROOT, 'profiles', 'topic'),
  capability: join(ROOT, 'capability-statement.json'),
  searchParameters: join(ROOT, 'profiles', 'search'),
  cdsServices: join(ROOT, 'cds-services'),
  knowledge: join(ROOT, 'knowledge'),
  models: join(ROOT, 'models'),
  monitoring: join(ROOT, 'monitoring'),
  pages: join(ROOT, 'pages'),
  seedData: join(ROOT, 'seed-data'),
  issuers: join(ROOT, 'issuers'),
  deidentification: join(ROOT, 'deidentification'),
  roles: join(ROOT, 'roles'),
  labels: join(ROOT, 'security-labels'),
} as const;
