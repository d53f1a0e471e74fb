/**
 * The protocol of publication as a model, in every state that it can reach; and wrong protocols, each of
 * which must fail the property beside it. What the model means, and what it leaves out: README.md beside this
 * file.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { figure, LONG, seededBugFound } from '../support/figures.ts';
import { withoutLiterals } from '../support/source-text.ts';
import { ENDS, type Verification, verify } from '../support/spin.ts';

const MODEL = join(import.meta.dirname, 'publication.pml');
const MODEL_TEXT = readFileSync(MODEL, 'utf8');
const SOURCE_TEXT = readFileSync(join(import.meta.dirname, '../../src/engine/publication.ts'), 'utf8');
const TIMEOUT_MS = LONG ? 3_600_000 : 600_000;
const STATES_MIN = 5_000_000;

interface Form {
  readonly what: string;
  readonly defines: readonly string[];
  readonly depthMax: number;
}

/** Exact numbers, and an end. */
function bounded(counts: { readers: number; publishes: number; deaths: number }): string[] {
  const { readers, publishes, deaths } = counts;
  return [
    `READERS=${readers}`,
    `PUBLISHES=${publishes}`,
    `WRITER_DEATHS=${deaths}`,
    `READER_DEATHS=${deaths}`,
  ];
}

const FORMS: readonly Form[] = [
  { what: '1 reader, without end', defines: ['READERS=1'], depthMax: 100_000 },
  { what: '2 readers, without end', defines: ['READERS=2'], depthMax: 4_000_000 },
  { what: '2 readers, 3 seats, without end', defines: ['READERS=2', 'SEATS=3'], depthMax: 5_000_000 },
  {
    what: '2 readers, 4 publishes, 1 + 1 deaths',
    defines: bounded({ readers: 2, publishes: 4, deaths: 1 }),
    depthMax: 100_000,
  },
];
const LONG_FORMS: readonly Form[] = [
  {
    what: '2 readers, 3 publishes, 2 + 2 deaths',
    defines: bounded({ readers: 2, publishes: 3, deaths: 2 }),
    depthMax: 100_000,
  },
  {
    what: '3 readers, 2 publishes, 1 + 1 deaths',
    defines: bounded({ readers: 3, publishes: 2, deaths: 1 }),
    depthMax: 100_000,
  },
];

interface Mutant {
  /** The one that catches it. */
  readonly property: string;
  readonly readers: number;
  readonly publishes?: number;
}

const MUTANTS: Readonly<Record<string, Mutant>> = {
  NO_ANNOUNCE: { property: 'whole', readers: 1 },
  NO_CONFIRM: { property: 'whole', readers: 1 },
  CONFIRMS_FIRST: { property: 'whole', readers: 1 },
  CONFIRMS_BY_NUMBER: { property: 'paid', readers: 1 },
  IGNORES_LEASES: { property: 'whole', readers: 1 },
  TAKES_CURRENT: { property: 'exclusive', readers: 1 },
  PUBLISHES_EARLY: { property: 'whole', readers: 1 },
  SCANS_EARLY: { property: 'whole', readers: 1 },
  RESCANS: { property: 'found', readers: 1 },
  SLOT_TOO_FEW: { property: 'found', readers: 1 },
  KEEPS_BUSY: { property: 'found', readers: 1 },
  NUMBER_LAST: { property: 'once', readers: 1 },
  COUNTS_BY_ITSELF: { property: 'forward', readers: 1 },
  SECOND_PUBLISHER: { property: 'whole', readers: 1 },
  CLAIMS_IN_TWO_STEPS: { property: 'alone', readers: 2 },
  REAPS_THE_LIVING: { property: 'whole', readers: 1 },
  REAPS_SEAT_FIRST: { property: 'whole', readers: 2, publishes: 3 },
  RELEASES_SEAT_FIRST: { property: 'whole', readers: 2 },
  REAPS_NO_LEASE: { property: 'clean', readers: 1 },
  NEVER_REAPS: { property: 'quiet', readers: 1 },
  TWO_BUFFERS: { property: ENDS, readers: 1 },
};

const figures: string[] = [];
let states = 0;
let seconds = 0;
afterAll(() => {
  console.log([...figures, `model: ${states} states in all, ${seconds.toFixed(0)} s, 0 errors`].join('\n'));
});

describe('the protocol holds in every state', () => {
  test.each(LONG ? [...FORMS, ...LONG_FORMS] : FORMS)(
    'of $what',
    async ({ what, defines, depthMax }) => {
      const found = await verify({ model: MODEL, defines, depthMax, timeoutMs: TIMEOUT_MS });
      states += found.states;
      seconds += found.seconds;
      figures.push(`${what}: ${figuresOf(found)}`);
      figure('G2', 'states of the model', found.states);
      expect(found.violated).toBeUndefined();
      // A step that no path reaches is a step that is not judged.
      expect(found.unreachedLines.filter(line => !linesOfInlines('judge', 'forget').has(line))).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(`and these are more than ${STATES_MIN}`, () => {
    expect(states).toBeGreaterThan(STATES_MIN);
  });

  function figuresOf({ states, transitions, depth, memoryMb, seconds }: Verification): string {
    return `${states} states, ${transitions} transitions, depth ${depth}, ${memoryMb} MB, ${seconds} s`;
  }
});

describe('a wrong protocol is caught', () => {
  test.each(Object.entries(MUTANTS))(
    '%s',
    async (mutant, { property, readers, publishes = 4 }) => {
      const defines = [...bounded({ readers, publishes, deaths: 1 }), mutant, `ONLY=${property}`];
      const variant = { model: MODEL, defines, depthMax: 1_000_000, timeoutMs: TIMEOUT_MS };
      const found = await verify(variant, { quick: true });
      figures.push(`mutant ${mutant}: ${property} fails after ${found.states} states`);
      expect(found.violated).toBe(property);
      seededBugFound('G2');
    },
    TIMEOUT_MS,
  );

  test('by each property at least once', () => {
    const properties = [...MODEL_TEXT.matchAll(/\bMUST\((\w+), /g)].map(match => match[1]!);
    const wanted = new Set([...properties.filter(name => name !== 'property'), ENDS]);
    const used = new Set(Object.values(MUTANTS).map(({ property }) => property));
    expect([...used].toSorted()).toEqual([...wanted].toSorted());
  });

  test('in each way that the model can be wrong', () => {
    const conditions = MODEL_TEXT.match(/^#(?:if|ifdef|ifndef|elif) .*/gm)!;
    const switches = conditions.flatMap(condition => condition.match(/[A-Z_]{3,}/g)!);
    const forms = ['READERS', 'SEATS', 'PUBLISHES', 'ONLY'];
    const mutants = new Set(switches.filter(name => !forms.includes(name)));
    expect([...mutants].toSorted()).toEqual(Object.keys(MUTANTS).toSorted());
  });
});

describe('the table of steps', () => {
  const ACCESS = /(?:this\.#)?words\.(?:load|store|compareExchange)\((?:[^()]|\([^()]*\))*\)/g;
  /** Functions that decide nothing: what they read is checked, or shown. */
  const NOT_MODELLED = ['sharedControlWords', 'takenSeats'];

  test('names every access of publication.ts to a control word, in its function and in its order', () => {
    const rows = MODEL_TEXT.slice(0, MODEL_TEXT.indexOf('*/')).split('\n');
    const modelled = rows.flatMap(row => {
      const access = row.match(ACCESS)?.[0];
      return access === undefined ? [] : [`${row.trim().split(/\s+/)[1]}: ${access}`];
    });
    expect(accessesOf(withoutLiterals(SOURCE_TEXT))).toEqual(modelled);
  });

  test('names steps that the model has', () => {
    const [table, program] = [MODEL_TEXT.indexOf('*/'), MODEL_TEXT.length];
    const steps = MODEL_TEXT.slice(table, program);
    const named = [...MODEL_TEXT.slice(0, table).matchAll(/ {2,}([A-Z]+(?: [A-Z]+)*)$/gm)].map(
      row => row[1]!,
    );
    expect(named.length).toBeGreaterThan(12);
    expect(named.filter(step => !new RegExp(`/\\*[^*]*\\b${step}\\b[^*]*\\*/`).test(steps))).toEqual([]);
  });

  /** `function: access` for all, in the functions that the model is about. */
  function accessesOf(code: string): string[] {
    let inside = '';
    return code.split('\n').flatMap(line => {
      inside =
        /^(?:export )?function (\w+)|^ {2}(?:static )?(\w+)\(.*\{$/.exec(line)?.slice(1).find(Boolean) ??
        inside;
      if (NOT_MODELLED.includes(inside)) return [];
      return (line.match(ACCESS) ?? []).map(access => `${inside}: ${access}`);
    });
  }
});

/** Lines of the model inside these inlines: of what they are pasted into not every branch can be reached. */
function linesOfInlines(...names: readonly string[]): Set<number> {
  const inside = new Set<number>();
  let name: string | undefined;
  for (const [index, line] of MODEL_TEXT.split('\n').entries()) {
    name = /^inline (\w+)/.exec(line)?.[1] ?? (line === '}' ? undefined : name);
    if (name !== undefined && names.includes(name)) inside.add(index + 1);
  }
  return inside;
}
