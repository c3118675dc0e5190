/** `Location.near`: distance on a sphere. Source: location.html#search (`latitude|longitude|distance|units`, units default to km). */
import { fhirError } from '../outcome.ts';
import { canonicalQuantity, preciseNumber } from '../quantity.ts';
import type { ParameterKey, Predicate } from './algebra.ts';
import { splitUnescaped, unescaped } from './value.ts';

/** Mean radius of the Earth, m (IUGG). */
export const EARTH_RADIUS = 6_371_008.8;
/** The unit that lengths are converted to. */
const LENGTH = canonicalQuantity(1, 'm')?.unit;
/** What the specification leaves to the server: the distance when none is given, km. */
const DEFAULT_DISTANCE = '10';

/** Keys of the rows that hold a position; numbers of degrees. */
export const latitudeKey = (parameter: ParameterKey): ParameterKey => `${parameter}:latitude`;
export const longitudeKey = (parameter: ParameterKey): ParameterKey => `${parameter}:longitude`;

/** @throws FhirError `value` (400) when it is not of the grammar, or off the globe */
export function nearPredicate(value: string, parameter: ParameterKey): Predicate {
  const [lat = '', lon = '', distance = '', unit = '', ...more] = splitUnescaped(value, '|').map(unescaped);
  const [latitude, longitude, radius] = [lat, lon, distance || DEFAULT_DISTANCE].map(
    (text) => preciseNumber(text)?.value,
  );
  const metres = radius === undefined ? undefined : canonicalQuantity(radius, unit || 'km');
  if (
    latitude === undefined ||
    longitude === undefined ||
    more.length > 0 ||
    Math.abs(latitude) > 90 ||
    Math.abs(longitude) > 180 ||
    metres === undefined ||
    metres.unit !== LENGTH ||
    metres.value < 0
  ) {
    throw fhirError(
      'value',
      'A value of `near` is not of the form latitude|longitude[|distance[|length unit of UCUM]], in degrees.',
    );
  }
  return { kind: 'near', parameter, latitude, longitude, metres: metres.value };
}
