/**
 * This program as another version of it would be: a copy of its sources with another LAYOUT_VERSION, so that
 * neither reads what the other has packed. The compiled kernel goes with the layout, and is left out: the
 * twin serves.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');
const PARTS = ['native-layout', 'src', 'test/support', 'package.json'];
const VERSION_FILE = 'native-layout/snapshot-header.ts';
const VERSION = /(export const LAYOUT_VERSION = )(\d+)/;

export interface OtherVersion {
  readonly root: string;
  remove(): void;
}

export function copyWithOtherLayout(): OtherVersion {
  const root = mkdtempSync(join(tmpdir(), 'sortition-version-'));
  for (const part of PARTS) {
    cpSync(join(ROOT, part), join(root, part), { recursive: true, filter: path => !path.endsWith('.wasm') });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'), 'dir');
  const file = join(root, VERSION_FILE);
  const text = readFileSync(file, 'utf8');
  if (!VERSION.test(text)) throw new Error(`${VERSION_FILE} does not say LAYOUT_VERSION`);
  writeFileSync(
    file,
    text.replace(VERSION, (_, name: string, version: string) => name + (Number(version) + 1)),
  );
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) };
}
