/**
 * Entry of a thread of the stress test of rings: fills slots with answers that describe themselves, or takes
 * them and checks that each is whole, used once, and good. Posts the first thing that is wrong and ends; ends
 * silently when told to stop.
 */
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { Filler, NO_ANSWER, type RingWords, sharedRingWords, Taker } from '../../src/engine/prepared/ring.ts';
import { RING_WORD, ROOM_BYTES, slotByteOffset } from '../../src/engine/prepared/ring-layout.ts';
import { pausingWords } from './pausing-words.ts';
import { ANSWERS_MAX, FILL_WORDS, HEAD_WORDS, STRESS_WORD, type StressThreadData } from './ring-stress.ts';

const { role, ring, memory, board: shared, seed } = workerData as StressThreadData;
const board = new Int32Array(shared);
const { words: real, shape } = sharedRingWords(memory);
const words: RingWords = { ...real, ...pausingWords(real, { seed, loads: 512, stores: 256, longestMs: 1 }) };
const stopped = () => Atomics.load(board, STRESS_WORD.STOP) !== 0;
const bytes = Array.from(
  { length: shape.slots },
  (_, slot) =>
    new Int32Array(memory.answers, slotByteOffset(shape, ring, slot) + ROOM_BYTES, HEAD_WORDS + FILL_WORDS),
);

function fill(): undefined {
  const filler = new Filler(words, shape, threadId);
  for (let from = 0; !stopped(); ) {
    const tenancy = filler.tenancy(ring);
    const slot = filler.claim(ring, from);
    if (slot === NO_ANSWER) continue;
    const number = Atomics.add(board, STRESS_WORD.NEXT, 1);
    if (number >= ANSWERS_MAX) return undefined;
    const seen = filler.revocations();
    const generation = Atomics.load(board, STRESS_WORD.GENERATION);
    const view = bytes[slot]!;
    view[0] = number;
    view[1] = generation;
    view[2] = Atomics.load(board, STRESS_WORD.REVOKED);
    view[3] = tenancy;
    for (let i = HEAD_WORDS; i < view.length; i++) view[i] = number;
    filler.publish(ring, slot, { generation, seen, tenancy, start: number & 0xffff, end: number & 0xff });
    Atomics.add(board, STRESS_WORD.FILLED, 1);
    from = slot + 1;
  }
  return undefined;
}

/** `owner` gives the ring to another tenant now and then; takers beside it serve the first tenant only. */
function take(): string | undefined {
  const taker = new Taker(words, shape, ring, threadId);
  const generation = () => Atomics.load(board, STRESS_WORD.GENERATION);
  if (role === 'owner') taker.adopt();
  let newest = 0;
  for (let takes = 1; !stopped(); takes++) {
    if (role === 'owner' && takes % 50_000 === 0) taker.adopt();
    const revocations = words.load(RING_WORD.REVOCATIONS);
    const slot = taker.take(generation);
    if (slot === NO_ANSWER) continue;
    const problem = answerProblem(taker, slot, { newest, revocations });
    if (problem !== undefined) return problem;
    newest = bytes[slot]![1]!;
    taker.release(slot);
    Atomics.add(board, STRESS_WORD.TAKEN, 1);
    const { generation: old, revoked, tenancy } = taker.drops;
    Atomics.store(board, STRESS_WORD.DROPPED, old + revoked + tenancy);
  }
  return undefined;
}

function answerProblem(
  taker: Taker,
  slot: number,
  { newest, revocations }: { newest: number; revocations: number },
): string | undefined {
  const view = bytes[slot]!;
  const [number, generation, revoked, tenancy] = view as unknown as [number, number, number, number];
  if (Atomics.add(board, STRESS_WORD.USES + number, 1) !== 0) return `answer ${number} is used twice`;
  if (generation < newest) return `answer ${number} is of generation ${generation}, after ${newest}`;
  // Both have counted: the revocation could be seen before the rings counted it.
  if (revoked < revocations) return `answer ${number} saw ${revoked} of ${revocations} revocations`;
  if (tenancy !== taker.tenancy) return `answer ${number} is for tenant ${tenancy}, not ${taker.tenancy}`;
  if (taker.start(slot) !== (number & 0xffff)) return `the words of answer ${number} are of another`;
  for (let round = 0; round < 2; round++) {
    for (let i = HEAD_WORDS; i < view.length; i++) {
      if (view[i] !== number) return `answer ${number} has word ${i} of answer ${view[i]}`;
    }
  }
  return undefined;
}

const problem = role === 'filler' ? fill() : take();
if (problem !== undefined) parentPort!.postMessage(problem);
