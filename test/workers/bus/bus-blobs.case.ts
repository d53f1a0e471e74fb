/** The part of the suite of buses that is about blobs, the pointer, and heartbeats. */
import { afterEach, expect, test } from 'vitest';
import type { Bus } from '../../../src/workers/bus/bus.ts';
import { type BusSubject, codeOf } from '../../support/bus-subject.ts';
import { dataRandom } from '../../support/data-random.ts';
import { SEED } from '../../support/property.ts';
import { at, newFleet } from './bus-log.case.ts';

const KEEP_MS = 600_000;
const MIB = 1_048_576;
/** Long enough to be seen alive on a machine that is busy. */
const SHORT_MS = 1_200;
/** Names become keys, subjects and SQL values: nothing in them may mean anything there. */
const ODD_NAMES = [
  'a b',
  'a.b',
  '*',
  '>',
  "it's",
  '{x}:y',
  'ünïcode/✓',
  'manifest',
  '0',
  `${'x'.repeat(200)}`,
];

type NewBus = (fleet?: string) => Promise<Bus>;

function withBuses(subject: () => BusSubject, tests: (newBus: NewBus) => void): void {
  const open: Bus[] = [];
  afterEach(async () => {
    for (const bus of open.splice(0)) await bus.close();
  });
  tests(async (fleet = newFleet()) => {
    const bus = await subject().open({ fleet });
    open.push(bus);
    return bus;
  });
}

/** Bytes that differ from part to part and do not repeat. */
function randomBytes(count: number, seed = SEED): Uint8Array {
  const random = dataRandom(seed);
  const words = new Uint32Array(Math.ceil(count / 4));
  for (let i = 0; i < words.length; i++) words[i] = random(2 ** 32);
  return new Uint8Array(words.buffer, 0, count);
}

async function expectBlob(bus: Bus, name: string, bytes: Uint8Array): Promise<void> {
  const read = await bus.getBlob(name);
  expect(read?.byteLength).toBe(bytes.byteLength);
  expect(Buffer.compare(read!, bytes)).toBe(0);
}

export function testBlobs(subject: () => BusSubject, options: { hasServer: boolean }): void {
  withBuses(subject, newBus => {
    test.each([0, 1, MIB - 4_097, MIB - 4_096, MIB - 4_095, MIB - 1, MIB, MIB + 1, 8 * MIB + 17])(
      'gives back %i bytes as they were',
      async count => {
        const fleet = newFleet();
        const [writer, reader] = [await newBus(fleet), await newBus(fleet)];
        const bytes = randomBytes(count);
        await writer.putBlob('snapshot', bytes, KEEP_MS);
        await expectBlob(reader, 'snapshot', bytes);
      },
    );

    test('takes names of any letters, and keeps them apart', async () => {
      const bus = await newBus();
      for (const [index, name] of ODD_NAMES.entries()) {
        await bus.putBlob(name, randomBytes(1_000, index), KEEP_MS);
      }
      for (const [index, name] of ODD_NAMES.entries()) await expectBlob(bus, name, randomBytes(1_000, index));
      expect(await bus.getBlob('a')).toBeUndefined();
    });

    test('does not know a blob that is deleted, of another fleet, or was never there', async () => {
      const [bus, other] = [await newBus(), await newBus()];
      await bus.putBlob('one', randomBytes(3 * MIB), KEEP_MS);
      await bus.putBlob('two', randomBytes(2 * MIB, 2), KEEP_MS);
      expect(await other.getBlob('one')).toBeUndefined();
      expect(await bus.getBlob('three')).toBeUndefined();
      await bus.deleteBlob('one');
      await bus.deleteBlob('three');
      expect(await bus.getBlob('one')).toBeUndefined();
      await expectBlob(bus, 'two', randomBytes(2 * MIB, 2));
    });

    test('forgets a blob when its time is over, and no other', async () => {
      const bus = await newBus();
      await bus.putBlob('kept', randomBytes(2 * MIB), KEEP_MS);
      await bus.putBlob('short', randomBytes(2 * MIB, 2), SHORT_MS);
      await expectBlob(bus, 'short', randomBytes(2 * MIB, 2));
      await expect.poll(() => bus.getBlob('short'), { timeout: 10_000 }).toBeUndefined();
      await expectBlob(bus, 'kept', randomBytes(2 * MIB));
    });

    test('refuses a blob over the limit before anything is sent', async () => {
      const bus = await newBus();
      const bytes = new Uint8Array(bus.blobBytesMax + 1);
      expect(await codeOf(bus.putBlob('large', bytes, KEEP_MS))).toBe('BUS_TOO_LARGE');
      expect(await bus.getBlob('large')).toBeUndefined();
    });

    if (options.hasServer) testDamage(subject, newBus);
  });
}

function testDamage(subject: () => BusSubject, newBus: NewBus): void {
  const manifest = (fields: object) => Buffer.from(JSON.stringify({ version: 1, ...fields }));
  const sha256 = 'ab'.repeat(32);

  test.each([
    ['a part is missing', '3', undefined],
    ['a part is shorter', '2', randomBytes(1_000)],
    ['the last part is longer', '8', randomBytes(100_000)],
    ['the manifest is no text of ours', 'manifest', Buffer.from('{')],
    ['the manifest is of another version', 'manifest', Buffer.from('{"version":2}')],
    [
      'the manifest claims more than any blob has',
      'manifest',
      manifest({ bytes: 2 ** 52, partBytes: MIB, sha256 }),
    ],
    ['the manifest claims parts of no size', 'manifest', manifest({ bytes: 5, partBytes: 0, sha256 })],
    ['the manifest lies about the length', 'manifest', manifest({ bytes: 5, partBytes: MIB, sha256 })],
    ['the manifest has no digest', 'manifest', manifest({ bytes: 8 * MIB, partBytes: MIB })],
  ])('says that a blob is corrupt when %s', async (_, piece, bytes) => {
    const fleet = newFleet();
    const bus = await newBus(fleet);
    await bus.putBlob('snapshot', randomBytes(8 * MIB + 17), KEEP_MS);
    await subject().server!.damage(fleet, 'snapshot', piece, bytes);
    expect(await codeOf(bus.getBlob('snapshot'))).toBe('BUS_CORRUPT');
    await bus.deleteBlob('snapshot');
    expect(await bus.getBlob('snapshot')).toBeUndefined();
  });

  test('says that a blob is corrupt when a bit of it has turned', async () => {
    const fleet = newFleet();
    const bus = await newBus(fleet);
    const bytes = randomBytes(100_000);
    await bus.putBlob('snapshot', bytes, KEEP_MS);
    bytes[77_777]! ^= 4;
    await subject().server!.damage(fleet, 'snapshot', '0', bytes);
    expect(await codeOf(bus.getBlob('snapshot'))).toBe('BUS_CORRUPT');
  });

  test('has no blob without its manifest, which is written last', async () => {
    const fleet = newFleet();
    const bus = await newBus(fleet);
    await bus.putBlob('snapshot', randomBytes(2 * MIB), KEEP_MS);
    await subject().server!.damage(fleet, 'snapshot', 'manifest', undefined);
    expect(await bus.getBlob('snapshot')).toBeUndefined();
  });
}

export function testPointer(subject: () => BusSubject): void {
  withBuses(subject, newBus => {
    test('goes up and stays where it is, never down', async () => {
      const fleet = newFleet();
      const [old, next] = [await newBus(fleet), await newBus(fleet)];
      const bytes = (text: string) => Buffer.from(text);
      expect(await old.pointer()).toBeUndefined();
      await old.point({ position: at(2, 9), bytes: bytes('first') });
      await old.point({ position: at(2, 10), bytes: bytes('second') });
      await old.point({ position: at(2, 10), bytes: bytes('second again') });
      await next.point({ position: at(10, 0), bytes: bytes('third') });
      for (const position of [at(2, 11), at(9, Number.MAX_SAFE_INTEGER), at(0, 0)]) {
        expect(await codeOf(old.point({ position, bytes: bytes('late') }))).toBe('BUS_FENCED');
      }
      const pointer = await old.pointer();
      expect(pointer?.position).toEqual(at(10, 0));
      expect(Buffer.from(pointer!.bytes).toString()).toBe('third');
    });

    test('ends at the highest of those who race', async () => {
      const fleet = newFleet();
      const buses = [await newBus(fleet), await newBus(fleet), await newBus(fleet)];
      for (let seq = 0; seq < 20; seq += 3) {
        const pointers = buses.map((bus, writer) =>
          codeOf(bus.point({ position: at(1, seq + writer), bytes: Buffer.from([writer]) })),
        );
        const codes = await Promise.all(pointers);
        expect(codes[2]).toBe('');
        expect((await buses[0]!.pointer())?.position).toEqual(at(1, seq + 2));
      }
    });
  });
}

export function testBeats(subject: () => BusSubject): void {
  withBuses(subject, newBus => {
    const listed = async (bus: Bus) =>
      Object.fromEntries(
        (await bus.beats()).map(({ replica, bytes }) => [replica, Buffer.from(bytes).toString()]),
      );

    test('lists the newest of each replica, of this fleet alone', async () => {
      const [bus, other] = [await newBus(), await newBus()];
      expect(await bus.beats()).toEqual([]);
      await other.beat({ replica: 'elsewhere', bytes: Buffer.from('x') }, KEEP_MS);
      for (const text of ['old', 'new']) {
        await bus.beat({ replica: 'one', bytes: Buffer.from(text) }, KEEP_MS);
        await bus.beat({ replica: 'two', bytes: Buffer.from(`${text} too`) }, KEEP_MS);
      }
      expect(await listed(bus)).toEqual({ one: 'new', two: 'new too' });
    });

    test('takes names of any letters, and many replicas', async () => {
      const bus = await newBus();
      const names = [...ODD_NAMES, ...Array.from({ length: 300 }, (_, index) => `replica-${index}`)];
      await Promise.all(names.map(replica => bus.beat({ replica, bytes: Buffer.from(replica) }, KEEP_MS)));
      expect(await listed(bus)).toEqual(Object.fromEntries(names.map(name => [name, name])));
    });

    test('forgets who is silent, and no other; who comes back is there again', async () => {
      const bus = await newBus();
      const beat = (replica: string, expiresMs: number) =>
        bus.beat({ replica, bytes: Buffer.from('alive') }, expiresMs);
      await beat('long', KEEP_MS);
      await beat('short', SHORT_MS);
      expect(Object.keys(await listed(bus)).toSorted()).toEqual(['long', 'short']);
      await expect.poll(() => listed(bus), { timeout: 10_000 }).toEqual({ long: 'alive' });
      await beat('short', KEEP_MS);
      expect(Object.keys(await listed(bus)).toSorted()).toEqual(['long', 'short']);
    });

    test('refuses a heartbeat that is no heartbeat', async () => {
      const bus = await newBus();
      const bytes = new Uint8Array(MIB);
      expect(await codeOf(bus.beat({ replica: 'one', bytes }, KEEP_MS))).toBe('BUS_TOO_LARGE');
      expect(await bus.beats()).toEqual([]);
    });
  });
}
