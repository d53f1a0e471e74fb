/**
 * Question: what does the blueprint's rationale cost, in numbers? The same question, 110 random eligible
 * nodes on distinct networks with 5 new ones, answered by Postgres' table, by a materialized view, by Redis,
 * by objects in a Map, by ours embedded and by ours over HTTP; every answer ends as 110 objects in the
 * process that asked. Starts a real Postgres and a real Redis, and ends them.
 * Run: npm run bench:peers [-- --json] [--toy] [--large] [--only text] [--save]
 */
import { environment } from './harness/environment.ts';
import { type BenchOptions, benchOptions } from './harness/options.ts';
import { memoryOf } from './harness/process-cpu.ts';
import { type BenchResult, emit, median, rounded, withRatios } from './harness/result.ts';
import { measureDesigns, type Plan } from './peers/measure.ts';
import { peerNodes } from './peers/nodes.ts';
import { type OpenPeers, openPeers } from './peers/open-peers.ts';
import { checkAnswer, type Design, type PeerNode } from './peers/peer.ts';

const PLAN: Plan = { rounds: 9, warmupMs: 100, roundMs: 400, inFlight: [1, 16] };
const TOY: Plan = { rounds: 1, warmupMs: 5, roundMs: 20, inFlight: [1, 4] };

/** The largest installation that the blueprint describes. */
const ROWS = 10_830;
const LARGE_ROWS = 100_000;
const TOY_ROWS = 3_000;

/** Answers of each design that are looked at before anything is timed, and again after a change. */
const CHECKED_ANSWERS = 20;
/** Changes of one node each, whose cost is measured. */
const CHANGES = 5;

async function main(options: BenchOptions): Promise<void> {
  const plan = options.toy ? TOY : PLAN;
  const rows = options.toy ? TOY_ROWS : options.large ? LARGE_ROWS : ROWS;
  const nodes = peerNodes(rows, Date.now());
  const eligible = [...nodes.values()].filter(node => node.eligible).length;
  const peers = await openPeers(nodes, Math.max(...plan.inFlight));
  try {
    const about = environment(options.toy, { nodes: rows, eligible, ...peers.environment });
    const designs = peers.designs.filter(
      design => design.peer === 'embedded' || design.name.includes(options.only),
    );
    for (const design of designs) await check(design, nodes);
    const results = await resultsOf(designs, peers, nodes, plan);
    emit('peers', { environment: about, results: withRatios(results) }, options);
  } finally {
    await peers.close();
  }
}

async function check(design: Design, nodes: ReadonlyMap<string, PeerNode>): Promise<void> {
  for (let i = 0; i < CHECKED_ANSWERS; i++) {
    try {
      checkAnswer(await design.answer(), nodes);
    } catch (error) {
      throw new Error(`"${design.name}" gave a wrong answer`, { cause: error });
    }
  }
}

async function resultsOf(
  designs: readonly Design[],
  peers: OpenPeers,
  nodes: Map<string, PeerNode>,
  plan: Plan,
): Promise<BenchResult[]> {
  const ours = designs.find(design => design.peer === 'embedded');
  const floor = `${ours?.name}, 1 in flight`;
  const timings = [];
  for (const inFlight of plan.inFlight) {
    const measured = await measureDesigns(designs, inFlight, plan);
    timings.push(...[...measured].map(([design, timing]) => ({ design, inFlight, timing })));
  }
  const changes = await measureChanges(designs, peers, nodes);
  const kept = bestOfEach(designs, timings);
  const results: BenchResult[] = [];
  for (const { design, inFlight, timing } of timings) {
    const name = `${design.name}, ${inFlight} in flight`;
    const server = memoryOf(design.processes);
    results.push({
      name,
      peer: design.peer,
      kept: kept.has(design) ? 'yes' : 'no',
      in_flight: inFlight,
      ...timing,
      memory_bytes: await design.memoryBytes(),
      ...(design.processes.length === 0 || server === undefined ? {} : { server_memory_bytes: server }),
      same_chance: design.lot === 'uneven' ? 'nobody' : design.lot,
      staleness: design.staleness,
      change_us: changes.get(design) ?? Number.NaN,
      ...(name === floor ? {} : { floor }),
    });
  }
  // The one that all are compared with first.
  return results.sort((a, b) => Number(a.floor !== undefined) - Number(b.floor !== undefined));
}

/** Of each kind the one with the lowest p50 alone, among those that give everyone the same chance,
 * and nodes in hand. */
function bestOfEach(
  designs: readonly Design[],
  timings: readonly { design: Design; inFlight: number; timing: { p50_us: number } }[],
): Set<Design> {
  const alone = new Map(
    timings.filter(({ inFlight }) => inFlight === 1).map(({ design, timing }) => [design, timing.p50_us]),
  );
  const fair = designs.filter(design => design.lot !== 'uneven' && design.unread !== true);
  const best = Object.values(Object.groupBy(fair, design => design.peer)).map(some =>
    some.reduce((a, b) => (alone.get(b)! < alone.get(a)! ? b : a)),
  );
  return new Set(best);
}

/**
 * Microseconds that each design takes to know that a node has gone from the table; then its answers must be
 * right again.
 */
async function measureChanges(
  designs: readonly Design[],
  peers: OpenPeers,
  nodes: Map<string, PeerNode>,
): Promise<Map<Design, number>> {
  const samples = new Map(designs.map(design => [design, [] as number[]]));
  const leaving = [...nodes.values()].filter(node => node.eligible).slice(0, CHANGES);
  for (const node of leaving) {
    await peers.disqualify([node]);
    nodes.set(node.id, { ...node, eligible: false });
    for (const design of designs) {
      const started = performance.now();
      await design.update([node]);
      samples.get(design)!.push(1000 * (performance.now() - started));
    }
  }
  for (const design of designs) await check(design, nodes);
  return new Map([...samples].map(([design, us]) => [design, rounded(median(us))]));
}

await main(benchOptions());
