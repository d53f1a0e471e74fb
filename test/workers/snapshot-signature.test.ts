/**
 * Signatures of snapshot files: what is signed by a key that is trusted is read, by an old key and by a new
 * one while keys change, and nothing else is; whoever knows Ed25519 can check it.
 */
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { openPackedSnapshot, packSnapshot } from '../../src/engine/snapshot/snapshot.ts';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import { loadSettings } from '../../src/workers/settings.ts';
import {
  inspectSnapshotFile,
  readNewestSnapshot,
  writeSnapshotFile,
} from '../../src/workers/snapshot-file.ts';
import { type SnapshotSigning, signaturePath } from '../../src/workers/snapshot-signature.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import { CsvFile } from '../support/csv-file.ts';
import { LocalCache } from '../support/local-cache.ts';
import { manyRows } from './source/row-source.case.ts';

const folders: CsvFile[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

/** A folder with the keys `a` and `b`, and an RSA key. */
class Keys {
  readonly folder: string;
  readonly path: string;

  constructor() {
    const file = new CsvFile();
    folders.push(file);
    this.folder = file.folder;
    this.path = join(this.folder, 'nodes.snapshot');
    for (const name of ['a', 'b']) this.#write(name, generateKeyPairSync('ed25519'));
    this.#write('rsa', generateKeyPairSync('rsa', { modulusLength: 2_048 }));
  }

  #write(name: string, { privateKey, publicKey }: ReturnType<typeof generateKeyPairSync>): void {
    writeFileSync(this.secret(name), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(this.public(name), publicKey.export({ type: 'spki', format: 'pem' }));
  }

  secret(name: string): string {
    return join(this.folder, `${name}.secret.pem`);
  }

  public(name: string): string {
    return join(this.folder, `${name}.public.pem`);
  }

  /** Signs by `name`, and trusts `trusted`. */
  by(name: string | undefined, ...trusted: string[]): SnapshotSigning {
    const keyFile = name === undefined ? undefined : this.secret(name);
    return { keyFile, publicKeyFiles: trusted.map(key => this.public(key)) };
  }

  read(...trusted: string[]) {
    return readNewestSnapshot(this.path, openPackedSnapshot, { signing: this.by(undefined, ...trusted) });
  }

  signatures(): string[] {
    return readdirSync(this.folder).filter(name => name.endsWith('.signature'));
  }
}

const CACHE = new LocalCache({ capacity: 100 });
const packedOf = (rows: number) => packSnapshot(CACHE.publish(manyRows(rows)).snapshot.views);

describe('a signed file', () => {
  test('is read by whoever trusts its key, while keys change, too, or asks for none', async () => {
    const keys = new Keys();
    await writeSnapshotFile(keys.path, packedOf(10), keys.by('a'));
    for (const trusted of [['a'], ['a', 'b'], ['b', 'a'], []]) {
      expect(await keys.read(...trusted)).toMatchObject({ opened: { rowCount: 10 }, problem: undefined });
    }
    await expect(keys.read('b')).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
      message: expect.stringMatching(/is no signature of it by key [0-9a-f]{16}: .*another key/),
    });
  });

  test('has the bytes that it would have without a signature, which anyone can check', async () => {
    const keys = new Keys();
    const packed = packedOf(10);
    await writeSnapshotFile(keys.path, packed, keys.by('a'));
    const bytes = readFileSync(keys.path);
    expect(Buffer.compare(bytes, packed)).toBe(0);
    const place = signaturePath(keys.path, packed);
    expect(statSync(place).mode & 0o777).toBe(0o600);
    const key = createPublicKey(readFileSync(keys.public('a')));
    expect(verify(null, bytes, key, readFileSync(place))).toBe(true);
  });

  test('and the one before it have a signature each, and no others lie about', async () => {
    const keys = new Keys();
    for (const rows of [10, 20, 30, 40]) {
      await writeSnapshotFile(keys.path, packedOf(rows), keys.by('a'));
      expect(await keys.read('a')).toMatchObject({ opened: { rowCount: rows } });
    }
    expect(keys.signatures()).toHaveLength(2);
    rmSync(keys.path);
    expect(await keys.read('a')).toMatchObject({ opened: { rowCount: 30 } });
    expect(await inspectSnapshotFile(`${keys.path}.previous`, [keys.public('a')])).toMatchObject({
      signedBy: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
  });
});

describe('refused, and the file before it is read, where the newest', () => {
  test.each<[string, (keys: Keys, newest: string) => unknown, RegExp]>([
    ['is not signed', (_, newest) => rmSync(newest), /nodes\.snapshot: not signed: there is no/],
    ['is signed by nobody', (_, newest) => writeFileSync(newest, Buffer.alloc(64)), /is no signature of it/],
    ['has no signature but a long text', (_, newest) => writeFileSync(newest, 'x'.repeat(65)), /65 bytes/],
    [
      'has the signature of the one before',
      (keys, newest) => {
        const older = keys.signatures().find(name => !newest.endsWith(name))!;
        writeFileSync(newest, readFileSync(join(keys.folder, older)));
      },
      /is no signature of it/,
    ],
    [
      'has its signature behind a link',
      (_, newest) => {
        renameSync(newest, `${newest}.moved`);
        symlinkSync(`${newest}.moved`, newest);
      },
      /ELOOP/,
    ],
    [
      'was changed, and its digest made to fit',
      keys => {
        const forged = packedOf(20);
        rmSync(keys.path);
        writeFileSync(keys.path, forged);
      },
      /not signed/,
    ],
  ])('%s', async (_what, harm, words) => {
    const keys = new Keys();
    await writeSnapshotFile(keys.path, packedOf(10), keys.by('a'));
    const packed = packedOf(20);
    await writeSnapshotFile(keys.path, packed, keys.by('a'));
    harm(keys, signaturePath(keys.path, packed));
    const stored = await keys.read('a', 'b');
    expect(stored).toMatchObject({ opened: { rowCount: 10 }, path: `${keys.path}.previous` });
    expect(stored?.problem).toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
      message: expect.stringMatching(words),
    });
  });

  test('has any one bit of its signature turned', async () => {
    const keys = new Keys();
    const packed = packedOf(10);
    await writeSnapshotFile(keys.path, packed, keys.by('a'));
    const place = signaturePath(keys.path, packed);
    const signature = readFileSync(place);
    for (let bit = 0; bit < 8 * signature.length; bit++) {
      const damaged = Buffer.from(signature);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(place, damaged);
      await expect(keys.read('a'), `bit ${bit}`).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
    }
  });

  test('is signed, and changed in any one bit', async () => {
    const keys = new Keys();
    const packed = packedOf(2);
    await writeSnapshotFile(keys.path, packed, keys.by('a'));
    // A digest that fits is no help: not the check of the digest refuses it.
    const read = () =>
      readNewestSnapshot(keys.path, () => true, { signing: keys.by(undefined, 'a') }).catch(
        error => error.code,
      );
    expect(await read()).toMatchObject({ opened: true });
    for (let bit = 0; bit < 8 * packed.length; bit += 7) {
      const damaged = packed.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(keys.path, damaged);
      expect(await read(), `bit ${bit}`).toMatch(/SNAPSHOT_CORRUPT|LAYOUT_MISMATCH/);
    }
  });
});

describe('a key', () => {
  test('that is missing, no key, or of another kind is named, and nothing is written', async () => {
    const keys = new Keys();
    await writeSnapshotFile(keys.path, packedOf(10), keys.by('a'));
    writeFileSync(keys.secret('text'), 'no key');
    for (const name of ['none', 'text', 'rsa']) {
      const writing = writeSnapshotFile(keys.path, packedOf(20), keys.by(name));
      await expect(writing).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        field: 'snapshotSigning.keyFile',
        message: expect.stringContaining(`${name}.secret.pem`),
      });
    }
    await expect(keys.read('rsa')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await keys.read('a')).toMatchObject({ opened: { rowCount: 10 }, path: keys.path });
  });

  test('that is private is refused where a public one is expected, although it would do', async () => {
    const keys = new Keys();
    await writeSnapshotFile(keys.path, packedOf(10), keys.by('a'));
    const signing = { keyFile: undefined, publicKeyFiles: [keys.secret('a')] };
    await expect(readNewestSnapshot(keys.path, openPackedSnapshot, { signing })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      field: 'snapshotSigning.publicKeyFiles',
      message: expect.stringContaining('it is a private key'),
    });
  });

  test('that is missing where signatures are asked for: no unsigned file is written', async () => {
    const keys = new Keys();
    await writeSnapshotFile(keys.path, packedOf(10), keys.by('a'));
    await expect(writeSnapshotFile(keys.path, packedOf(20), keys.by(undefined, 'a'))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('snapshotSigning.keyFile'),
    });
    expect(await keys.read('a')).toMatchObject({ opened: { rowCount: 10 } });
  });
});

test.each<[string, object, string]>([
  ['unknown keys', { key: 'x' }, 'snapshotSigning.key'],
  ['no text', { keyFile: 5 }, 'snapshotSigning.keyFile'],
  ['no list', { publicKeyFiles: 'x' }, 'snapshotSigning.publicKeyFiles'],
  ['three keys', { publicKeyFiles: ['a', 'b', 'c'] }, 'snapshotSigning.publicKeyFiles'],
])('options are checked: %s', (_what, snapshotSigning, field) => {
  const options = { source: fileSource('x.csv'), snapshotSigning } as CacheOptions;
  expect(() => loadSettings(options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', field }));
});
