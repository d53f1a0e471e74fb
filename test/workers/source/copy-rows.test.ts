/** Rows found in the bytes of a binary COPY: cut anywhere, with every kind of value, and garbled. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FIELD, type FieldFormat } from '../../../src/engine/snapshot/field-rows.ts';
import type { NodeRow } from '../../../src/engine/snapshot/node-row.ts';
import { type CopyColumn, CopyRows } from '../../../src/workers/source/postgres/copy-rows.ts';
import { MessageSplitter } from '../../../src/workers/source/postgres/message-splitter.ts';
import {
  type CopyValue,
  copyAnswer,
  copyHeader,
  copyRow,
  inetValue,
  int16,
  int32,
  int64,
  message,
} from '../../support/copy-stream.ts';
import { rowsOf } from '../../support/field-rows.ts';
import { checkProperty } from '../../support/property.ts';

const HOST_PORT: FieldFormat = { id: 'bytes', address: 'host-port', network: 'text' };
const TABLE: CopyColumn[] = [
  { field: FIELD.id, inet: false },
  { field: FIELD.address, inet: false },
  { field: FIELD.network, inet: false },
  { field: FIELD.vetted, inet: false },
  { field: FIELD.ineligible, inet: false },
  { field: FIELD.attributes + 1, inet: false },
];
const ATTRIBUTES = 2;

interface Decoded {
  readonly rows: NodeRow[];
  /** What the driver got. */
  readonly others: Buffer;
}

function decoded(chunks: readonly Uint8Array[], columns = TABLE, format = HOST_PORT): Decoded {
  const rows: NodeRow[] = [];
  const others: Buffer[] = [];
  const splitter = new MessageSplitter(new CopyRows(format, columns, ATTRIBUTES), bytes => {
    others.push(Buffer.from(bytes));
  });
  for (const chunk of chunks) {
    for (const some of splitter.split(Buffer.from(chunk))) rows.push(...rowsOf(some));
  }
  return { rows, others: Buffer.concat(others) };
}

function value(number: number): CopyValue[] {
  const id = Buffer.alloc(32, number);
  const vetted = Buffer.of(number % 2);
  return [
    id,
    `5.1.2.${number}:${1000 + number}`,
    number % 3 === 0 ? null : '5.1.2.0',
    vetted,
    null,
    `rack ${number}`,
  ];
}

function expected(number: number): NodeRow {
  return {
    id: Buffer.alloc(32, number).toString('hex'),
    ip: `5.1.2.${number}`,
    port: 1000 + number,
    network: number % 3 === 0 ? undefined : '5.1.2.0',
    vetted: number % 2 === 1,
    ineligible: undefined,
    attributes: [undefined, `rack ${number}`],
  };
}

const NUMBERS = [0, 1, 2, 3, 4];
const ANSWER = copyAnswer(NUMBERS.map(value));
/** All messages but CopyData. */
const OTHERS = Buffer.concat([
  message('H', Buffer.from([1, 0, 0])),
  message('c', Buffer.alloc(0)),
  message('C', Buffer.from('COPY 5\0')),
  message('Z', Buffer.from('T')),
]);

describe('the rows of a COPY', () => {
  test('are found in one chunk, and all else goes to the driver', () => {
    expect(decoded([ANSWER])).toEqual({ rows: NUMBERS.map(expected), others: OTHERS });
  });

  test('are the same wherever the stream is cut in two, and byte by byte', () => {
    const whole = { rows: NUMBERS.map(expected), others: OTHERS };
    for (let at = 0; at <= ANSWER.length; at++) {
      expect(decoded([ANSWER.subarray(0, at), ANSWER.subarray(at)]), `cut at byte ${at}`).toEqual(whole);
    }
    expect(decoded(Array.from(ANSWER, byte => Uint8Array.of(byte)))).toEqual(whole);
  });

  test('are the same in chunks of any sizes, at any place of a larger buffer', () => {
    checkProperty(
      fc.property(fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }), fc.nat(7), (sizes, shift) => {
        const padded = Buffer.concat([Buffer.alloc(shift), ANSWER]);
        const chunks: Buffer[] = [];
        for (let at = shift, i = 0; at < padded.length; i++) {
          const size = sizes[i % sizes.length]!;
          chunks.push(padded.subarray(at, at + size));
          at += size;
        }
        expect(decoded(chunks).rows).toEqual(NUMBERS.map(expected));
      }),
    );
  });

  test('may be more than there was room for, and none at all', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => i % 200);
    expect(decoded([copyAnswer(many.map(value))]).rows).toEqual(many.map(expected));
    expect(decoded([copyAnswer([])]).rows).toEqual([]);
  });

  test('may be longer than many chunks', () => {
    const long = value(1).with(5, 'x'.repeat(1_000_000));
    const answer = copyAnswer([value(0), long, value(2)]);
    const chunks = Array.from({ length: Math.ceil(answer.length / 1000) }, (_, i) =>
      answer.subarray(1000 * i, 1000 * (i + 1)),
    );
    const { rows } = decoded(chunks);
    expect(rows.map(row => row.attributes[1]?.length)).toEqual([6, 1_000_000, 6]);
  });

  test('may stand behind a header with flags and an extension that need not be known', () => {
    const head = copyHeader(0x0000_00ff, Buffer.from('anything'));
    expect(decoded([message('d', Buffer.concat([head, copyRow(value(7))]))]).rows).toEqual([expected(7)]);
  });

  test('are read as addresses, ports and networks of their types', () => {
    const columns: CopyColumn[] = [
      { field: FIELD.id, inet: false },
      { field: FIELD.address, inet: true },
      { field: FIELD.port, inet: false },
      { field: FIELD.network, inet: true },
      { field: FIELD.vetted, inet: false },
    ];
    const format: FieldFormat = { id: 'digits', address: 'bytes', network: 'bytes' };
    const wide = Buffer.from([0x2a, 1, ...Array(13).fill(0), 7]);
    const narrow = Buffer.from([5, 1, 2, 3]);
    const yes = Buffer.of(1);
    const { rows } = decoded(
      [
        copyAnswer([
          ['aa', inetValue(narrow, 24), int16(-1), inetValue(narrow), yes],
          ['bb', inetValue(wide), int32(28_967), inetValue(wide, 64), yes],
          [null, null, int64(2 ** 40), null, yes],
          ['', Buffer.from([2, 32]), null, Buffer.alloc(0), yes],
        ]),
      ],
      columns,
      format,
    );
    const given = rows.map(({ id, ip, port, network }) => [id, ip, port, network]);
    expect(given).toEqual([
      ['aa', '5.1.2.3', -1, '5.1.2.3'],
      ['bb', '2a01::7', 28_967, '2a01::7'],
      ['', '', 2 ** 40, undefined],
      ['', '', Number.NaN, undefined],
    ]);
  });
});

describe('a garbled answer', () => {
  const row = copyRow(value(1));
  const body = (...parts: Uint8Array[]) => message('d', Buffer.concat(parts));
  const head = copyHeader();
  const withLength = (length: number) => Buffer.concat([int16(6), int32(length), Buffer.alloc(40)]);

  test.each<[string, Buffer, RegExp]>([
    ['without a signature', body(row), /signature/],
    ['with half a signature', body(head.subarray(0, 10)), /signature/],
    ['with a flag that must be known', body(copyHeader(0x0001_0000), row), /flags 0x10000/],
    ['with an extension that ends later', body(head.subarray(0, 15), int32(99), row), /header is cut off/],
    ['with a field too few', body(head, copyRow(value(1).slice(1))), /5 of 6 fields/],
    ['with a field too many', body(head, copyRow([...value(1), null])), /7 of 6 fields/],
    ['with no fields', body(head, int16(0)), /0 of 6 fields/],
    ['with a field longer than its row', body(head, withLength(41)), /field of 41 bytes/],
    ['with a field of a negative length', body(head, withLength(-2)), /field of -2 bytes/],
    ['with a field of 2 GiB', body(head, withLength(2 ** 31 - 1)), /field of 2147483647 bytes/],
    ['with a row that ends in a field', body(head, row.subarray(0, -1)), /field of 6 bytes/],
    ['with a row that ends in a length', body(head, row.subarray(0, -8)), /row is cut off/],
    ['with a row that ends in its count', body(head, row, Uint8Array.of(0)), /within its count/],
    ['with a row behind the last', body(head, int16(-1), row), /follows the last row/],
    ['with a message shorter than its head', Buffer.from([0x64, 0, 0, 0, 3]), /message of 3 bytes/],
    ['with a message without end', Buffer.from([0x64, 0x7f, 0xff, 0xff, 0xff]), /the limit is/],
  ])('%s throws SOURCE_FAILED that says so', (_, answer, problem) => {
    const failure = expect.objectContaining({
      code: 'SOURCE_FAILED',
      message: expect.stringMatching(problem),
    });
    expect(() => decoded([answer])).toThrow(failure);
    expect(() => decoded(Array.from(answer, byte => Uint8Array.of(byte)))).toThrow(failure);
  });

  test('of random bytes never ends in anything but an error with a code', () => {
    checkProperty(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, begun) => {
        const answer = begun ? message('d', Buffer.concat([head, bytes])) : bytes;
        try {
          decoded([answer]);
        } catch (error) {
          expect(error).toMatchObject({ code: 'SOURCE_FAILED' });
        }
      }),
      { runs: 2000 },
    );
  });
});
