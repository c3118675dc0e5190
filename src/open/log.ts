/** The log of this process, with the names that its lines may hold. */
import type { Cds } from '../cds/cds.ts';
import type { Config } from '../config.ts';
import type { Definitions } from '../fhir/definitions/definitions.ts';
import { ROUTES } from '../http/app.ts';
import type { Ambient } from '../rest/context.ts';
import { createLog, type Log } from '../telemetry/log.ts';

interface LogGround {
  readonly definitions: Definitions;
  readonly ambient: Ambient;
}

/** @param models ids of models @param cds undefined until the services are known */
export function openLog(config: Config, ground: LogGround, models: Iterable<string> = [], cds?: Cds): Log {
  const services = [...(cds?.services.values() ?? [])];
  return createLog({
    level: config.LOG_LEVEL,
    now: ground.ambient.now,
    vocabulary: {
      resourceTypes: ground.definitions.resourceTypes,
      routes: ROUTES,
      hooks: new Set(services.map(({ hook }) => hook)),
      services: new Set([...services.map(({ id }) => id), ...(cds?.withheld ?? [])]),
      models: new Set(models),
    },
  });
}
