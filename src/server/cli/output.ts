/** What commands print: tables, and JSON for scripts. */

export function printLine(line = ''): void {
  process.stdout.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  const json = JSON.stringify(value, undefined, process.stdout.isTTY ? 2 : undefined);
  // JSON escapes all that moves a terminal's cursor, but for these.
  printLine(json.replace(/[\x7f-\x9f]/g, character => `\\u00${character.charCodeAt(0).toString(16)}`));
}

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map(row => String(row[column]).length)),
  );
  const line = (row: readonly (string | number)[]) =>
    row
      .map((cell, column) =>
        typeof cell === 'number' ? String(cell).padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)];
}

/** `key  value`, one a line. */
export function pairs(entries: readonly (readonly [name: string, value: string])[]): string[] {
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

/** What others have written may hold what moves a terminal's cursor, or hides text: that is spelled. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, character => {
    return `\\u{${character.codePointAt(0)!.toString(16)}}`;
  });
}
