/** Distance as SQL: a band of latitudes is one index range, the rest is the haversine. SQLite has the mathematics built in. */
import type { Predicate } from '../../fhir/search/algebra.ts';
import { EARTH_RADIUS, latitudeKey, longitudeKey } from '../../fhir/search/near.ts';
import type { Dictionary } from './dictionary.ts';
import { KIND } from './message.ts';
import { type Sql, sql } from './sql.ts';

type Near = Extract<Predicate, { kind: 'near' }>;

/** Rounding must not lose a point on the rim of the band, degrees. */
const MARGIN = 1e-9;

/** Whether the position of a known resource is near enough. */
export function nearHolds(where: Near, rid: Sql, dictionary: Dictionary): Sql {
  const [latitudes, longitudes] = keysOf(where, dictionary);
  const angle = Math.min(where.metres / EARTH_RADIUS, Math.PI);
  const most = Math.sin(angle / 2) ** 2;
  const { latitude, longitude } = where;
  const haversine = sql`(pow(sin(radians(la.a - ${latitude}) / 2), 2) + cos(radians(la.a)) * cos(radians(${latitude})) * pow(sin(radians(lo.a - ${longitude}) / 2), 2))`;
  return sql`EXISTS(SELECT 1 FROM entry la CROSS JOIN entry lo WHERE la.rid=${rid} AND la.parameter=${latitudes} AND la.kind=${KIND.quantity} AND lo.rid=${rid} AND lo.parameter=${longitudes} AND lo.kind=${KIND.quantity} AND ${haversine} <= ${most})`;
}

/** `SELECT rid` of the resources near enough. */
export function nearSeek(where: Near, dictionary: Dictionary): Sql {
  const [latitudes] = keysOf(where, dictionary);
  const band = (Math.min(where.metres / EARTH_RADIUS, Math.PI) * 180) / Math.PI + MARGIN;
  const unit = dictionary.number('unit', '');
  const rid = { text: 'q.rid', values: [] };
  return sql`SELECT q.rid AS rid FROM quantity q WHERE q.parameter=${latitudes} AND q.unit=${unit} AND q.low >= ${where.latitude - band} AND q.low <= ${where.latitude + band} AND tick() AND ${nearHolds(where, rid, dictionary)}`;
}

function keysOf({ parameter }: Near, dictionary: Dictionary): readonly [latitudes: number, longitudes: number] {
  return [
    dictionary.number('parameter', latitudeKey(parameter)),
    dictionary.number('parameter', longitudeKey(parameter)),
  ];
}
