/** The tables of figures in the README, by the names of their marks. */
import type { BenchReport, BenchResult } from '../harness/result.ts';
import { timeText } from './axis.ts';
import { numberOf } from './results.ts';

const SIZES = [1_000, 10_000, 100_000, 1_000_000, 10_000_000] as const;
const CONNECTIONS = [1, 64, 512] as const;
const NOTHING = '–';

/** Label and name of the result; `ours` is bold. */
interface Line {
  readonly label: string;
  readonly name: string;
  readonly ours?: boolean;
}

const SELECT_LINES: readonly Line[] = [
  {
    label: 'floor: copying 110 random records out of the shared memory',
    name: 'floor: copy 110 random records',
  },
  { label: 'floor: the same records by C, with AVX-512', name: 'floor: C, records' },
  {
    label: 'floor: by C with the 128-bit vectors that WebAssembly has',
    name: 'floor: C, records, 128 bits',
  },
  { label: '`selectRecords()`', name: 'sortition: records', ours: true },
  { label: '`select()`', name: 'sortition: select', ours: true },
  {
    label: '`select()`, then every node read as an object',
    name: 'sortition: select, all nodes read as objects',
    ours: true,
  },
  { label: "`selectEncoded('messagepack')`, 8.3 kB", name: 'sortition: MessagePack', ours: true },
  { label: "`selectEncoded('json')`, 13.5 kB", name: 'sortition: JSON', ours: true },
  { label: 'the same JSON by C, with AVX-512', name: 'floor: C, JSON' },
  { label: 'the same JSON by C, 128 bits', name: 'floor: C, JSON, 128 bits' },
  {
    label: '`select()` with 90 ids excluded and 80 held, as text',
    name: 'sortition: select, exclude 90, held 80, as text',
  },
  {
    label: 'the same, each list of ids as bytes in one piece',
    name: 'sortition: select, exclude 90, held 80, as bytes in one piece',
  },
  {
    label: 'JavaScript objects, rejection with a `Set` of networks, `Math.random`',
    name: 'objects: rejection, Set of networks',
  },
  {
    label: 'JavaScript objects, `sampleSize` as in lodash, then filter',
    name: 'objects: sampleSize as lodash, then filter',
  },
  { label: 'JavaScript objects, shuffle, then filter', name: 'objects: shuffle all, then filter' },
  {
    label: 'JavaScript objects, rejection, then `JSON.stringify`',
    name: 'objects: rejection, then JSON.stringify',
  },
];

const SIZE_LINES: readonly Line[] = [
  { label: '`select()`', name: 'sortition: select' },
  { label: '`selectRecords()`', name: 'sortition: records' },
  { label: "`selectEncoded('json')`", name: 'sortition: JSON' },
  { label: 'objects, rejection', name: 'objects: rejection' },
];

const HTTP_LINES: readonly Line[] = [
  { label: 'Fastify, constant bytes', name: 'Fastify, constant bytes' },
  { label: 'plain `node:http`, constant bytes', name: 'node:http, constant bytes' },
  { label: 'in place', name: 'sortition, in place', ours: true },
  {
    label: 'prepared (its worker shares the second core with the load)',
    name: 'sortition, prepared',
    ours: true,
  },
  { label: 'in place, URLs never seen before', name: 'sortition, in place, URLs never seen before' },
  {
    label: 'plain `node:http`, constant bytes to a POST of 90 ids that it drops',
    name: 'node:http, constant bytes to a POST of 90',
  },
  { label: 'in place, 90 ids excluded by POST', name: 'sortition, in place, exclude of 90 by POST' },
  { label: 'from the pool', name: 'sortition, from the pool' },
  { label: 'Fastify, objects and `JSON.stringify`', name: 'Fastify, objects and JSON.stringify' },
];

const OVERLOAD_LINES: readonly Line[] = [
  { label: 'one selection, 512 connections', name: 'selection' },
  { label: 'one selection, 5,000 connections', name: 'selection, many connections' },
  { label: 'a batch of 100, 512 connections', name: 'batch of 100' },
];

const FRESH_LINES: readonly Line[] = [
  {
    label: 'same process, two threads that select 5,200 times a second',
    name: 'same process, 2 threads, paced readers',
  },
  {
    label: 'the same, threads that do nothing but select, on both cores',
    name: 'same process, 2 threads, readers at full speed',
  },
  { label: 'three other replicas, over Redis', name: '3 other replicas over redis, paced readers' },
  {
    label: 'three other replicas, over NATS JetStream',
    name: '3 other replicas over nats, paced readers',
  },
  { label: 'three other replicas, over Postgres', name: '3 other replicas over postgres, paced readers' },
];

/** The reports by the names of their files. */
export type Reports = (file: string) => BenchReport;

/** Each table by the name of its marks. */
export function readmeTables(reports: Reports): Map<string, string> {
  return new Map([
    ['selections', selections(results(reports('select.json')))],
    ['sizes', sizes(results(reports('select.json')))],
    ['http', http(results(reports('http.json')))],
    ['overload', overload(results(reports('overload.json')))],
    ['freshness', freshness(results(reports('fresh.json')))],
  ]);
}

const MARKED = /<!-- figures: (?!end )(.*?) -->\n(?:(?!<!-- figures: )[\s\S])*<!-- figures: end -->/g;

/** `text` with the tables between their marks. Throws when it has not a place for each, and no other. */
export function withTables(text: string, tables: ReadonlyMap<string, string>): string {
  const places: string[] = [];
  const result = text.replace(MARKED, (_, name: string) => {
    places.push(name);
    return `<!-- figures: ${name} -->\n${tables.get(name)}\n<!-- figures: end -->`;
  });
  const marks = text.match(/<!-- figures: /g)?.length;
  const wanted = [...tables.keys()].sort().join(', ');
  if (places.sort().join(', ') !== wanted || marks !== 2 * tables.size) {
    throw new Error(`there are places for the figures ${places.join(', ')}; wanted: ${wanted}`);
  }
  return result;
}

type Results = (name: string) => BenchResult | undefined;

function results({ results: all }: BenchReport): Results {
  const byName = new Map(all.map(result => [result.name, result]));
  return name => byName.get(name);
}

function found(of: Results, name: string): BenchResult {
  const result = of(name);
  if (result === undefined) throw new Error(`there is no result "${name}"`);
  return result;
}

function selections(of: Results): string {
  const rows = SELECT_LINES.map(({ label, name, ours }) => {
    const result = found(of, name);
    return [
      bold(label, ours),
      bold(micros(numberOf(result, 'p50_us')), ours),
      micros(numberOf(result, 'p99_us')),
    ];
  });
  return table(['one selection (`npm run bench:select`)', 'p50', 'p99'], rows);
}

function sizes(of: Results): string {
  const rows = SIZE_LINES.map(({ label, name }) => [
    label,
    ...SIZES.map(size => {
      const result = of(`${name} of ${size}`);
      return result === undefined ? NOTHING : micros(numberOf(result, 'p50_us'));
    }),
  ]);
  return table(['out of so many nodes', ...SIZES.map(count)], rows);
}

function http(of: Results): string {
  const rows = HTTP_LINES.map(({ label, name, ours }) => {
    const at = (connections: number) =>
      found(of, `${name}, ${connections} connection${connections === 1 ? '' : 's'}`);
    const rates = CONNECTIONS.map(connections => count(numberOf(at(connections), 'requests_per_second')));
    const cpu = ['http_thread_cpu_us', 'process_cpu_us'].map(key => numberOf(at(64), key).toFixed(1));
    return [
      bold(label, ours),
      rates[0]!,
      bold(rates[1]!, ours),
      rates[2]!,
      cpu.map(us => `${us} µs`).join(', '),
    ];
  });
  const head = 'one HTTP thread, 13.5 kB of JSON (`npm run bench:http`)';
  return table(
    [head, '1 connection', '64 connections', '512', 'CPU of the thread, of the process (64)'],
    rows,
  );
}

function overload(of: Results): string {
  const rows = OVERLOAD_LINES.map(({ label, name }) => {
    const result = found(of, `${name}: 5 × peak`);
    const refused = numberOf(result, 'refused_per_second');
    return [
      label,
      count(numberOf(found(of, `${name}: peak`), 'requests_per_second')),
      `${(100 * numberOf(result, 'of_peak')).toFixed(0)} %`,
      refused === 0 ? 'none' : `${count(refused)}, ${millis(numberOf(result, 'refused_p99_us'))}`,
      timeText(numberOf(result, 'probe_p99_us')),
      timeText(numberOf(result, 'own_probe_p99_us')),
      `${numberOf(result, 'rss_MiB')} MiB`,
    ];
  });
  const head = 'five times as much is asked as can be answered (`npm run bench:overload`)';
  const probes = ['a probe on the data port, p99', 'on one of its own, p99'];
  return table(
    [head, 'answers a second at the peak', 'of it now', 'refused a second, p99', ...probes, 'resident'],
    rows,
  );
}

function freshness(of: Results): string {
  const rows = FRESH_LINES.map(({ label, name }) => {
    const result = found(of, name);
    const floor = found(of, String(result.floor));
    const times = [numberOf(result, 'p50_us'), numberOf(result, 'p99_us'), numberOf(floor, 'p99_us')];
    return [label, ...times.map(millis)];
  });
  const head = 'from the commit in Postgres to the last thread that picks the node (`npm run bench:fresh`)';
  return table([head, 'p50', 'p99', 'a bare `LISTEN` hears of it, p99'], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function bold(text: string, ours = false): string {
  return ours ? `**${text}**` : text;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function micros(us: number): string {
  return `${threeDigits(us)} µs`;
}

function millis(us: number): string {
  return `${Number((us / 1_000).toPrecision(2))} ms`;
}

function threeDigits(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
