/** The list of all constants: nothing is left out, and names are built as the kernel and C expect them. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as layout from '../../native-layout/index.ts';
import { LAYOUT_CONSTANT_GROUPS, LAYOUT_CONSTANTS } from '../../native-layout/layout-constants.ts';

const FOLDER = resolve(import.meta.dirname, '../../native-layout');

describe('the layout constants', () => {
  test('have a flat name each, those of a table with the name of the table', () => {
    expect(LAYOUT_CONSTANTS).toMatchObject({
      LAYOUT_VERSION: layout.LAYOUT_VERSION,
      ROW_BYTES: 64,
      HEADER_WORD_GENERATION: 2,
      SET_WORD_NEW_GROUPS: 5,
      RECORD_BYTES: 52,
      POOL_VETTED: 1,
      CONTROL_WORD_CURRENT: 32,
      ID_HASH_CHAIN: 0x9e3779b1,
    });
    for (const name of Object.keys(LAYOUT_CONSTANTS)) expect(name).toMatch(/^[A-Z][A-Z0-9_]*$/);
  });

  test('are all numbers that the layout exports', () => {
    const exported = Object.entries(layout).flatMap(([name, value]) => {
      if (typeof value === 'number') return [[name, value] as const];
      if (typeof value !== 'object' || name.startsWith('LAYOUT_CONSTANT')) return [];
      return Object.entries(value).map(([key, number]) => [`${name}_${key}`, number] as const);
    });
    expect(exported.length).toBeGreaterThan(60);
    for (const [name, value] of exported) expect(LAYOUT_CONSTANTS, name).toHaveProperty(name, value);
  });

  test('come from files that exist, each group from the file it names', () => {
    const files = readdirSync(FOLDER);
    for (const { file, constants } of LAYOUT_CONSTANT_GROUPS) {
      expect(files).toContain(file);
      const text = readFileSync(resolve(FOLDER, file), 'utf8');
      for (const name of Object.keys(constants)) {
        const declared = new RegExp(`export const ${name} =`).test(text);
        const inTable = [...text.matchAll(/export const (\w+) = \{/g)].some(([, table]) =>
          name.startsWith(`${table}_`),
        );
        expect(declared || inTable, `${name} in ${file}`).toBe(true);
      }
    }
  });
});
