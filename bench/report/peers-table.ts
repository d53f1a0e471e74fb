/** Everything that was tried of each peer, with its figures, as a table: what was kept is bold. */
import type { BenchReport, BenchResult } from '../harness/result.ts';
import { bytesText, countText, timeText } from './axis.ts';
import { madeText, numberOf } from './results.ts';

const ALONE = 1;
const MANY = 16;

const HEAD = [
  'what answers',
  'the same chance for',
  'p50',
  'p99',
  'a second',
  `a second, ${MANY} in flight`,
  'CPU of the client',
  'CPU of the server',
  'holds',
  'a change costs',
];

export function peersTable(report: BenchReport): string {
  const { environment } = report;
  const { nodes, eligible, postgres, postgresSettings, redis } = environment;
  const rows = report.results.filter(result => result.in_flight === ALONE).map(result => row(report, result));
  const about = [
    madeText(environment, ', '),
    `${nodes} rows, ${eligible} eligible; Postgres ${postgres} (\`${postgresSettings}\`), Redis ${redis}`,
  ];
  return `${[
    '# The peers, all that was tried',
    '',
    'Drawn from `results/peers.json` by `npm run bench:report`. Bold: kept, the fastest of its kind alone',
    'among those that give everyone the same chance. How each was tuned is in [../README.md](../README.md).',
    '',
    `${about.join('. ')}.`,
    '',
    line(HEAD),
    line(HEAD.map(() => '---')),
    ...rows.map(line),
  ].join('\n')}\n`;
}

function row(report: BenchReport, alone: BenchResult): string[] {
  const name = alone.name.slice(0, alone.name.lastIndexOf(', '));
  const many = report.results.find(
    result => result.in_flight === MANY && result.name.startsWith(`${name}, ${MANY} `),
  );
  const server = numberOf(alone, 'server_cpu_us');
  return [
    alone.kept === 'yes' ? `**${name}**` : name,
    String(alone.same_chance),
    timeText(numberOf(alone, 'p50_us')),
    timeText(numberOf(alone, 'p99_us')),
    countText(numberOf(alone, 'requests_per_second')),
    many === undefined ? '' : countText(numberOf(many, 'requests_per_second')),
    timeText(numberOf(alone, 'client_cpu_us')),
    server === 0 ? '' : timeText(server),
    bytesText(numberOf(alone, 'memory_bytes')),
    alone.peer === 'table' ? '' : timeText(numberOf(alone, 'change_us')),
  ];
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
