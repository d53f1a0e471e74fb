/**
 * Entry of a race test's reader thread: selects, encodes and looks up in a tight loop, and checks every
 * answer against the generation it says it is of. Posts the first thing that is wrong and ends; ends silently
 * when told to stop.
 */
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { RECORD_WORDS } from '../../native-layout/node-record.ts';
import { encodedBytesMax } from '../../src/engine/encoding/encode.ts';
import { openKernel } from '../../src/engine/kernel/open-kernel.ts';
import { placementPlan } from '../../src/engine/placement/placement-plan.ts';
import { Lease, sharedControlWords } from '../../src/engine/publication.ts';
import { Reader } from '../../src/engine/reader.ts';
import { KEY_WORDS } from '../../src/engine/selection/random.ts';
import { slotBuffer, slotLayout } from '../../src/engine/shared-memory.ts';
import { pausingWords } from './pausing-words.ts';
import { RACE_NODES, RaceBoard, type RaceThreadData } from './race-board.ts';
import { ROWS_MAX, recordsProblem, rowsOfGeneration, selfDescribingRows } from './self-describing.ts';

const { memory, kernel: module, board: shared, line, seed } = workerData as RaceThreadData;
const board = new RaceBoard(shared);
const plan = placementPlan({ placements: {}, distinctAttributes: [] });
const { words, seats } = sharedControlWords(memory.control);
/** A lease is announced only when a reader moves on: then every other time others get a moment. */
const PAUSES = { seed, loads: 512, stores: 2, longestMs: 1 };
const layout = slotLayout(RACE_NODES, plan);
const limits = { countMax: ROWS_MAX + 1, idsMax: ROWS_MAX };
const key = new Uint32Array(KEY_WORDS).fill(seed);
const reader = new Reader({
  lease: Lease.claim(pausingWords(words, PAUSES), seats, threadId),
  slots: memory.slots.map(slotBuffer),
  layout,
  plan,
  limits,
  kernel: openKernel({ module, slots: memory.slots, layout, limits, key }),
  // Generations are stamped with their own number: the age then tells the stamp.
  now: () => 2 ** 40,
});

/** More than any generation has: every answer holds all of its rows. */
const ALL = { count: ROWS_MAX + 1, newFraction: 1, fillWithNew: true };
const VETTED = { count: 2, newFraction: 0 };
const TEXT_EVERY = 64;
const REPORT_EVERY = 256;

const records = new Uint32Array((ROWS_MAX + 1) * RECORD_WORDS);
const bytes = new Uint8Array(records.buffer);
const text = new Uint8Array(encodedBytesMax('json', ROWS_MAX + 1));
let newest = 0;

function checkGeneration(generation: number): string | undefined {
  if (generation < newest) return `generation ${generation} comes after ${newest}`;
  newest = generation;
  return undefined;
}

function checkRecords(all: boolean): string | undefined {
  const { generation, found } = reader.selectRecords(all ? ALL : VETTED, bytes);
  const rows = rowsOfGeneration(generation);
  const wanted = all ? rows.all : rows.vetted;
  if (found !== wanted) return `${found} of the ${wanted} rows of generation ${generation} are found`;
  return checkGeneration(generation) ?? recordsProblem(records, found, generation);
}

/** The answers that are made of text: each must say the same as the rows of its generation. */
function checkTexts(): string | undefined {
  const { bytes: length } = reader.selectEncoded('json', ALL, text);
  const document = JSON.parse(Buffer.from(text.buffer, 0, length).toString());
  const expected = selfDescribingRows(document.generation);
  const problem = checkGeneration(document.generation) ?? sameNodes(document.nodes, expected);
  if (problem !== undefined) return `JSON: ${problem}`;
  if (document.ageMs !== 2 ** 40 - document.generation) return `JSON: the age is ${document.ageMs}`;
  const selection = reader.select(ALL);
  const inSelection =
    checkGeneration(selection.generation) ??
    sameNodes(selection.nodes, selfDescribingRows(selection.generation));
  if (inSelection !== undefined) return `select: ${inSelection}`;
  return checkLookup();
}

/** Ids of a generation are all known as long as it is current, and all unknown from then on. */
function checkLookup(): string | undefined {
  const asked = newest;
  const rows = selfDescribingRows(asked);
  const { generation, nodes, unknown } = reader.lookup(rows.map(row => row.id));
  const found = nodes.filter(node => node !== undefined);
  const problem =
    checkGeneration(generation) ??
    (generation === asked ? sameNodes(found, rows) : sameNodes(found, [])) ??
    (unknown.length === rows.length - found.length ? undefined : `${unknown.length} ids are unknown`);
  return problem === undefined ? undefined : `lookup of generation ${asked} in ${generation}: ${problem}`;
}

function sameNodes(
  nodes: readonly { id: string; ip: string; port: number; pool: string }[],
  expected: readonly { id: unknown; ip: string; port: number; vetted: boolean }[],
): string | undefined {
  if (nodes.length !== expected.length) return `${nodes.length} nodes of ${expected.length}`;
  for (const { id, ip, port, pool } of nodes) {
    const row = expected.find(candidate => candidate.id === id);
    if (row === undefined) return `node ${id} is of another generation`;
    if (row.ip !== ip || row.port !== port || (row.vetted ? 'vetted' : 'new') !== pool) {
      return `node ${id} has the address ${ip}:${port} ${pool}`;
    }
  }
  return undefined;
}

function race(): string | undefined {
  let rows = 0;
  let moves = 0;
  for (let reads = 1; ; reads++) {
    const before = newest;
    const problem = checkRecords(reads % 2 === 0) ?? (reads % TEXT_EVERY === 0 ? checkTexts() : undefined);
    if (problem !== undefined) return problem;
    rows += reads % 2 === 0 ? rowsOfGeneration(newest).all : rowsOfGeneration(newest).vetted;
    if (newest !== before) moves++;
    if (reads % REPORT_EVERY !== 0) continue;
    board.report(line, { reads: REPORT_EVERY, rows, moves, generation: newest });
    rows = 0;
    moves = 0;
    if (board.stopped) return undefined;
  }
}

try {
  const problem = race();
  if (problem !== undefined) parentPort!.postMessage(problem);
} finally {
  reader.release();
}
