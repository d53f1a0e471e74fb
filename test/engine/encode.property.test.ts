/**
 * The encoders against the documents that they stand for: JSON against the language's, MessagePack against
 * msgpackr.
 */
import fc from 'fast-check';
import { unpack } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { CONTROL_WORD } from '../../native-layout/control-block.ts';
import { POOL_NEW, POOL_VETTED, RECORD_BYTES } from '../../native-layout/node-record.ts';
import { formatAddress } from '../../src/engine/address/address.ts';
import { encodedBytesMax } from '../../src/engine/encoding/encode.ts';
import type { Reader } from '../../src/engine/reader.ts';
import type {
  EncodedFormat,
  PickedNode,
  SelectionRequest,
} from '../../src/engine/selection/selection-types.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { LocalCache } from '../support/local-cache.ts';
import { testId } from '../support/population.ts';
import { checkProperty } from '../support/property.ts';

const CACHE = new LocalCache({
  capacity: 40,
  limits: { countMax: 60, idsMax: 10 },
  allowRanges: ['unassigned-ipv6'],
});
const AROUND = 0xa5;

/** IPv6 texts of every length that there is, and IPv4 texts. */
const ips = fc.oneof(
  fc
    .tuple(fc.integer({ min: 20, max: 99 }), fc.nat(255), fc.nat(255), fc.nat(255))
    .map(octets => octets.join('.')),
  fc
    .array(
      fc.oneof(
        fc.constant('0'),
        fc.nat(0xffff).map(group => group.toString(16)),
      ),
      { minLength: 7, maxLength: 7 },
    )
    .map(groups => `2a02:${groups.join(':')}`),
  fc.constantFrom('2a02::', '4000::1', '2a02:c207:2299:5486:1111:2222:3333:4444', '255.1.1.1', '1.1.1.1'),
);

const populations = fc
  .array(
    fc.record({
      ip: ips,
      port: fc.oneof(
        fc.integer({ min: 1, max: 65_535 }),
        fc.constantFrom(1, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 65_535),
      ),
      vetted: fc.boolean(),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map(nodes => nodes.map((node, number): NodeRow => ({ ...node, id: testId(number), attributes: [] })));

const requests = fc.record({
  count: fc.integer({ min: 1, max: 60 }),
  newFraction: fc.constantFrom(0, 0.3, 1),
  distinct: fc.constantFrom('network', 'none'),
  fillWithNew: fc.boolean(),
});

const ages = fc.oneof(
  fc.nat(100_000),
  fc.constantFrom(
    0,
    127,
    128,
    65_535,
    65_536,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 32 + 1,
    2 ** 41,
    Number.MAX_SAFE_INTEGER,
  ),
);

interface Document {
  readonly generation: number;
  readonly ageMs: number;
  readonly nodes: readonly PickedNode[];
}

/** Runs `check` with the document of a selection, and a second reader that will make the same picks. */
function checkEncoding(
  check: (document: Document, reader: Reader, request: SelectionRequest & { count: number }) => void,
): void {
  const property = fc.property(populations, requests, ages, fc.nat(), (rows, request, ageMs, seed) => {
    CACHE.clockMs = 0;
    CACHE.publish(rows);
    CACHE.clockMs = ageMs;
    const plain = CACHE.reader(1, seed);
    const { generation, nodes } = plain.select(request);
    plain.release();
    const reader = CACHE.reader(1, seed);
    try {
      check({ generation, ageMs, nodes }, reader, request);
    } finally {
      reader.release();
    }
  });
  checkProperty(property, { runs: 500 });
}

/**
 * Encodes into exactly the bytes that are asked for, in the middle of a larger buffer that must stay as it
 * is.
 */
function encoded(reader: Reader, format: EncodedFormat, request: SelectionRequest & { count: number }) {
  const room = encodedBytesMax(format, request.count);
  const larger = new Uint8Array(room + 14).fill(AROUND);
  const answer = reader.selectEncoded(format, request, larger.subarray(7, 7 + room));
  const around = [...larger.subarray(0, 7), ...larger.subarray(7 + room)];
  expect(around.every(byte => byte === AROUND)).toBe(true);
  expect(answer.bytes).toBeLessThanOrEqual(room);
  return { ...answer, content: Buffer.from(larger.subarray(7, 7 + answer.bytes)) };
}

test('JSON is what JSON.stringify makes of the selection, byte for byte', () => {
  checkEncoding((document, reader, request) => {
    const { content, found, newFound, generation, shortage } = encoded(reader, 'json', request);
    expect(content.toString()).toBe(JSON.stringify(document));
    expect({ found, generation }).toEqual({ found: document.nodes.length, generation: document.generation });
    expect(newFound).toBe(document.nodes.filter(node => node.pool === 'new').length);
    expect(shortage?.found).toBe(found === request.count ? undefined : found);
  });
});

test('MessagePack is read by msgpackr as the selection, with ids as 32 bytes', () => {
  checkEncoding((document, reader, request) => {
    const { content } = encoded(reader, 'messagepack', request);
    const nodes = document.nodes.map(node => ({ ...node, id: Buffer.from(node.id, 'hex') }));
    expect(unpack(content)).toEqual({ ...document, nodes });
  });
});

test('MessagePack has no byte after its end and no extension type in it', () => {
  checkEncoding((_, reader, request) => {
    const { content } = encoded(reader, 'messagepack', request);
    expect(lengthOf(content, 0)).toBe(content.length);
  });
});

test('records are the selection in fixed width', () => {
  checkEncoding((document, reader, request) => {
    const room = request.count * RECORD_BYTES;
    const larger = new Uint8Array(room + 16).fill(AROUND);
    const { bytes, found } = reader.selectRecords(request, larger.subarray(8, 8 + room));
    expect([found, bytes]).toEqual([document.nodes.length, document.nodes.length * RECORD_BYTES]);
    expect(document.nodes.map((_unused, i) => recordAt(larger, 8 + i * RECORD_BYTES))).toEqual(
      document.nodes,
    );
    const around = [...larger.subarray(0, 8), ...larger.subarray(8 + bytes)];
    expect(around.every(byte => byte === AROUND)).toBe(true);
  });
});

function recordAt(bytes: Uint8Array, at: number): PickedNode {
  const view = new DataView(bytes.buffer, at, RECORD_BYTES);
  const pool = view.getUint8(50);
  expect([POOL_VETTED, POOL_NEW]).toContain(pool);
  expect(view.getUint8(51)).toBe(0);
  return {
    id: Buffer.from(bytes.subarray(at, at + 32)).toString('hex'),
    ip: formatAddress(bytes.subarray(at + 32, at + 48)),
    port: view.getUint16(48, true),
    pool: pool === POOL_VETTED ? 'vetted' : 'new',
  };
}

/** Where the MessagePack value at `at` ends, for the types that an answer may have; throws on any other. */
function lengthOf(bytes: Buffer, at: number): number {
  const type = bytes[at]!;
  const values = (count: number, from: number) => {
    let end = from;
    for (let i = 0; i < count; i++) end = lengthOf(bytes, end);
    return end;
  };
  if (type <= 0x7f) return at + 1;
  if (type <= 0x8f) return values(2 * (type & 15), at + 1);
  if (type <= 0x9f) return values(type & 15, at + 1);
  if (type <= 0xbf) return at + 1 + (type & 31);
  if (type === 0xc4 || type === 0xd9) return at + 2 + bytes[at + 1]!;
  if (type === 0xdc) return values(bytes.readUInt16BE(at + 1), at + 3);
  if (type === 0xdd) return values(bytes.readUInt32BE(at + 1), at + 5);
  const fixed: Record<number, number> = { 202: 4, 203: 8, 204: 1, 205: 2, 206: 4, 207: 8 };
  const width = fixed[type];
  if (width === undefined) throw new Error(`type 0x${type.toString(16)} at ${at}`);
  return at + 1 + width;
}

describe('a buffer', () => {
  const LONGEST: NodeRow[] = Array.from({ length: 20 }, (_, number) => ({
    id: testId(number),
    ip: `2a02:c207:2299:${(0x1000 + number).toString(16)}:1111:2222:3333:4444`,
    port: 65_535,
    vetted: true,
    attributes: [],
  }));

  function longestReader() {
    const cache = new LocalCache({ capacity: 20 });
    cache.words.store(CONTROL_WORD.GENERATION, 2 ** 31 - 2);
    cache.clockMs = 0;
    cache.publish(LONGEST);
    cache.clockMs = Number.MAX_SAFE_INTEGER;
    return cache.reader();
  }

  test.each(['json', 'messagepack'] as const)(
    'of exactly the size asked for takes the longest answer there is as %s',
    format => {
      for (const count of [1, 2, 3, 19, 20]) {
        const request = { count, newFraction: 0 };
        const { content, found } = encoded(longestReader(), format, request);
        expect(found).toBe(count);
        const document = format === 'json' ? JSON.parse(content.toString()) : unpack(content);
        expect(document).toMatchObject({ generation: 2 ** 31 - 1, ageMs: Number.MAX_SAFE_INTEGER });
        expect(document.nodes[count - 1]).toMatchObject({
          ip: expect.stringMatching(/^.{39}$/),
          port: 65_535,
          pool: 'vetted',
        });
      }
    },
  );

  test.each(['json', 'messagepack'] as const)(
    'that is a byte too small for %s is refused before anything is drawn or written',
    format => {
      const cache = new LocalCache({ capacity: 20, seed: 3 });
      cache.publish(LONGEST);
      const [reader, untouched] = [cache.reader(), cache.reader(1)];
      const request = { count: 5, newFraction: 0 };
      const small = new Uint8Array(encodedBytesMax(format, 5) - 1).fill(AROUND);
      expect(() => reader.selectEncoded(format, request, small)).toThrow(RangeError);
      expect(small.every(byte => byte === AROUND)).toBe(true);
      expect(reader.select(request).nodes).toEqual(untouched.select(request).nodes);
    },
  );

  test('that is a byte too small for records is refused; one may begin anywhere', () => {
    const cache = new LocalCache({ capacity: 20 });
    cache.publish(LONGEST);
    const reader = cache.reader();
    const request = { count: 5, newFraction: 0 };
    expect(() => reader.selectRecords(request, new Uint8Array(5 * RECORD_BYTES - 1))).toThrow(RangeError);
    const larger = new Uint8Array(6 * RECORD_BYTES);
    expect(reader.selectRecords(request, larger.subarray(1, 1 + 5 * RECORD_BYTES)).found).toBe(5);
    expect(larger[0]).toBe(0);
    expect(larger.subarray(1 + 5 * RECORD_BYTES).every(byte => byte === 0)).toBe(true);
  });

  test('without a count is taken for one of 110', () => {
    const cache = new LocalCache({ capacity: 20 });
    cache.publish(LONGEST);
    const reader = cache.reader();
    expect(() => reader.selectEncoded('json', {}, new Uint8Array(encodedBytesMax('json', 109)))).toThrow(
      RangeError,
    );
    expect(reader.selectEncoded('json', {}, new Uint8Array(encodedBytesMax('json', 110))).found).toBe(20);
  });
});

test('an answer without nodes is an answer all the same', () => {
  const cache = new LocalCache({ capacity: 4 });
  cache.publish([]);
  const reader = cache.reader();
  const json = encoded(reader, 'json', { count: 3 });
  expect(json.content.toString()).toBe('{"generation":1,"ageMs":0,"nodes":[]}');
  expect(json.shortage).toMatchObject({ requested: 3, found: 0 });
  expect(unpack(encoded(reader, 'messagepack', { count: 3 }).content)).toEqual({
    generation: 1,
    ageMs: 0,
    nodes: [],
  });
  expect(reader.select({ count: 3 }).toJSON()).toMatchObject({ nodes: [], shortage: { found: 0 } });
});
