/**
 * The same question to everyone: latency alone (from the median to the 99th percentile), and answers a
 * second, by powers of ten. The best of each kind, and two that one meets more often than the best.
 */
import type { BenchReport, BenchResult } from '../harness/result.ts';
import { countText, decades, logScale, timeText } from './axis.ts';
import { environmentNumber, numberOf } from './results.ts';
import { dot, line, MARGIN, ring, svg, TOP, type Tone, text, WIDTH } from './svg.ts';

const ROW_HEIGHT = 38;
const NAMES = 206;
const GAP = 34;
const ALONE = 1;
const MANY = 16;

interface Row {
  readonly label: string;
  readonly detail: string;
  readonly tone: Tone;
  readonly is: (result: BenchResult) => boolean;
}

const kept = (peer: string) => (result: BenchResult) => result.peer === peer && result.kept === 'yes';
const named = (start: string) => (result: BenchResult) => result.name.startsWith(start);

const ROWS: readonly Row[] = [
  {
    label: 'Postgres, the table',
    detail: "the blueprint's query",
    tone: 'peer',
    is: named('table: DISTINCT ON'),
  },
  { label: 'Postgres, the table', detail: 'the best of six queries', tone: 'peer', is: kept('table') },
  { label: 'Postgres, materialized view', detail: 'the best of three', tone: 'peer', is: kept('view') },
  { label: 'Redis', detail: 'the best of five layouts', tone: 'peer', is: kept('redis') },
  { label: 'sortition over HTTP', detail: 'answers parsed', tone: 'ours', is: kept('http') },
  {
    label: 'objects in a Map',
    detail: 'copied, shuffled, filtered',
    tone: 'peer',
    is: named('objects: a Map; its values'),
  },
  { label: 'sortition embedded', detail: 'every node read', tone: 'ours', is: kept('embedded') },
  { label: 'objects in a Map', detail: 'the best of four', tone: 'peer', is: kept('objects') },
  {
    label: 'sortition embedded',
    detail: 'no node read yet',
    tone: 'ours',
    is: named('sortition: embedded, select() and no node'),
  },
];

interface Shown extends Row {
  readonly alone: BenchResult;
  /** Absent where a second answer cannot be in flight. */
  readonly many: BenchResult | undefined;
}

export function peersPlot(report: BenchReport): string {
  const rows = ROWS.flatMap(row => shown(report, row));
  const latencies = decades(
    rows.flatMap(({ alone }) => [numberOf(alone, 'p50_us'), numberOf(alone, 'p99_us')]),
  );
  const rates = decades(rows.flatMap(({ alone, many }) => [rateOf(alone), ...(many ? [rateOf(many)] : [])]));
  const panel = (WIDTH - 2 * MARGIN - NAMES - GAP) / 2;
  const first = MARGIN + NAMES;
  const second = first + panel + GAP;
  const top = TOP + 42;
  const bottom = top + rows.length * ROW_HEIGHT - 8;
  const time = logScale(latencies.min, latencies.max, first, first + panel - 20);
  const rate = logScale(rates.min, rates.max, second, second + panel - 20);
  const grid = [
    ...ticks(latencies.ticks, time, timeText, top, bottom),
    ...ticks(rates.ticks, rate, countText, top, bottom),
    text(first, TOP + 10, 'latency alone: ● median  ○ 99th percentile', { class: 'soft' }),
    text(second, TOP + 10, `answers a second: ● alone  ○ ${MANY} in flight`, { class: 'soft' }),
  ];
  const body = rows.flatMap((row, i) => drawn(row, top + i * ROW_HEIGHT + 14, time, rate));
  return svg({
    title: 'The same question to everyone: which 110 nodes?',
    subtitle:
      '105 vetted and 5 new nodes on distinct networks, as objects in the program that asked; ' +
      `${environmentNumber(report, 'nodes').toLocaleString('en-US')} rows`,
    description: rows.map(described).join('. '),
    height: bottom + 28,
    environment: report.environment,
    body: [...grid, ...body],
  });
}

function shown(report: BenchReport, row: Row): Shown[] {
  const found = (inFlight: number) =>
    report.results.find(result => row.is(result) && result.in_flight === inFlight);
  const alone = found(ALONE);
  // The best of a kind may be the one that has a row of its own already.
  const again = ROWS.slice(0, ROWS.indexOf(row)).some(before => alone !== undefined && before.is(alone));
  return alone === undefined || again ? [] : [{ ...row, alone, many: found(MANY) }];
}

function ticks(
  values: readonly number[],
  scale: (value: number) => number,
  name: (value: number) => string,
  top: number,
  bottom: number,
): string[] {
  return values.flatMap(value => [
    line(scale(value), top - 10, scale(value), bottom),
    text(scale(value), bottom + 18, name(value), { class: 'small', anchor: 'middle' }),
  ]);
}

function drawn(
  { label, detail, tone, alone, many }: Shown,
  y: number,
  time: (us: number) => number,
  rate: (perSecond: number) => number,
): string[] {
  const p50 = numberOf(alone, 'p50_us');
  const p99 = numberOf(alone, 'p99_us');
  const rates = many === undefined ? [rateOf(alone)] : [rateOf(alone), rateOf(many)];
  const strong = tone === 'ours' ? { class: 'strong' } : {};
  return [
    text(MARGIN, y, label, strong),
    text(MARGIN, y + 14, detail, { class: 'small' }),
    line(time(p50), y - 4, time(p99), y - 4, `stroke thin ${tone}`),
    ring([time(p99), y - 4], tone),
    dot([time(p50), y - 4], tone, 4.5),
    text(time(p50), y + 14, timeText(p50), { ...strong, anchor: 'middle' }),
    line(rate(rates[0]!), y - 4, rate(rates.at(-1)!), y - 4, `stroke thin ${tone}`),
    ...rates.slice(1).map(value => ring([rate(value), y - 4], tone)),
    dot([rate(rates[0]!), y - 4], tone, 4.5),
    text(rate(Math.max(...rates)), y + 14, countText(Math.max(...rates)), { ...strong, anchor: 'middle' }),
  ];
}

function rateOf(result: BenchResult): number {
  return numberOf(result, 'requests_per_second');
}

function described({ label, detail, alone, many }: Shown): string {
  const some = many === undefined ? '' : `, ${countText(rateOf(many))} with ${MANY} in flight`;
  const times = `${timeText(numberOf(alone, 'p50_us'))} median, ${timeText(numberOf(alone, 'p99_us'))} p99`;
  return `${label}, ${detail}: ${times}, ${countText(rateOf(alone))} a second${some}`;
}
