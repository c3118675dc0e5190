/**
 * Numbers of searches and UCUM units. Source: search.html#number, #quantity; ucum.org; conversion factors from @lhncbc/ucum-lhc,
 * loaded on first use (about 20 ms, 8 MB, measured on Node 24) and asked once for each unit code.
 */
import { createRequire } from 'node:module';

export const UCUM = 'http://unitsofmeasure.org';

/** A search number: its value and, for `eq`, the interval [low, high) of its implicit precision. */
export interface Precise {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const NUMBER = /^([+-]?)(\d{1,40})(?:\.(\d{1,40}))?(?:[eE]([+-]?\d{1,3}))?$/;

/**
 * Value and implicit precision of a number text: 100 is [99.5, 100.5), 100.00 is [99.995, 100.005), 1e2 is [95, 105) (search.html#number).
 * The bounds are computed in decimal, so that 5.4 has exactly the double 5.35 as its lower bound.
 * @returns undefined when it is not a number, has more than 40 digits or an exponent beyond 300
 */
export function preciseNumber(text: string): Precise | undefined {
  const form = NUMBER.exec(text);
  if (form === null || text.length > 48) return undefined;
  const fraction = form[3] ?? '';
  const exponent = form[4] === undefined ? 0 : Number(form[4]);
  const value = Number(text);
  if (Math.abs(exponent) > 300 || !Number.isFinite(value)) return undefined;
  // The specification counts 1e2 as one digit finer than its last place: [95, 105), not [50, 150).
  const extra = form[4] === undefined ? 1n : 2n;
  const scale = exponent - fraction.length - Number(extra);
  const scaled = BigInt(`${form[1] === '-' ? '-' : ''}${form[2]}${fraction}`) * 10n ** extra;
  const low = Number(`${scaled - 5n}e${scale}`);
  const high = Number(`${scaled + 5n}e${scale}`);
  return { value: value === 0 ? 0 : value, low, high };
}

/** The largest double below a finite number. */
export function nextBelow(value: number): number {
  if (value === 0) return -Number.MIN_VALUE;
  const bits = new BigInt64Array(new Float64Array([value]).buffer);
  bits[0] = (bits[0] ?? 0n) + (value > 0 ? -1n : 1n);
  return new Float64Array(bits.buffer)[0] ?? value;
}

/** What a unit is in base units: `base = value * factor + offset`. Two units convert when `base` is the same text. */
interface Conversion {
  readonly base: string;
  readonly factor: number;
  readonly offset: number;
}

interface UcumUnit {
  readonly magnitude_: number;
  readonly dim_: { readonly dimVec_: readonly number[] | null } | null;
  readonly isArbitrary_: boolean;
  readonly isSpecial_: boolean;
  readonly cnv_: string | null;
  readonly moleExp_: number;
}
interface UcumLibrary {
  getSpecifiedUnit(
    code: string,
    purpose: string,
  ): { readonly unit: UcumUnit | null; readonly origString?: string | null };
  convertUnitTo(from: string, value: number, to: string): { readonly status: string; readonly toVal: number | null };
}

let library: UcumLibrary | undefined;
function ucum(): UcumLibrary {
  if (library === undefined) {
    const loaded: { UcumLhcUtils: { getInstance(): UcumLibrary } } = createRequire(import.meta.url)('@lhncbc/ucum-lhc');
    library = loaded.UcumLhcUtils.getInstance();
  }
  return library;
}

/** Amount of substance is a number in UCUM; here it stays a dimension of its own, so that mol is never compared with a count. */
const AVOGADRO = 6.0221367e23;
const DIMENSIONS = ['m', 's', 'g', 'rad', 'K', 'C', 'cd'] as const;
const KELVIN = 'K1';
/** Most unit codes remembered; queries name units too, so the memory is bounded. */
const REMEMBERED = 4096;
const conversions = new Map<string, Conversion | undefined>();

/** 12 significant digits: enough for any measurement, and free of the noise of multiplying doubles. */
function rounded(value: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const digits = 11 - Math.floor(Math.log10(Math.abs(value)));
  if (digits < 0 || digits > 22) return Number(value.toPrecision(12));
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}

function baseText(unit: UcumUnit): string {
  const powers = DIMENSIONS.map((name, index) => {
    const power = unit.dim_?.dimVec_?.[index] ?? 0;
    return power === 0 ? '' : `${name}${power}`;
  });
  if (unit.moleExp_ !== 0) powers.push(`mol${unit.moleExp_}`);
  return powers.filter((power) => power !== '').join('.') || '1';
}

/** Temperatures are shifted scales; other special units (pH, B) are not linear and have no conversion. */
function shifted(code: string): Conversion | undefined {
  const kelvin = [0, 1, 100].map((value) => ucum().convertUnitTo(code, value, 'K').toVal);
  const [zero, one, hundred] = kelvin;
  if (typeof zero !== 'number' || typeof one !== 'number' || typeof hundred !== 'number') return undefined;
  const factor = (hundred - zero) / 100;
  return Math.abs(one - zero - factor) < 1e-9 ? { base: KELVIN, factor, offset: zero } : undefined;
}

/** The shape of a UCUM term with at most one level of parentheses. The library prints what it cannot parse, so it is not asked. */
const COMPONENT = String.raw`(?:(?:10[*^][+-]?\d+|\d+|(?:[A-Za-z%'"_]|\[[\w%'"/^.-]+\])+(?:[+-]?\d+)?)(?:\{[^{}]*\})?|\{[^{}]*\})`;
const TERM = String.raw`\/?${COMPONENT}(?:[./]${COMPONENT})*`;
const UNIT_CODE = new RegExp(
  String.raw`^(?=[\x21-\x7e]{1,64}$)(?:${TERM}|(?:\/|${TERM}[./])?\(${TERM}\)(?:[./]${TERM})?)$`,
);

function derive(code: string): Conversion | undefined {
  if (!UNIT_CODE.test(code)) return undefined;
  const { unit, origString } = ucum().getSpecifiedUnit(code, 'validate');
  // A code such as `toString` finds what its tables inherit: only a thing with a magnitude is a unit.
  if (!unit || typeof unit.magnitude_ !== 'number' || unit.isArbitrary_) return undefined;
  // The library guesses at near misses (`mmHg`) and then says what it changed; a guess is not a conversion.
  if (typeof origString === 'string' && origString !== code) return undefined;
  if (unit.isSpecial_ || unit.cnv_ !== null) return baseText(unit) === KELVIN ? shifted(code) : undefined;
  const factor = unit.magnitude_ / AVOGADRO ** unit.moleExp_;
  return Number.isFinite(factor) && factor > 0 ? { base: baseText(unit), factor, offset: 0 } : undefined;
}

function conversionOf(code: string): Conversion | undefined {
  const known = conversions.get(code);
  if (known !== undefined || conversions.has(code)) return known;
  if (conversions.size >= REMEMBERED) conversions.clear();
  const derived = derive(code);
  conversions.set(code, derived);
  return derived;
}

/** Whether a code is a unit of UCUM; arbitrary ones (`[IU]`) are. Asks the library each time. */
export function isUnit(code: string): boolean {
  if (!UNIT_CODE.test(code)) return false;
  const { unit, origString } = ucum().getSpecifiedUnit(code, 'validate');
  return typeof unit?.magnitude_ === 'number' && (typeof origString !== 'string' || origString === code);
}

/** A quantity in base units. `unit` names the dimension: `m-3.g1`, `1` for pure numbers. */
export interface CanonicalQuantity {
  readonly unit: string;
  readonly value: number;
}

/**
 * A value with a UCUM code in base units (m, s, g, rad, K, C, cd, mol), to 12 significant digits; 1 mg/dL is 10 `m-3.g1`.
 * @returns undefined for codes that are not UCUM, for arbitrary units (`[IU]`) and for logarithmic scales: those equal only themselves
 */
export function canonicalQuantity(value: number, code: string): CanonicalQuantity | undefined {
  const conversion = conversionOf(code);
  if (conversion === undefined) return undefined;
  return { unit: conversion.base, value: rounded(value * conversion.factor + conversion.offset) };
}

/** A value in another UCUM unit of the same dimension, to 12 significant digits; the value itself when the codes are equal; else undefined. */
export function convertUnit(value: number, from: string, to: string): number | undefined {
  if (from === to) return value;
  const source = conversionOf(from);
  const target = conversionOf(to);
  if (source === undefined || target === undefined || source.base !== target.base) return undefined;
  return rounded((value * source.factor + source.offset - target.offset) / target.factor);
}
