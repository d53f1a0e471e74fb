/** Random rows, good and bad, as a source might deliver them: for tests of builds and of deltas. */
import fc from 'fast-check';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { testId } from './population.ts';

/** With `allowRanges: ['benchmark']`. */
export const GOOD_IPS = [
  '20.1.2.3',
  '20.1.2.4',
  '20.1.3.4',
  '8.8.8.8',
  '198.18.0.1',
  '::ffff:20.1.2.9',
  '2a02:c207::1',
  '2a02:c207::2',
  '2A02:C207:0:1::1',
];
export const BAD_IPS: Record<string, string> = {
  '': 'address-invalid',
  '20.1.2': 'address-invalid',
  '020.1.2.3': 'address-invalid',
  'fe80::1%eth0': 'address-invalid',
  '10.0.0.1': 'special-use:private-10',
  '::ffff:127.0.0.1': 'special-use:loopback',
  'fe80::1': 'special-use:link-local',
  '2001:db8::1': 'special-use:documentation',
};

const NETWORKS = [
  undefined,
  undefined,
  '',
  '20.1.2.0',
  '20.1.2.0/24',
  '2a02:c207::/64',
  'rack 7',
  '20.1.2.77',
  'a name that is too long for a key',
];

/** Rows of some 40 ids. */
export const randomRows: fc.Arbitrary<NodeRow> = fc.record({
  id: fc.oneof(
    {
      weight: 9,
      arbitrary: fc
        .nat(40)
        .chain(number =>
          fc.constantFrom<string | Uint8Array>(
            testId(number),
            testId(number).toUpperCase(),
            new Uint8Array(Buffer.from(testId(number), 'hex')),
          ),
        ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom<string | Uint8Array>('', 'g'.repeat(64), 'a'.repeat(63), new Uint8Array(31)),
    },
  ),
  ip: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...GOOD_IPS) },
    { weight: 1, arbitrary: fc.constantFrom(...Object.keys(BAD_IPS)) },
  ),
  port: fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 1, max: 65_535 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, -1, 65_536, 1.5, Number.NaN, 2 ** 32 + 1) },
  ),
  network: fc.constantFrom(...NETWORKS),
  vetted: fc.boolean(),
  ineligible: fc.constantFrom(undefined, undefined, undefined, 'suspended', 'offline'),
  attributes: fc.tuple(
    fc.constantFrom(undefined, 'DE', 'FR', 'US', ''),
    fc.constantFrom(undefined, '0', '1', 'yes'),
  ),
});
