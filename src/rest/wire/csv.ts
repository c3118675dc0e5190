/** Tables as text, for spreadsheets. Source: RFC 4180; OWASP, CSV injection. */

/** A line of CSV (RFC 4180). A cell that a spreadsheet would run as a formula is led by an apostrophe (OWASP CSV injection). */
export function csvLine(cells: readonly string[]): string {
  const safe = cells.map((cell) => (/^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell));
  return `${safe.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`;
}
