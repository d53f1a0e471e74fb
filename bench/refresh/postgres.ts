/**
 * How long a load from a real Postgres takes to the published generation, beside the same statement by `psql`
 * as COPY into /dev/null, in turns. The server, `psql` and the loader share the machine's cores.
 */
import { type ChildProcess, fork, type StdioOptions, spawn } from 'node:child_process';
import { existsSync, openSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LoadReport, openCache, postgresSource } from '../../src/index.ts';
import { startEmbeddedPostgres } from '../../src/server/demo/embedded-postgres.ts';
import { CREATE_NODES } from '../../src/server/demo/nodes-table.ts';
import { connectClient } from '../../src/workers/source/postgres/client.ts';
import { resolvePostgres } from '../../src/workers/source/postgres/options.ts';
import { findRelation, planRead } from '../../src/workers/source/postgres/read-plan.ts';
import { PostgresSession } from '../../src/workers/source/postgres/session.ts';
import { openPostgresSource } from '../../src/workers/source/postgres-source.ts';
import { selectNodes } from '../../src/workers/source/sql/nodes.ts';
import { type BenchResult, median, rounded } from '../harness/result.ts';
import type { LoadMemory } from './postgres-memory.ts';

const MEMORY_URL = new URL('./postgres-memory.ts', import.meta.url);
const NEVER_MS = 2 ** 31 - 1;
/** Late enough; a loader that never loads again notes for all nodes when their online window ends. */
const EVERY_MS = 600_000;
const MIB = 1_048_576;
/** Where Debian puts it, a folder a version; else it is looked for in PATH. */
const DEBIAN_VERSIONS = '/usr/lib/postgresql';

/** The table of the demo, which is storj's; no index, no log, all rows eligible, nine in ten vetted. */
const CREATE = CREATE_NODES.replace('CREATE TABLE', 'CREATE UNLOGGED TABLE').replace(
  'PRIMARY KEY',
  'NOT NULL',
);
const FILL = (rows: number) => `
  INSERT INTO nodes
  SELECT sha256(i::text::bytea), net || '.' || (hash & 255) || ':28967', net || '.0',
         net || '.' || (hash & 255) || ':28967', (ARRAY['DE', 'US', 'FR', 'NL', 'GB', 'FI'])[1 + hash % 6],
         2, left(md5(i::text), 8) || '@operator.example', '0x' || md5(i::text) || left(md5(i::text), 8),
         1000000000000, 1, 95, 0, true, CASE WHEN i % 10 > 0 THEN now() END, now(), now(),
         now() + interval '1 day', NULL, NULL, NULL, NULL, NULL
    FROM (SELECT i, hash,
                 (1 + (hash >> 8) % 9) || '.' || ((hash >> 12) & 255) || '.' || ((hash >> 20) & 255) AS net
            FROM (SELECT i, hashint4(i)::bigint & 2147483647 AS hash
                    FROM generate_series(1, ${rows}) i) numbers
         ) networks`;

/** `withMemory`: also loads in a process of its own, to see how much memory that takes. */
export async function postgresResults(
  rows: number,
  loads: number,
  withMemory: boolean,
): Promise<BenchResult[]> {
  const server = await startEmbeddedPostgres();
  try {
    const url = server.connectionString;
    await fill(url, rows);
    const floor = await floorOf(url);
    const floors: number[] = [];
    const reports: LoadReport[] = [];
    const cache = await openCache({
      source: postgresSource({ connectionString: url }),
      capacity: { nodes: rows, readers: 1 },
      refresh: { everyMs: EVERY_MS, timeoutMs: NEVER_MS },
      readyTimeoutMs: NEVER_MS,
    });
    try {
      for (let load = 0; load < loads; load++) {
        floors.push(await floor.run());
        const result = await cache.refresh();
        if (!result.ok) throw new Error(`the load failed: ${result.error.message}`);
        reports.push(result.report);
      }
    } finally {
      await cache.close();
    }
    const results = timeResults(rows, `${floor.name}, ${rows} rows`, floors, reports);
    return withMemory ? [...results, await memoryResult(url, rows)] : results;
  } finally {
    await server.stop();
  }
}

async function fill(url: string, rows: number): Promise<void> {
  const client = await connectClient(url, 'sortition bench');
  try {
    await client.query(CREATE);
    await client.query(FILL(rows));
    await client.query('VACUUM ANALYZE nodes');
  } finally {
    await client.end();
  }
}

/** Reads all rows and builds nothing; milliseconds from the start to the end. */
type Floor = () => Promise<number>;

/** `psql` with the statement that the source sends; without one, our own reading without a builder. */
async function floorOf(url: string): Promise<{ readonly name: string; readonly run: Floor }> {
  const psql = psqlPath();
  if (psql === undefined) {
    const source = openPostgresSource(postgresSource({ connectionString: url }));
    const run = async () => {
      const read = source.read({ attributes: [], signal: AbortSignal.timeout(NEVER_MS) });
      const started = performance.now();
      for await (const _batch of read);
      return performance.now() - started;
    };
    return { name: 'floor: the same statement read, nothing built (there is no psql)', run };
  }
  const statement = await statementOf(url);
  const run = async () => {
    const started = performance.now();
    const stdio: StdioOptions = ['ignore', openSync('/dev/null', 'w'), 'inherit'];
    await ended(spawn(psql, [url, '--no-psqlrc', '--quiet', '--command', statement], { stdio }));
    return performance.now() - started;
  };
  return { name: 'floor: psql, the same statement by COPY into /dev/null', run };
}

async function statementOf(url: string): Promise<string> {
  const options = resolvePostgres(postgresSource({ connectionString: url }));
  const session = await PostgresSession.open(options, AbortSignal.timeout(NEVER_MS));
  try {
    const { plan } = planRead(options, await findRelation(session, options), []);
    return `COPY (${selectNodes(plan)}) TO STDOUT (FORMAT binary)`;
  } finally {
    await session.close();
  }
}

function psqlPath(): string | undefined {
  const versions = existsSync(DEBIAN_VERSIONS) ? readdirSync(DEBIAN_VERSIONS).toSorted().toReversed() : [];
  const folders = versions.map(version => join(DEBIAN_VERSIONS, version, 'bin'));
  const paths = [...folders, ...(process.env.PATH ?? '').split(delimiter)].map(folder =>
    join(folder, 'psql'),
  );
  return paths.find(path => existsSync(path));
}

function timeResults(
  rows: number,
  floor: string,
  floors: readonly number[],
  reports: readonly LoadReport[],
): BenchResult[] {
  const stages = [
    ['to the published generation', ({ durationMs }: LoadReport) => durationMs],
    ['read', ({ readMs }: LoadReport) => readMs],
    ['build', ({ buildMs }: LoadReport) => buildMs],
    ['validate', ({ validateMs }: LoadReport) => validateMs],
    ['follow up, while it is served', ({ followUpMs }: LoadReport) => followUpMs],
  ] as const;
  const last = reports.at(-1)!;
  return [
    result(floor, floors, rows),
    ...stages.map(([stage, of]) => ({
      ...result(`load ${rows} from Postgres: ${stage}`, reports.map(of), rows),
      floor,
      ...(stage === stages[0][0] ? { bytes_per_node: rounded(last.snapshotBytes / last.nodes.total) } : {}),
    })),
  ];
}

function result(name: string, ms: readonly number[], rows: number): BenchResult {
  return {
    name,
    p50_us: rounded(1000 * median(ms)),
    min_us: rounded(1000 * Math.min(...ms)),
    max_us: rounded(1000 * Math.max(...ms)),
    samples: ms.length,
    ns_per_row: rounded((1e6 * median(ms)) / rows),
  };
}

async function memoryResult(url: string, rows: number): Promise<BenchResult> {
  const child = fork(fileURLToPath(MEMORY_URL), [url, String(rows)]);
  let memory: LoadMemory | undefined;
  child.on('message', message => {
    memory = message as LoadMemory;
  });
  await ended(child);
  if (memory === undefined) throw new Error('the memory bench said nothing');
  const { peakResidentBytes, slotBytes, loadMs } = memory;
  return {
    name: `resident memory at its peak, two loads of ${rows}`,
    resident_mib: rounded(peakResidentBytes / MIB),
    over_the_slots_mib: rounded((peakResidentBytes - slotBytes) / MIB),
    load_ms: rounded(loadMs),
  };
}

async function ended(child: ChildProcess): Promise<void> {
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('exit', resolve);
  });
  if (code !== 0) throw new Error(`${child.spawnfile} ended with code ${code}`);
}
