/** The part of the suite of buses that is about the log: order, resuming, gaps, the fence. */
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import {
  type Bus,
  comparePositions,
  LOG_START,
  type LogPosition,
  type LogRecord,
} from '../../../src/workers/bus/bus.ts';
import { type BusSubject, codeOf, Follower } from '../../support/bus-subject.ts';
import { dataRandom } from '../../support/data-random.ts';
import { SEED } from '../../support/property.ts';
import { until } from '../../support/until.ts';

const PROPERTY_RUNS = 12;
const FLEET_STARTS = 30;
let fleetNumber = 0;

/** A name that no other test of the run has. */
export function newFleet(): string {
  return `fleet${fleetNumber++}`;
}

export function at(epoch: number, seq: number): LogPosition {
  return { epoch, seq };
}

export function record(epoch: number, seq: number, text = `record ${epoch}-${seq}`): LogRecord {
  return { position: at(epoch, seq), bytes: Buffer.from(text) };
}

const texts = (records: readonly LogRecord[]) => records.map(({ bytes }) => Buffer.from(bytes).toString());

export function testLog(subject: () => BusSubject): void {
  const open: Bus[] = [];
  const newBus = async (fleet = newFleet()): Promise<Bus> => {
    const bus = await subject().open({ fleet });
    open.push(bus);
    return bus;
  };
  const followed: Follower[] = [];
  const follow = (bus: Bus, after: LogPosition): Follower => {
    const follower = new Follower(bus, after);
    followed.push(follower);
    return follower;
  };

  const closeAll = async (): Promise<void> => {
    for (const follower of followed.splice(0)) await follower.stop();
    for (const bus of open.splice(0)) await bus.close();
  };
  afterEach(closeAll);

  const tools: Tools = { newBus, follow, closeAll };
  testOrder(tools);
  testAmounts(tools);
  testGaps(tools);
  testFence(tools);
  testEndings(tools);
  testModel(newBus);
}

interface Tools {
  newBus(fleet?: string): Promise<Bus>;
  follow(bus: Bus, after: LogPosition): Follower;
  closeAll(): Promise<void>;
}

function testOrder({ newBus, follow, closeAll }: Tools): void {
  test('gives records in their order, from any position on', async () => {
    const bus = await newBus();
    const records = [record(1, 0), record(1, 1), record(1, 5), record(2, 0), record(7, 3), record(7, 4)];
    for (const each of records) await bus.append(each);
    for (const [index, after] of [LOG_START, ...records.map(({ position }) => position)].entries()) {
      const follower = follow(bus, after);
      await until('the rest of the log', () => follower.records.length === records.length - index);
      expect(follower.texts).toEqual(texts(records.slice(index)));
      expect(follower.records.map(({ position }) => position)).toEqual(
        records.slice(index).map(({ position }) => position),
      );
    }
  });

  test('follows from an empty log: records come when they are written', async () => {
    const bus = await newBus();
    expect(await bus.last()).toBeUndefined();
    const followers = [follow(bus, LOG_START), follow(bus, LOG_START)];
    for (let seq = 0; seq < 50; seq++) await bus.append(record(3, seq));
    for (const follower of followers) {
      await until('all records', () => follower.records.length === 50);
      expect(follower.positions).toEqual(Array.from({ length: 50 }, (_, seq) => `3-${seq}`));
    }
  });

  test('bears a fleet that starts all at once on an engine that knows nothing of it', async () => {
    for (let round = 0; round < FLEET_STARTS; round++) {
      const fleet = newFleet();
      const buses = await Promise.all(Array.from({ length: 6 }, () => newBus(fleet)));
      const followers = buses.map(bus => follow(bus, LOG_START));
      const codes = await Promise.all(
        buses.flatMap((bus, writer) => [
          codeOf(bus.append(record(1, 0, `of ${writer}`))),
          codeOf(bus.beat({ replica: `replica-${writer}`, bytes: Buffer.from('alive') }, 60_000)),
          codeOf(bus.pointer()),
        ]),
      );
      const expected = Array.from(codes, (_, index) => (index < buses.length - 1 ? 'BUS_FENCED' : ''));
      expect(codes.toSorted().toReversed()).toEqual(expected);
      for (const each of followers) {
        await until('the record', () => each.records.length === 1);
        expect(each.texts).toEqual(followers[0]!.texts);
      }
      await closeAll();
    }
  });
}

function testAmounts({ newBus, follow }: Tools): void {
  test('gives more records than fit into one answer, and bytes of any kind and size', async () => {
    const bus = await newBus();
    const random = dataRandom(SEED);
    const written: LogRecord[] = [];
    for (let seq = 0; seq < 300; seq++) {
      const bytes = Uint8Array.from({ length: seq % 7 === 0 ? 0 : random(600) }, () => random(256));
      written.push({ position: at(1, seq), bytes });
    }
    written.push({ position: at(1, 300), bytes: new Uint8Array(bus.recordBytesMax).fill(0xff) });
    for (const each of written) await bus.append(each);
    const follower = follow(bus, LOG_START);
    await until('all records', () => follower.records.length === written.length);
    for (const [index, { position, bytes }] of written.entries()) {
      expect(follower.records[index]!.position).toEqual(position);
      expect(Buffer.compare(follower.records[index]!.bytes, bytes)).toBe(0);
    }
  });

  test('refuses what is over the limit, and takes the next one', async () => {
    const bus = await newBus();
    const bytes = new Uint8Array(bus.recordBytesMax + 1);
    expect(await codeOf(bus.append({ position: at(1, 0), bytes }))).toBe('BUS_TOO_LARGE');
    expect(await bus.last()).toBeUndefined();
    await bus.append(record(1, 0));
    expect(await bus.last()).toEqual(at(1, 0));
  });

  test('a slow follower gets all, and holds nobody up', async () => {
    const bus = await newBus();
    const bytes = new Uint8Array(64 * 1024);
    const stop = new AbortController();
    const iterator = bus.follow(LOG_START, stop.signal);
    for (let seq = 0; seq < 10; seq++) await bus.append({ position: at(1, seq), bytes });
    let received = (await iterator.next()).value as readonly LogRecord[];
    let seen = received.length;
    // It takes its time; meanwhile others write and read.
    for (let seq = 10; seq < 200; seq++) await bus.append({ position: at(1, seq), bytes });
    const quick = follow(bus, LOG_START);
    await until('the quick one has all', () => quick.records.length === 200);
    while (seen < 200) {
      received = (await iterator.next()).value as readonly LogRecord[];
      for (const { position } of received) expect(position).toEqual(at(1, seen++));
    }
    stop.abort();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });
}

function testGaps({ newBus, follow }: Tools): void {
  test('says so when records after the position were trimmed away', async () => {
    const bus = await newBus();
    for (let seq = 0; seq < 10; seq++) await bus.append(record(1, seq));
    await bus.trim(at(1, 6));
    for (const after of [LOG_START, at(1, 0), at(1, 4)]) {
      const follower = follow(bus, after);
      await follower.ended;
      expect(follower.error?.code).toBe('BUS_GAP');
      expect(follower.records).toEqual([]);
    }
    // Of those that are left nothing is missing, also for who has the last one that is gone.
    for (const after of [at(1, 5), at(1, 8), at(1, 9)]) {
      const follower = follow(bus, after);
      await bus.append(record(2, after.seq));
      await until('the newest', () => follower.positions.at(-1) === `2-${after.seq}`);
    }
  });

  test('keeps the newest record, and the fence, when everything is trimmed away', async () => {
    const bus = await newBus();
    for (let seq = 0; seq < 5; seq++) await bus.append(record(4, seq));
    await bus.trim(at(9, 0));
    expect(await bus.last()).toEqual(at(4, 4));
    expect(await codeOf(bus.append(record(4, 4)))).toBe('BUS_FENCED');
    const [behind, next, upToDate] = [at(4, 2), at(4, 3), at(4, 4)].map(after => follow(bus, after));
    await until('the newest', () => next!.positions.join() === '4-4');
    await bus.append(record(4, 5));
    await until('the new one', () => upToDate!.positions.join() === '4-5');
    await behind!.ended;
    expect(behind!.error?.code).toBe('BUS_GAP');
  });

  test('trims by any position, also one that nobody wrote', async () => {
    const bus = await newBus();
    await bus.trim(at(1, 0));
    for (const seq of [0, 2, 4, 6]) await bus.append(record(2, seq));
    await bus.trim(at(1, 7));
    await bus.trim(at(2, 3));
    const all = follow(bus, at(2, 2));
    await until('what is left', () => all.records.length === 2);
    const trimmed = follow(bus, at(2, 0));
    await trimmed.ended;
    expect(trimmed.error?.code).toBe('BUS_GAP');
  });

  test('says so when the position is above the newest, or was never written', async () => {
    const bus = await newBus();
    const empty = follow(bus, at(1, 0));
    await empty.ended;
    expect(empty.error?.code).toBe('BUS_GAP');
    for (const seq of [0, 1, 5]) await bus.append(record(3, seq));
    for (const after of [at(3, 6), at(4, 0), at(3, 3)]) {
      const follower = follow(bus, after);
      await follower.ended;
      expect(follower.error?.code).toBe('BUS_GAP');
    }
  });
}

function testFence({ newBus, follow }: Tools): void {
  test('refuses whatever is not above all that was ever written', async () => {
    const fleet = newFleet();
    const [old, next] = [await newBus(fleet), await newBus(fleet)];
    expect(await codeOf(old.append(record(0, 0)))).toBe('BUS_FENCED');
    await old.append(record(6, 1));
    await old.append(record(6, 2));
    await next.append(record(7, 0));
    for (const [epoch, seq] of [
      [6, 3],
      [6, 2],
      [7, 0],
      [0, 9],
    ] as const) {
      expect(await codeOf(old.append(record(epoch, seq, 'too late')))).toBe('BUS_FENCED');
    }
    await next.append(record(7, 1));
    expect(await next.last()).toEqual(at(7, 1));
    const follower = follow(old, LOG_START);
    await until('all', () => follower.records.length === 4);
    expect(follower.positions).toEqual(['6-1', '6-2', '7-0', '7-1']);
    expect(follower.texts).not.toContain('too late');
  });

  test('takes the largest positions, and tells them apart', async () => {
    const bus = await newBus();
    const most = Number.MAX_SAFE_INTEGER;
    await bus.append(record(most, most - 1));
    expect(await codeOf(bus.append(record(most - 1, most)))).toBe('BUS_FENCED');
    expect(await codeOf(bus.append(record(most, most - 1)))).toBe('BUS_FENCED');
    await bus.append(record(most, most));
    expect(await bus.last()).toEqual(at(most, most));
  });

  test('of leaders that race one wins each position, and nothing is missing', async () => {
    const fleet = newFleet();
    const buses = [await newBus(fleet), await newBus(fleet), await newBus(fleet)];
    const follower = follow(buses[0]!, LOG_START);
    let wonCount = 0;
    for (let seq = 0; seq < 30; seq++) {
      const codes = await Promise.all(
        buses.map((bus, writer) => codeOf(bus.append(record(1, seq, `${seq} of ${writer}`)))),
      );
      expect(codes.toSorted()).toEqual(['', 'BUS_FENCED', 'BUS_FENCED']);
      wonCount++;
    }
    await until('all records', () => follower.records.length === wonCount);
    expect(follower.positions).toEqual(Array.from({ length: wonCount }, (_, seq) => `1-${seq}`));
  });

  test('keeps the order of appends that are made without waiting', async () => {
    const bus = await newBus();
    await Promise.all(Array.from({ length: 50 }, (_, seq) => bus.append(record(1, seq))));
    const follower = follow(bus, LOG_START);
    await until('all', () => follower.records.length === 50);
    expect(follower.positions).toEqual(Array.from({ length: 50 }, (_, seq) => `1-${seq}`));
  });
}

function testEndings({ newBus }: Tools): void {
  test('ends a follow that is told to, that is left, and whose bus is closed', async () => {
    const bus = await newBus();
    await bus.append(record(1, 0));
    const stop = new AbortController();
    const [stopped, left, closed] = [
      bus.follow(LOG_START, stop.signal),
      bus.follow(LOG_START, new AbortController().signal),
      bus.follow(LOG_START, new AbortController().signal),
    ];
    for (const iterator of [stopped, left, closed]) expect((await iterator.next()).done).toBe(false);
    const waiting = [stopped.next(), closed.next()];
    await left.return();
    stop.abort();
    expect(await waiting[0]).toEqual({ done: true, value: undefined });
    await bus.close();
    expect(await waiting[1]).toEqual({ done: true, value: undefined });
    const aborted = AbortSignal.abort();
    expect(await codeOf(bus.append(record(1, 1)))).toBe('BUS_UNAVAILABLE');
    expect(await codeOf(bus.last())).toBe('BUS_UNAVAILABLE');
    expect(await codeOf(bus.follow(LOG_START, aborted).next())).toBe('BUS_UNAVAILABLE');
    await bus.close();
  });
}

type Step = { readonly kind: 'append' | 'trim'; readonly epoch: number; readonly seq: number };

/** Any schedule of appends and trims against a plain array. */
function testModel(newBus: () => Promise<Bus>): void {
  const step = fc.record({
    kind: fc.constantFrom<Step['kind']>('append', 'append', 'append', 'trim'),
    epoch: fc.integer({ min: 0, max: 3 }),
    seq: fc.integer({ min: 0, max: 8 }),
  });

  test('takes, refuses and gives what a plain list would', async () => {
    const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async steps => {
      const bus = await newBus();
      const model: Model = { written: [], trimmedCount: 0 };
      for (const { kind, epoch, seq } of steps) {
        const position = at(epoch, seq);
        if (kind === 'trim') {
          await bus.trim(position);
          trimModel(model, position);
        } else {
          const isAbove = comparePositions(position, model.written.at(-1) ?? LOG_START) > 0;
          expect(await codeOf(bus.append(record(epoch, seq)))).toBe(isAbove ? '' : 'BUS_FENCED');
          if (isAbove) model.written.push(position);
        }
      }
      expect(await bus.last()).toEqual(model.written.at(-1));
      await checkFollow(bus, model);
      await bus.close();
    });
    await fc.assert(property, { numRuns: PROPERTY_RUNS, seed: SEED });
  });
}

interface Model {
  readonly written: LogPosition[];
  /** Of the oldest records. */
  trimmedCount: number;
}

function trimModel(model: Model, before: LogPosition): void {
  const { written } = model;
  const count = written.filter(position => comparePositions(position, before) < 0).length;
  // The newest stays.
  model.trimmedCount = Math.max(model.trimmedCount, Math.min(count, written.length - 1));
}

async function checkFollow(bus: Bus, { written, trimmedCount }: Model): Promise<void> {
  for (const [index, after] of [LOG_START, ...written].entries()) {
    const wanted = written.slice(index).map(({ epoch, seq }) => `${epoch}-${seq}`);
    const follower = new Follower(bus, after);
    const settled = () => follower.error !== undefined || follower.records.length === wanted.length;
    await until('all or a gap', settled);
    if (index < trimmedCount) expect(follower.error?.code).toBe('BUS_GAP');
    else expect(follower.positions).toEqual(wanted);
    await follower.stop();
  }
}
