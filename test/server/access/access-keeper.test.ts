/** The file of identities while the server runs: nobody waits for it, and no key outlives its line. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AccessKeeper } from '../../../src/server/access/access-keeper.ts';
import { digestOf, type Identity } from '../../../src/server/access/identity.ts';
import { readSmallFile } from '../../../src/server/access/read-file.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/nodes.ts';

const NOBODY = 65_534;
const line = (name: string) => `${name} ${digestOf(name.padEnd(20, '-'))} rate=5\n`;

let folder: TemporaryFolder;
let file: string;
let keeper: AccessKeeper;
const told: (readonly Identity[])[] = [];

beforeEach(async () => {
  folder = await temporaryFolder();
  file = await folder.file('keys', line('a') + line('b'));
  keeper = new AccessKeeper({ mode: 'keys', file, publicGroups: [] }, pino({ level: 'silent' }));
  told.length = 0;
  keeper.onChange(identities => told.push(identities));
});
afterEach(async () => {
  keeper.stop();
  await folder.remove();
});

function replace(text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

const names = () => keeper.list().map(({ name }) => name);

test('is read when it has changed, and not when it has not', async () => {
  await keeper.look();
  expect(told).toHaveLength(0);
  replace(line('c'));
  await keeper.look();
  await keeper.look();
  expect(told).toHaveLength(1);
  expect(names()).toEqual(['c']);
});

test('is read when its size and time of writing are what they were', async () => {
  // A whole second, which is set again to the nanosecond.
  utimesSync(file, 1_000, 1_000);
  await keeper.look();
  const changedNs = () => statSync(file, { bigint: true }).ctimeNs;
  const before = changedNs();
  // Some systems tell no time between two ticks of their clock, which are milliseconds apart.
  do {
    writeFileSync(file, line('a') + line('c'));
    utimesSync(file, 1_000, 1_000);
  } while (changedNs() === before);
  await keeper.look();
  expect(names()).toEqual(['a', 'c']);
});

/** Root may read everything: then as somebody else, whose files they are. */
async function withoutPrivileges(work: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return await work();
  for (const path of [folder.path, file]) chownSync(path, NOBODY, NOBODY);
  process.seteuid!(NOBODY);
  try {
    await work();
  } finally {
    process.seteuid!(0);
  }
}

test('that may not be read yet is read when it may be', async () => {
  replace(line('a'));
  await withoutPrivileges(async () => {
    chmodSync(file, 0);
    await keeper.look();
    expect(keeper.status().problem).toContain('EACCES');
    expect(names()).toEqual(['a', 'b']);
    chmodSync(file, 0o600);
    await keeper.look();
    expect(keeper.status().problem).toBeNull();
    expect(names()).toEqual(['a']);
  });
});

test('that is moved away and back is no problem any more', async () => {
  const away = join(folder.path, 'away');
  renameSync(file, away);
  await keeper.look();
  expect(keeper.status().problem).toContain('ENOENT');
  renameSync(away, file);
  await keeper.look();
  expect(keeper.status().problem).toBeNull();
});

test('that is wrong is said until the good one is back', async () => {
  const good = join(folder.path, 'good');
  renameSync(file, good);
  for (const harm of [() => replace('oops\n'), () => rmSync(file), () => replace('oops\n')]) {
    harm();
    await keeper.look();
    const { problem } = keeper.status();
    expect(problem).toMatch(/line 1|ENOENT/);
    await keeper.look();
    expect(keeper.status().problem).toBe(problem);
  }
  expect(keeper.status().problem).toContain('line 1');
  renameSync(good, file);
  await keeper.look();
  expect(keeper.status().problem).toBeNull();
  expect(names()).toEqual(['a', 'b']);
});

test('that is a pipe, or a device, holds up nobody: neither at the start nor later', async () => {
  rmSync(file);
  execFileSync('mkfifo', [file]);
  await keeper.look();
  expect(keeper.status().problem).toContain(`${file}: is not a regular file`);
  expect(names()).toEqual(['a', 'b']);
  for (const path of [file, '/dev/zero']) {
    const options = { mode: 'keys', file: path, publicGroups: [] } as const;
    expect(() => new AccessKeeper(options, pino({ level: 'silent' }))).toThrow('is not a regular file');
    expect(() => readSmallFile(path)).toThrow('is not a regular file');
  }
});

test('keeps the rate of each name, wherever its line moves; a new one inherits none', async () => {
  const places = () => new Map(keeper.data()!.identities!.map(({ name, index }) => [name, index]));
  const before = places();
  replace(line('c') + line('b') + line('a'));
  await keeper.look();
  const after = places();
  expect([after.get('a'), after.get('b')]).toEqual([before.get('a'), before.get('b')]);
  expect(new Set(after.values()).size).toBe(3);
  replace(line('d') + line('b'));
  await keeper.look();
  expect([...after.values()]).not.toContain(places().get('d'));
});

test('after its end tells nobody', async () => {
  replace(line('c'));
  const looking = keeper.look();
  keeper.stop();
  await looking;
  expect(told).toHaveLength(0);
});
