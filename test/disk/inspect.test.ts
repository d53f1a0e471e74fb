/** `sortition inspect`: whether a snapshot file is signed, and by whom. */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { packSnapshot } from '../../src/engine/snapshot/snapshot.ts';
import { writeSnapshotFile } from '../../src/workers/snapshot-file.ts';
import { signaturePath } from '../../src/workers/snapshot-signature.ts';
import { runSortition } from '../server/support/process.ts';
import { CsvFile, vettedNodes } from '../support/csv-file.ts';
import { LocalCache } from '../support/local-cache.ts';
import { testRow } from '../support/population.ts';

const folders: CsvFile[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

/** A snapshot file in a folder with keys: signed by `loader`, and not by `other`. */
async function signedFile() {
  const file = new CsvFile();
  folders.push(file);
  for (const name of ['loader', 'other']) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    writeFileSync(join(file.folder, `${name}.secret`), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(join(file.folder, `${name}.pem`), publicKey.export({ type: 'spki', format: 'pem' }));
  }
  const path = join(file.folder, 'nodes.snapshot');
  const { snapshot } = new LocalCache({ capacity: 100 }).publish(vettedNodes(20).map(testRow));
  const packed = packSnapshot(snapshot.views);
  const signing = { keyFile: join(file.folder, 'loader.secret'), publicKeyFiles: [] };
  const run = (line: string) => runSortition(line.split(' '), { cwd: file.folder, environment: {} });
  return { path, packed, signing, run };
}

test('says that a file is not signed, and refuses it where a signature is asked for', async () => {
  const { path, packed, run } = await signedFile();
  await writeSnapshotFile(path, packed);
  expect((await run('inspect nodes.snapshot')).stdout).toMatch(/signature +none/);
  expect(JSON.parse((await run('inspect nodes.snapshot --json')).stdout)).toMatchObject({ signature: null });
  const refused = await run('inspect nodes.snapshot --public-key loader.pem');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(
    /^error: nodes\.snapshot: not signed: there is no nodes\.snapshot\.[0-9a-f]{32}\.signature\n$/,
  );
});

test('shows who has signed a file, and refuses what was changed or signed by somebody else', async () => {
  const { path, packed, signing, run } = await signedFile();
  await writeSnapshotFile(path, packed, signing);
  expect((await run('inspect nodes.snapshot')).stdout).toMatch(/signature +nodes\.snapshot\..*, not checked/);
  const both = await run('inspect nodes.snapshot --public-key other.pem --public-key loader.pem');
  expect(both.stdout).toMatch(/signature +✓ by key [0-9a-f]{16}\n/);
  const json = JSON.parse((await run('inspect nodes.snapshot --public-key loader.pem --json')).stdout);
  expect(both.stdout).toContain(json.signature.signedBy);
  const other = await run('inspect nodes.snapshot --public-key other.pem');
  expect([other.code, other.stdout]).toEqual([1, '']);
  expect(other.stderr).toContain('signed by another key');
  const place = signaturePath(path, packed);
  writeFileSync(place, readFileSync(place).reverse());
  expect((await run('inspect nodes.snapshot --public-key loader.pem')).code).toBe(1);
  for (const [name, words] of [
    ['none.pem', 'ENOENT'],
    ['loader.secret', 'it is a private key'],
    ['nodes.snapshot', 'cannot be used'],
  ] as const) {
    const { code, stderr } = await run(`inspect nodes.snapshot --public-key ${name}`);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: --public-key: the key in "/);
    for (const part of [name, words]) expect(stderr).toContain(part);
  }
});
