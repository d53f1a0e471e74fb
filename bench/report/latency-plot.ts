/**
 * How long single selections take, by percentile, idle and while generations are published back to back; and
 * an empty loop beside both, whose tail is the machine's.
 */
import type { BenchReport, BenchResult } from '../harness/result.ts';
import { decades, logScale, spread, timeText } from './axis.ts';
import { numberOf } from './results.ts';
import { dot, line, MARGIN, type Point, polyline, ring, svg, TOP, type Tone, text, WIDTH } from './svg.ts';

const HEIGHT = 430;
const LEFT = 76;
const LABELS = 176;
const LABEL_HEIGHT = 17;

/** Key of a result → share of calls that take no longer, and how the axis names it. */
const QUANTILES = [
  ['p50_us', 0.5, '50 %'],
  ['p90_us', 0.9, '90 %'],
  ['p99_us', 0.99, '99 %'],
  ['p999_us', 0.999, '99.9 %'],
  ['p9999_us', 0.9999, '99.99 %'],
  ['p99999_us', 0.99999, '99.999 %'],
] as const;

interface Family {
  readonly label: string;
  readonly name: string;
  readonly tone: Tone;
  readonly idle: boolean;
}

const IDLE = 'idle';
const BUSY = 'generations back to back';
const FAMILIES: readonly Family[] = [
  { label: 'select(), refreshing', name: `select, ${BUSY}`, tone: 'ours', idle: false },
  { label: 'select(), idle', name: `select, ${IDLE}`, tone: 'ours', idle: true },
  { label: 'empty loop, refreshing', name: BUSY, tone: 'floor', idle: false },
  { label: 'empty loop, idle', name: IDLE, tone: 'floor', idle: true },
];

export function latencyPlot(report: BenchReport): string {
  const families = FAMILIES.map(family => ({ ...family, result: found(report, family) }));
  const times = decades(families.flatMap(({ result }) => QUANTILES.map(([key]) => numberOf(result, key))));
  const bottom = HEIGHT - 34;
  const right = WIDTH - MARGIN - LABELS;
  // By the share that takes longer: each step to the right is a tenth of it.
  const x = (share: number) =>
    logScale(1 - QUANTILES[0][1], 1 - QUANTILES.at(-1)![1], LEFT + 24, right)(1 - share);
  const y = logScale(times.min, times.max, bottom, TOP + 12);
  const grid = times.ticks.flatMap(tick => [
    line(LEFT, y(tick), right, y(tick)),
    text(LEFT - 10, y(tick) + 4, timeText(tick), { class: 'soft', anchor: 'end' }),
  ]);
  const ticks = QUANTILES.map(([, share, name]) =>
    text(x(share), bottom + 22, name, { class: 'soft', anchor: 'middle' }),
  );
  const places = spread(
    families.map(({ result }) => y(numberOf(result, 'p99999_us'))),
    LABEL_HEIGHT,
    bottom,
  );
  const lines = families.flatMap(({ label, tone, idle, result }, i) => {
    const points = QUANTILES.map(([key, share]): Point => [x(share), y(numberOf(result, key))]);
    const mark = idle ? ring : dot;
    return [
      polyline(points, idle ? `${tone} thin dashed` : tone),
      ...points.map(point => mark(point, tone)),
      text(right + 12, places[i]! + 4, label, { class: `fill ${tone}` }),
    ];
  });
  const busy = families[0]!.result;
  return svg({
    title: 'Readers while generations replace each other',
    subtitle:
      'Latency of single calls, by the share of calls that take no longer; refreshing: ' +
      `${numberOf(busy, 'publishes_per_second')} loads a second`,
    description: families.map(described).join('. '),
    height: HEIGHT,
    environment: report.environment,
    note: `${numberOf(busy, 'samples').toLocaleString('en-US')} calls a line`,
    body: [...grid, ...ticks, ...lines],
  });
}

/** The empty loop says its length in its name. */
function found(report: BenchReport, { tone, name }: Family): BenchResult {
  const result = report.results.find(one =>
    tone === 'floor' ? one.name.startsWith('empty loop') && one.name.endsWith(name) : one.name === name,
  );
  if (result === undefined) throw new Error(`no result is named "${name}"`);
  return result;
}

function described({ label, result }: { label: string; result: BenchResult }): string {
  const times = QUANTILES.map(([key, , name]) => `${name} ${timeText(numberOf(result, key))}`);
  return `${label}: ${times.join(', ')}`;
}
