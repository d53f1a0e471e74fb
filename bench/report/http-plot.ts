/**
 * Requests a second of each server, and the CPU time of a request, that of its workers included: ours between
 * floors and peer.
 */
import type { BenchReport, BenchResult } from '../harness/result.ts';
import { countText, linearScale, timeText } from './axis.ts';
import { numberOf } from './results.ts';
import { bar, MARGIN, svg, TOP, type Tone, text, WIDTH } from './svg.ts';

const CONNECTIONS = 64;
const ROW_HEIGHT = 30;
const BAR_HEIGHT = 16;
const NAMES = 312;
const GAP = 28;
/** Room for the value after the longest bar. */
const VALUE = 62;

interface Served {
  readonly name: string;
  readonly tone: Tone;
  readonly perSecond: number;
  readonly cpuUs: number;
}

export function httpPlot(report: BenchReport): string {
  const suffix = `, ${CONNECTIONS} connections`;
  const servers = report.results.filter(({ name }) => name.endsWith(suffix)).map(one => served(one, suffix));
  if (servers.length === 0) throw new Error(`no result is one of ${CONNECTIONS} connections`);
  const panel = (WIDTH - 2 * MARGIN - NAMES - GAP) / 2;
  const first = MARGIN + NAMES;
  const second = first + panel + GAP;
  const rate = linearScale(Math.max(...servers.map(one => one.perSecond)), 0, panel - VALUE);
  const cost = linearScale(Math.max(...servers.map(one => one.cpuUs)), 0, panel - VALUE);
  const top = TOP + 30;
  const rows = servers.flatMap(({ name, tone, perSecond, cpuUs }, i) => {
    const y = top + i * ROW_HEIGHT;
    const baseline = y + BAR_HEIGHT - 3;
    const strong = tone === 'ours' ? { class: 'strong' } : {};
    return [
      text(first - 14, baseline, name, { anchor: 'end' }),
      bar(first, y, rate(perSecond), BAR_HEIGHT, tone),
      text(first + rate(perSecond) + 8, baseline, countText(perSecond), strong),
      bar(second, y, cost(cpuUs), BAR_HEIGHT, tone),
      text(second + cost(cpuUs) + 8, baseline, timeText(cpuUs), strong),
    ];
  });
  return svg({
    title: 'HTTP: answers of one thread, between floors and objects',
    subtitle:
      `110 nodes as JSON, ${CONNECTIONS} connections that stay open, on loopback; ` +
      'constants send ready bytes of the same size',
    description: servers
      .map(one => `${one.name}: ${countText(one.perSecond)} requests a second, ${timeText(one.cpuUs)} each`)
      .join('. '),
    height: top + servers.length * ROW_HEIGHT + 4,
    environment: report.environment,
    note: 'the load has the other core',
    body: [
      text(first, TOP + 14, 'requests a second', { class: 'soft' }),
      text(second, TOP + 14, 'CPU of its process a request', { class: 'soft' }),
      ...rows,
    ],
  });
}

function served(result: BenchResult, suffix: string): Served {
  const name = result.name.slice(0, -suffix.length);
  return {
    name,
    tone: name.startsWith('sortition') ? 'ours' : name.includes('constant') ? 'floor' : 'peer',
    perSecond: numberOf(result, 'requests_per_second'),
    cpuUs: numberOf(result, 'process_cpu_us'),
  };
}
