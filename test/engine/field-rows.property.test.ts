/** Rows as fields against the same rows as objects: the same snapshot, and the same counts. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { readDottedDecimal } from '../../src/engine/address/dotted-decimal.ts';
import { ByteDictionary, FULL } from '../../src/engine/byte-dictionary.ts';
import { ABSENT, FIELD, type FieldRows } from '../../src/engine/snapshot/field-rows.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { packSnapshot } from '../../src/engine/snapshot/snapshot.ts';
import { SnapshotBuilder } from '../../src/engine/snapshot/snapshot-builder.ts';
import { validateSnapshot } from '../../src/engine/snapshot/snapshot-validator.ts';
import { type FieldForm, fieldRowsOf } from '../support/field-rows.ts';
import { LocalCache } from '../support/local-cache.ts';
import { TEST_SETTINGS, testId } from '../support/population.ts';
import { checkProperty } from '../support/property.ts';

const CACHE = new LocalCache({ capacity: 40, settings: TEST_SETTINGS });
const ATTRIBUTES = CACHE.plan.attributes.length;

function built(append: (builder: SnapshotBuilder) => void) {
  const views = snapshotViews(CACHE.slots[0]!, CACHE.layout);
  const builder = new SnapshotBuilder(views, {
    plan: CACHE.plan,
    prefixBits: { ipv4: 24, ipv6: 64 },
    allowRanges: [],
    indexSeed: 7,
  });
  append(builder);
  builder.finish({ generation: 1, readAtMonotonic: 1, readAtUnix: 1 });
  validateSnapshot(views);
  return { packed: Buffer.from(packSnapshot(views)).toString('hex'), counts: builder.counts() };
}

const rows: fc.Arbitrary<NodeRow> = fc.record({
  id: fc.nat(25).map(testId),
  ip: fc.oneof(
    fc.constantFrom('20.1.2.3', '20.1.2.4', '8.8.8.8', '9.9.9.255', '100.200.10.1', '10.0.0.1', '127.0.0.1'),
    fc.constantFrom('2a02:c207::1', '2a02:c207:0:1::7', '::1', 'fe80::1'),
    fc.ipV4(),
    // ipaddr.js, which turns the text into bytes here, takes the deprecated ::1.2.3.4 for ::ffff:1.2.3.4.
    fc.ipV6().filter(text => !/^::\d+\./.test(text)),
  ),
  port: fc.oneof(fc.constantFrom(0, 1, 9, 10, 80, 443, 9001, 28_967, 32_767), fc.nat(32_767)),
  network: fc.constantFrom(undefined, '20.1.2.0', '8.8.0.0', '2a02:c207::'),
  vetted: fc.boolean(),
  ineligible: fc.constantFrom(undefined, undefined, 'suspended', 'offline'),
  attributes: fc.tuple(
    fc.constantFrom(undefined, 'DE', 'FR', '', 'Ünïcödé ✓'),
    fc.constantFrom(undefined, '0', '1', 'yes'),
  ),
});

const forms: fc.Arbitrary<FieldForm> = fc.record({
  id: fc.constantFrom('bytes', 'digits'),
  address: fc.constantFrom('text', 'bytes', 'host-port'),
  network: fc.constantFrom('text', 'bytes'),
  portBytes: fc.constantFrom(2, 4, 8),
  gap: fc.constantFrom('', '1', '.', ':80', '\0\0\0\0', '/2'),
});

test('a row that does not say whether it is vetted is new', () => {
  const list = [1, 2, 3].map(n => ({
    id: testId(n),
    ip: `20.1.${n}.3`,
    port: 80,
    vetted: true,
    attributes: [undefined, undefined],
  }));
  const form = { id: 'bytes', address: 'text', network: 'text', portBytes: 2, gap: '' } as const;
  const fields = fieldRowsOf(list, form, ATTRIBUTES);
  const unsaid = fields.places.slice();
  unsaid[2 * (FIELD.attributes + ATTRIBUTES) + 2 * FIELD.vetted] = ABSENT;
  built(builder => builder.appendFields({ ...fields, places: unsaid }));
  const { header } = snapshotViews(CACHE.slots[0]!, CACHE.layout);
  expect([header[HEADER_WORD.VETTED], header[HEADER_WORD.NEW]]).toEqual([2, 1]);
});

test('rows as fields, in any form and in any batches, make the snapshot that they make as objects', () => {
  checkProperty(
    fc.property(
      fc.array(rows, { maxLength: 35 }),
      forms,
      fc.integer({ min: 1, max: 10 }),
      (list, form, size) => {
        const asObjects = built(builder => {
          for (const row of list) builder.append(row);
        });
        const asFields = built(builder => {
          for (let at = 0; at < list.length; at += size) {
            builder.appendFields(fieldRowsOf(list.slice(at, at + size), form, ATTRIBUTES));
          }
        });
        expect(asFields).toEqual(asObjects);
      },
    ),
    { runs: 500 },
  );
});

/** One row with other bytes in one of its fields. */
function refusalOf(form: Partial<FieldForm>, change: (rows: FieldRows) => FieldRows): Record<string, number> {
  const whole: FieldForm = {
    id: 'bytes',
    address: 'host-port',
    network: 'text',
    portBytes: 4,
    gap: '',
    ...form,
  };
  const [row] = fc.sample(
    fc.constant({ id: testId(1), ip: '20.1.2.3', port: 80, vetted: true, attributes: [] }),
    1,
  );
  return built(builder => builder.appendFields(change(fieldRowsOf([row!], whole, ATTRIBUTES)))).counts
    .refused;
}

/** The rows with the bytes of field `number` in place of what is there. */
function withField(rowsBefore: FieldRows, number: number, value: Uint8Array): FieldRows {
  const bytes = Buffer.concat([rowsBefore.bytes, value]);
  const places = rowsBefore.places.slice();
  places.set([rowsBefore.bytes.length, bytes.length], 2 * number);
  return { ...rowsBefore, bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), places };
}

describe('a row whose fields', () => {
  const text = (value: string) => Buffer.from(value);
  const HOST_PORT = { address: 'host-port' } as const;
  const [ID, ADDRESS, PORT, NETWORK] = [0, 1, 2, 3];

  test.each<[string, Partial<FieldForm>, number, Uint8Array, string | undefined]>([
    ['have an id of 31 bytes', {}, ID, Buffer.alloc(31), 'id-invalid'],
    ['have an id of 64 bytes that are no digits', {}, ID, text('a'.repeat(64)), 'id-invalid'],
    ['have an id of 63 digits', { id: 'digits' }, ID, text('a'.repeat(63)), 'id-invalid'],
    ['have an id with a letter too far', { id: 'digits' }, ID, text(`${'a'.repeat(63)}g`), 'id-invalid'],
    ['have an id of upper-case digits', { id: 'digits' }, ID, text('AB'.repeat(32)), undefined],
    ['have no port after the colon', HOST_PORT, ADDRESS, text('20.1.2.3:'), 'port-invalid'],
    ['have no colon', HOST_PORT, ADDRESS, text('20.1.2.3'), 'port-invalid'],
    ['have a port with a leading zero', HOST_PORT, ADDRESS, text('20.1.2.3:00080'), undefined],
    ['have a port of sixteen digits', HOST_PORT, ADDRESS, text('20.1.2.3:0000000000000080'), 'port-invalid'],
    ['have a negative port', HOST_PORT, ADDRESS, text('20.1.2.3:-80'), 'port-invalid'],
    ['have a port of 65536', HOST_PORT, ADDRESS, text('20.1.2.3:65536'), 'port-invalid'],
    ['have a host name', HOST_PORT, ADDRESS, text('node.example:80'), 'address-invalid'],
    ['have an octet too many', HOST_PORT, ADDRESS, text('20.1.2.3.4:80'), 'address-invalid'],
    ['have a leading zero', HOST_PORT, ADDRESS, text('20.1.2.03:80'), 'address-invalid'],
    ['have brackets', HOST_PORT, ADDRESS, text('[2a02:c207::1]:80'), undefined],
    ['have brackets around IPv4', HOST_PORT, ADDRESS, text('[20.1.2.3]:80'), undefined],
    ['have IPv4 in the mapped form', HOST_PORT, ADDRESS, text('[::ffff:20.1.2.3]:80'), undefined],
    ['have IPv6 without brackets', HOST_PORT, ADDRESS, text('2a02:c207::1'), 'port-invalid'],
    ['have IPv6 without brackets and a port', HOST_PORT, ADDRESS, text('2a02::c207:80'), 'port-invalid'],
    ['have an open bracket', HOST_PORT, ADDRESS, text('[2a02:c207::1:80'), 'address-invalid'],
    ['have nothing', HOST_PORT, ADDRESS, text(''), 'address-invalid'],
    ['have digits alone', HOST_PORT, ADDRESS, text('80'), 'address-invalid'],
    ['have a colon alone', HOST_PORT, ADDRESS, text(':'), 'address-invalid'],
    [
      'have a mapped private address',
      HOST_PORT,
      ADDRESS,
      text('[::ffff:10.0.0.1]:80'),
      'special-use:private-10',
    ],
    ['have three address bytes', { address: 'bytes' }, ADDRESS, Buffer.alloc(3, 8), 'address-invalid'],
    ['have seventeen address bytes', { address: 'bytes' }, ADDRESS, Buffer.alloc(17, 8), 'address-invalid'],
    ['have a port of three bytes', { address: 'text' }, PORT, Buffer.of(0, 0, 80), 'port-invalid'],
    ['have a negative port of two bytes', { address: 'text' }, PORT, Buffer.of(0x80, 0), 'port-invalid'],
    [
      'have a port with high bits',
      { address: 'text' },
      PORT,
      Buffer.of(0, 0, 0, 1, 0, 0, 0, 80),
      'port-invalid',
    ],
    ['have an empty network', {}, NETWORK, text(''), undefined],
    ['have a network of strange length', { network: 'bytes' }, NETWORK, Buffer.alloc(9), undefined],
  ])('%s is refused for the right reason, or taken', (_, form, field, bytes, reason) => {
    expect(refusalOf(form, before => withField(before, field, bytes))).toEqual(
      reason === undefined ? {} : { [reason]: 1 },
    );
  });

  test.each([
    [ID, 'id-invalid'],
    [ADDRESS, 'address-invalid'],
    [PORT, 'port-invalid'],
  ])('have no value in field %i is refused as %s', (field, reason) => {
    const refused = refusalOf({ address: 'text' }, before => {
      before.places.set([-1, -1], 2 * field);
      return before;
    });
    expect(refused).toEqual({ [reason]: 1 });
  });
});

describe('dotted decimal, four bytes at a time,', () => {
  const read = (text: string): [number, string] => {
    const bytes = Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(16)]);
    const out = new Int32Array(1);
    const length = readDottedDecimal(new DataView(bytes.buffer, bytes.byteOffset), 0, out);
    return [length, new Uint8Array(out.buffer).join('.')];
  };

  test('is every octet at every place, whatever comes after it', () => {
    for (let octet = 0; octet < 256; octet++) {
      for (let place = 0; place < 4; place++) {
        const text = ['9', '10', '200', '0'].with(place, `${octet}`).join('.');
        for (const after of ['', ':80', ' ', '.', '\0', '/24']) {
          expect(read(text + after), text + after).toEqual([text.length, text]);
        }
      }
    }
  });

  test('is nothing else', () => {
    const parts = fc.constantFrom(
      '0',
      '00',
      '1',
      '01',
      '25',
      '255',
      '256',
      '999',
      '1000',
      '',
      ' 1',
      'a',
      ':',
      '-1',
    );
    const dots = fc.constantFrom('.', '.', '.', '.', '..', ':', '/', '');
    checkProperty(
      fc.property(fc.array(fc.tuple(parts, dots), { minLength: 1, maxLength: 5 }), list => {
        const text = list.flat().join('');
        const [, wanted = ''] =
          /^((?:(?:0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])\.){3}(?:0|1\d\d|2[0-4]\d|25[0-5]|[1-9]\d?))(?!\d)/.exec(
            text,
          ) ?? [];
        expect(read(text)[0], text).toBe(wanted.length);
      }),
      { runs: 20_000 },
    );
  });
});

test('a byte dictionary numbers texts as a map does, up to its limit', () => {
  const texts = fc.array(fc.oneof(fc.string({ unit: 'binary', maxLength: 5 }), fc.nat(300).map(String)), {
    maxLength: 400,
  });
  checkProperty(
    fc.property(texts, fc.integer(), fc.integer({ min: 1, max: 500 }), (list, seed, codesMax) => {
      const dictionary = new ByteDictionary(seed, codesMax);
      const model = new Map<string, number>();
      for (const given of list) {
        const text = given.toWellFormed();
        const bytes = Buffer.from(`<${text}>`);
        const code = dictionary.codeOf(bytes, 1, bytes.length - 1);
        if (!model.has(text) && model.size < codesMax) model.set(text, model.size + 1);
        expect(code).toBe(model.get(text) ?? FULL);
      }
      expect(dictionary.size).toBe(model.size);
      expect(dictionary.texts()).toEqual([...model.keys()]);
    }),
    { runs: 300 },
  );
});
