/** The snapshot file: the newest content, seldom enough where nothing is loaded, and one writer at a time. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { monotonicMs } from '../../src/workers/clock.ts';
import { type LoadContext, runLoadCycle } from '../../src/workers/load-cycle.ts';
import { readSnapshotFile } from '../../src/workers/snapshot-file.ts';
import { SnapshotKeeper } from '../../src/workers/snapshot-keeper.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import { CsvFile, vettedNodes } from '../support/csv-file.ts';
import { openLoadContext } from '../support/load-context.ts';
import { until } from '../support/until.ts';

const EVERY_MS = 400;

let file: CsvFile;
let path: string;
let context: LoadContext;
let keeper: SnapshotKeeper;
let changes: number;

beforeEach(() => {
  file = new CsvFile(vettedNodes(5));
  path = join(file.folder, 'kept', 'nodes.snapshot');
  const options = { source: fileSource(file.path), refresh: { everyMs: EVERY_MS }, capacity: { nodes: 100 } };
  const loader = openLoadContext(options);
  context = { ...loader, settings: { ...loader.settings, snapshotFile: path } };
  changes = 0;
  keeper = new SnapshotKeeper(context, () => changes++);
  mkdirSync(join(file.folder, 'kept'));
});
afterEach(async () => {
  await keeper.stop();
  file.remove();
});

/** Serves so many nodes from now on. */
async function serve(nodes: number): Promise<void> {
  file.write(vettedNodes(nodes));
  await runLoadCycle(context, { signal: new AbortController().signal, acceptDrop: true });
}

const stored = async () => (await readSnapshotFile(path).catch(() => undefined))?.rowCount;
const untilStored = (nodes: number) =>
  until(`the file has ${nodes} nodes`, async () => (await stored()) === nodes);

describe('what is noted', () => {
  test('is written, and the next not before its time', async () => {
    await serve(5);
    const notedMs = monotonicMs();
    keeper.note();
    await untilStored(5);
    await until('that is known', () => changes === 1);
    await serve(6);
    keeper.note();
    await untilStored(6);
    expect(monotonicMs() - notedMs).toBeGreaterThan(EVERY_MS - 5);
    await until('that is known', () => changes === 2);
    expect(keeper.status).toMatchObject({ generation: 2, writtenAt: expect.any(String) });
  });

  test('of many generations is the last one', async () => {
    for (let nodes = 5; nodes < 25; nodes++) {
      await serve(nodes);
      keeper.note();
    }
    await untilStored(24);
    expect(changes).toBeLessThan(20);
  });
});

describe('what is to be written', () => {
  test('is written at once, by one writer, and in the end the newest content', async () => {
    for (let nodes = 5; nodes < 35; nodes++) {
      await serve(nodes);
      keeper.write();
      if (nodes % 3 === 0) keeper.note();
    }
    await keeper.stop();
    expect(await stored()).toBe(34);
    expect(readdirSync(join(file.folder, 'kept')).toSorted()).toEqual([
      'nodes.snapshot',
      'nodes.snapshot.previous',
    ]);
  });

  test('and cannot be is a problem, until it can', async () => {
    const { settings } = context;
    const elsewhere = join(file.folder, 'later', 'nodes.snapshot');
    keeper = new SnapshotKeeper(
      { ...context, settings: { ...settings, snapshotFile: elsewhere } },
      () => changes++,
    );
    await serve(5);
    keeper.write();
    await until('it says so', () => keeper.status?.problem !== undefined);
    expect(keeper.status?.problem).toMatch(/ENOENT/);
    mkdirSync(join(file.folder, 'later'));
    keeper.write();
    await until('it is over', () => keeper.status?.problem === undefined);
    expect((await readSnapshotFile(elsewhere)).rowCount).toBe(5);
  });
});
