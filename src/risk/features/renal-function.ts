/**
 * Kidney function of adults with steady creatinine. Sources: Inker 2021, N Engl J Med 385:1737 (CKD-EPI 2021, without race);
 * Cockcroft 1976, Nephron 16:31; Devine 1974 (ideal weight); Winter 2012, Pharmacotherapy 32:604 (which weight); KDIGO 2012 (acute kidney injury).
 */

export type Sex = 'female' | 'male';

/** mL/min/1.73 m2. @param creatinine mg/dL, above 0 @param age years, from 18 on */
export function ckdEpi2021(creatinine: number, age: number, sex: Sex): number {
  const female = sex === 'female';
  const ratio = creatinine / (female ? 0.7 : 0.9);
  const low = Math.min(ratio, 1) ** (female ? -0.241 : -0.302);
  return 142 * low * Math.max(ratio, 1) ** -1.2 * 0.9938 ** age * (female ? 1.012 : 1);
}

/** Devine's ideal weight in kg; undefined below 152.4 cm (5 ft), where the formula was not made for. */
export function idealWeight(heightCm: number, sex: Sex): number | undefined {
  if (heightCm < 152.4) return undefined;
  return (sex === 'female' ? 45.5 : 50) + (2.3 * (heightCm - 152.4)) / 2.54;
}

export interface DosingWeight {
  readonly kg: number;
  readonly basis: 'actual' | 'ideal' | 'adjusted';
}

/**
 * The weight for Cockcroft-Gault: actual below the ideal weight or when there is no ideal one, ideal up to 120 % of it, beyond that adjusted
 * (ideal + 0.4 x excess).
 */
export function dosingWeight(actualKg: number, heightCm: number | undefined, sex: Sex): DosingWeight {
  const ideal = heightCm === undefined ? undefined : idealWeight(heightCm, sex);
  if (ideal === undefined || actualKg < ideal) return { kg: actualKg, basis: 'actual' };
  if (actualKg <= 1.2 * ideal) return { kg: ideal, basis: 'ideal' };
  return { kg: ideal + 0.4 * (actualKg - ideal), basis: 'adjusted' };
}

/** mL/min. @param creatinine mg/dL @param age years @param kg weight by {@link dosingWeight} */
export function cockcroftGault(creatinine: number, age: number, kg: number, sex: Sex): number {
  return (((140 - age) * kg) / (72 * creatinine)) * (sex === 'female' ? 0.85 : 1);
}

export interface Measured {
  readonly value: number;
  /** ms since 1970. */
  readonly at: number;
}

const DAY_MS = 86_400_000;
/** A rise of 0.3 mg/dL within 48 hours, or to 1.5 times the lowest value of 7 days (KDIGO 2012). @param creatinines mg/dL, newest first */
export function isRisingCreatinine(creatinines: readonly Measured[]): boolean {
  const [latest, ...earlier] = creatinines;
  if (latest === undefined) return false;
  return earlier.some(
    ({ value, at }) =>
      (latest.at - at <= 2 * DAY_MS && latest.value - value >= 0.3 - 1e-9) ||
      (latest.at - at <= 7 * DAY_MS && latest.value >= 1.5 * value),
  );
}
