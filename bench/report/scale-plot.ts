/** The time of an answer by the number of nodes it is picked from: both axes by powers of ten. */
import type { BenchReport } from '../harness/result.ts';
import { countText, decades, logScale, spread, timeText } from './axis.ts';
import { numberOf } from './results.ts';
import { dot, line, MARGIN, type Point, polyline, svg, TOP, type Tone, text, WIDTH } from './svg.ts';

const HEIGHT = 430;
const LEFT = 76;
const LABELS = 184;
const LABEL_HEIGHT = 17;

interface Family {
  readonly label: string;
  readonly tone: Tone;
  /** With the number of nodes as its only group. */
  readonly name: RegExp;
}

const FAMILIES: readonly Family[] = [
  { label: 'JavaScript objects', tone: 'peer', name: /^objects: rejection of (\d+)$/ },
  { label: 'selectEncoded, JSON', tone: 'ours-third', name: /^sortition: JSON of (\d+)$/ },
  { label: 'select()', tone: 'ours', name: /^sortition: select of (\d+)$/ },
  { label: 'selectRecords', tone: 'ours-too', name: /^sortition: records of (\d+)$/ },
  { label: 'floor: records in C', tone: 'floor', name: /^floor: C, records of (\d+)$/ },
  { label: 'floor: copy records', tone: 'floor', name: /^floor: copy 110 random records of (\d+)$/ },
];

interface Measured {
  readonly rows: number;
  readonly us: number;
}

export function scalePlot(report: BenchReport): string {
  const families = FAMILIES.map(family => ({ ...family, measured: measuredOf(report, family) })).filter(
    ({ measured }) => measured.length > 0,
  );
  const all = families.flatMap(({ measured }) => measured);
  const rows = decades(all.map(one => one.rows));
  const times = decades(all.map(one => one.us));
  const bottom = HEIGHT - 34;
  const right = WIDTH - MARGIN - LABELS;
  const x = logScale(rows.min, rows.max, LEFT, right);
  const y = logScale(times.min, times.max, bottom, TOP + 12);
  const grid = times.ticks.flatMap(tick => [
    line(LEFT, y(tick), right, y(tick)),
    text(LEFT - 10, y(tick) + 4, timeText(tick), { class: 'soft', anchor: 'end' }),
  ]);
  const ticks = rows.ticks.map(tick =>
    text(x(tick), bottom + 22, countText(tick), { class: 'soft', anchor: 'middle' }),
  );
  const ends = families.map(({ measured }) => y(measured.at(-1)!.us));
  const places = spread(ends, LABEL_HEIGHT, bottom);
  const lines = families.flatMap(({ label, tone, measured }, i) => {
    const points = measured.map((one): Point => [x(one.rows), y(one.us)]);
    const [endX, endY] = points.at(-1)!;
    const last = timeText(measured.at(-1)!.us);
    const kind = tone === 'floor' ? 'floor thin dashed' : tone;
    // A line that ends early has its label there, and not in the margin where the others are.
    return [
      polyline(points, kind),
      ...points.map(point => dot(point, tone)),
      endX < right - 1
        ? text(endX + 10, endY + 4, `${label}, ${last}`, { class: `fill ${tone}` })
        : text(right + 12, places[i]! + 4, `${label}, ${last}`, { class: `fill ${tone}` }),
    ];
  });
  return svg({
    title: 'One answer of 110 nodes, out of ever more nodes',
    subtitle:
      'Median time of a call on one thread, by the number of nodes in the cache; both scales logarithmic',
    description: families.map(described).join('. '),
    height: HEIGHT,
    environment: report.environment,
    body: [...grid, ...ticks, text(right + 36, bottom + 22, 'nodes', { class: 'soft' }), ...lines],
  });
}

function measuredOf(report: BenchReport, { name }: Family): Measured[] {
  return report.results
    .flatMap(result => {
      const rows = name.exec(result.name)?.[1];
      return rows === undefined ? [] : [{ rows: Number(rows), us: numberOf(result, 'p50_us') }];
    })
    .sort((a, b) => a.rows - b.rows);
}

function described({ label, measured }: { label: string; measured: readonly Measured[] }): string {
  return `${label}: ${measured.map(({ rows, us }) => `${timeText(us)} of ${countText(rows)}`).join(', ')}`;
}
