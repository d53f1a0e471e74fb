/**
 * A replica's content in simulations, and its loader when it leads. Checks what the machines promise its
 * real counterpart: one thing at a time, deltas only onto what they were made from, never back in the log.
 */
import { comparePositions, type LogPosition } from '../../../src/workers/bus/bus.ts';
import type { Held, PackedSnapshot, Provenance, ReplicaStore } from '../../../src/workers/fleet/store.ts';
import type { Revocation } from '../../../src/workers/fleet/wire/records.ts';
import type { RefusalReason } from '../../../src/workers/fleet/wire/seal.ts';
import { applyDelta, packDelta, packRows, type Rows, ToyDigest, unpackRows } from './toy-content.ts';
import type { Read, ToySource } from './toy-source.ts';
import type { Cell } from './world.ts';

/** What the loader tells the member. */
export interface LoaderVoice {
  changed(change: {
    from: string;
    to: string;
    bytes: Uint8Array | undefined;
    readAtMs: number;
    askedAtMs: number;
  }): void;
  takenOut(ids: readonly Uint8Array[]): void;
  confirmed(): void;
}

/** What is on a replica's disk. */
export interface DiskCopy {
  readonly rows: Rows;
  readonly digest: string;
  readonly readAtUnixMs: number;
}

export interface StoreTimes {
  /** Longest time that publishing takes. */
  publishMs: number;
  loadMs: number;
  /** Chance that publishing fails for a passing reason. */
  failure: number;
}

interface Content {
  readonly rows: Rows;
  readonly digest: string;
}

const NO_DELTA_CHANCE = 0.03;
const NOTICE_MS = { least: 2, most: 15 };
const CHANGES_READ_MS = { least: 2, most: 15 };
const RELOAD_EVERY_MS = 1_500;
const RETRY_MS = { least: 50, most: 400 };
const SOURCE_TIMEOUT_MS = 300;

/** Ids of rows begin here: those below it are for nodes that somebody revokes. */
const ROW_KEY = 2 ** 20;

/** Loads by replicas themselves, with a permit, that are under way, over all replicas. */
export class LoadCount {
  readonly under = new Set<Cell>();
  most = 0;
  total = 0;

  /** A process that is killed loads no longer. */
  get now(): number {
    let count = 0;
    for (const cell of this.under) if (cell.state !== 'dead') count++;
    return count;
  }
}

export class ToyStore implements ReplicaStore {
  readonly times: StoreTimes = { publishMs: 3, loadMs: 60, failure: 0 };
  readonly #cell: Cell;
  readonly #source: ToySource;
  readonly #layout: number;
  readonly #loads: LoadCount;
  readonly #permission: () => 'given' | 'unanswered' | 'none';
  readonly #refuse: (reason: RefusalReason, message: string) => Error;
  voice: LoaderVoice | undefined;
  /** Times that rest on wall clocks, or on what the bus says, may be wrong. */
  areTimesWrong = () => false;
  #content: Content | undefined;
  #readAtMs = 0;
  #position: LogPosition | undefined;
  #isBusy = false;
  #leading = 0;
  readonly #revoked = new Map<number, number>();
  /** Rows that the source has told of: out until they are answered, or their time is over. */
  readonly #outs = new Map<number, { readonly sinceMs: number; readonly untilMs: number }>();
  /** The same, and those that were answered: they must not be seen again. */
  readonly #everOut = new Map<number, number>();
  disk: DiskCopy | undefined;
  isReadProven = false;

  constructor(options: {
    cell: Cell;
    source: ToySource;
    layout: number;
    loads: LoadCount;
    /** Of the offices, to load: given, not to be had because they do not answer, or not given. */
    permission: () => 'given' | 'unanswered' | 'none';
    disk: DiskCopy | undefined;
    refuse: (reason: RefusalReason, message: string) => Error;
  }) {
    this.#cell = options.cell;
    this.#source = options.source;
    this.#layout = options.layout;
    this.#loads = options.loads;
    this.#permission = options.permission;
    this.#refuse = options.refuse;
    const { disk, cell } = options;
    if (disk === undefined) return;
    this.disk = disk;
    this.#content = disk;
    this.#readAtMs = cell.clock.nowMs() - Math.max(0, cell.clock.unixMs() - disk.readAtUnixMs);
  }

  held(): Held | undefined {
    if (this.#content === undefined) return undefined;
    return { digest: this.#content.digest, readAtMs: this.#readAtMs };
  }

  snapshot(): PackedSnapshot | undefined {
    if (this.#content === undefined) return undefined;
    return { digest: this.#content.digest, bytes: packRows(this.#content.rows, this.#layout) };
  }

  async takeSnapshot(bytes: Uint8Array, digest: string, provenance: Provenance): Promise<void> {
    await this.#alone('takeSnapshot', async () => {
      const unpacked = unpackRows(bytes);
      if (unpacked === undefined) throw this.#refuse('corrupt', 'these are no rows');
      if (unpacked.layout !== this.#layout) throw this.#refuse('layout', `layout ${unpacked.layout}`);
      await this.#work();
      this.#publish(this.#checked(unpacked.rows, digest), provenance);
    });
  }

  async takeDelta(
    bytes: Uint8Array,
    { from, to }: { from: string; to: string },
    provenance: Provenance,
  ): Promise<void> {
    await this.#alone('takeDelta', async () => {
      const content = this.#content;
      if (content?.digest !== from) {
        this.#fail(`is given changes to ${from.slice(0, 8)} while it holds ${content?.digest.slice(0, 8)}`);
      }
      const rows = content === undefined ? undefined : applyDelta(content.rows, bytes);
      if (rows === undefined) throw this.#refuse('corrupt', 'these are no changes');
      await this.#work();
      this.#publish(this.#checked(rows, to), provenance);
    });
  }

  async loadFromSource(signal: AbortSignal): Promise<void> {
    await this.#alone('loadFromSource', async () => {
      const permission = this.#permission();
      if (permission === 'none') this.#fail('loads without a permit');
      if (permission === 'given') this.#loads.under.add(this.#cell);
      this.#loads.total++;
      this.#loads.most = Math.max(this.#loads.most, this.#loads.now);
      try {
        const { read, beganMs } = await this.#read(this.times.loadMs, () => signal.aborted);
        this.#cell.world.note(`${this.#cell.name} has loaded by itself`);
        this.#publishOwn(read, beganMs);
      } finally {
        this.#loads.under.delete(this.#cell);
      }
    });
  }

  confirm(readAtMs: number): void {
    if (this.#content === undefined) this.#fail('is told that nothing is still right');
    this.#readAtMs = readAtMs;
  }

  /** Somebody asks for them here: what is held for longer stays so until the log says otherwise. */
  asked(revocations: readonly Revocation[]): void {
    this.revoke(
      revocations.map(({ id, holdMs }) => {
        const heldMs = holdMs === 0 ? 0 : this.revokedForMs(keyOf(id));
        return { id, holdMs: Math.max(holdMs, heldMs) };
      }),
    );
  }

  revoke(revocations: readonly Revocation[]): void {
    const what = revocations.map(({ id, holdMs }) => `${keyOf(id)}:${Math.round(holdMs)}`);
    this.#cell.world.note(`${this.#cell.name} revokes ${what.join()}`);
    for (const { id, holdMs } of revocations) {
      const key = keyOf(id);
      if (key >= ROW_KEY) this.#fail(`is told that somebody has revoked ${key}, of which the source told`);
      if (holdMs === 0) this.#revoked.delete(key);
      else this.#revoked.set(key, this.#cell.clock.nowMs() + holdMs);
    }
  }

  hasDropped(): boolean {
    return false;
  }

  revocations(): readonly Revocation[] {
    const nowMs = this.#cell.clock.nowMs();
    return [...this.#revoked]
      .filter(([, untilMs]) => untilMs > nowMs)
      .map(([key, untilMs]) => ({ id: idOf(key), holdMs: untilMs - nowMs }));
  }

  takeOut(nodes: readonly Revocation[]): void {
    const sinceMs = this.#cell.clock.nowMs();
    this.#cell.world.note(`${this.#cell.name} takes out ${nodes.map(({ id }) => keyOf(id)).join()}`);
    for (const { id, holdMs } of nodes) {
      this.#outs.set(keyOf(id), { sinceMs, untilMs: sinceMs + holdMs });
      this.#everOut.set(keyOf(id), sinceMs + holdMs);
    }
    this.#check();
  }

  isRevoked(key: number): boolean {
    return this.revokedForMs(key) > 0;
  }

  /** From now on; negative when its time has been over for so long; negative infinity when it was ended. */
  revokedForMs(key: number): number {
    return (this.#revoked.get(key) ?? Number.NEGATIVE_INFINITY) - this.#cell.clock.nowMs();
  }

  lead(isLeader: boolean): void {
    const term = ++this.#leading;
    if (isLeader) void this.#load(term);
  }

  /** The loader of a leader: reads at once, then when it is told of changes, and now and then. */
  async #load(term: number): Promise<void> {
    let isTold = false;
    let wake: (() => void) | undefined;
    const unlisten = this.#source.listen(gone => {
      isTold = true;
      this.#cell.deliver(() => wake?.());
      this.#cell.clock.after(this.#cell.span(NOTICE_MS.least, NOTICE_MS.most), () => {
        if (this.#leading === term) this.#tookOut(gone);
      });
    });
    let isFirst = true;
    while (this.#leading === term) {
      try {
        const longestMs = isFirst ? this.times.loadMs : CHANGES_READ_MS.most;
        isTold = false;
        const { read, beganMs } = await this.#read(longestMs, () => this.#leading !== term);
        await this.#work();
        if (this.#leading !== term) break;
        this.#lead(read, beganMs);
        isFirst = false;
      } catch {
        await this.#cell.sleep(this.#cell.span(RETRY_MS.least, RETRY_MS.most));
        continue;
      }
      if (!isTold) {
        await new Promise<void>(resolve => {
          wake = resolve;
          this.#cell.clock.after(RELOAD_EVERY_MS, resolve);
        });
      }
      await this.#cell.sleep(this.#cell.span(NOTICE_MS.least, NOTICE_MS.most));
    }
    unlisten();
  }

  /** The source has told of rows that are gone. */
  #tookOut(gone: readonly number[]): void {
    if (gone.length === 0 || this.#content === undefined) return;
    const ids = gone.map(key => idOf(ROW_KEY + key));
    this.takeOut(ids.map(id => ({ id, holdMs: Number.POSITIVE_INFINITY })));
    this.voice?.takenOut(ids);
  }

  #lead(read: Read, beganMs: number): void {
    const before = this.#content;
    this.#publishOwn(read, beganMs);
    if (before?.digest === read.digest) {
      this.voice?.confirmed();
      return;
    }
    const hasDelta = before !== undefined && this.#cell.random() >= NO_DELTA_CHANCE;
    const bytes = hasDelta ? packDelta(before.rows, read.rows) : undefined;
    this.voice?.changed({
      from: before?.digest ?? '',
      to: read.digest,
      bytes,
      readAtMs: beganMs,
      askedAtMs: beganMs,
    });
  }

  /** Sees the table at one moment of the time that it takes. */
  async #read(longestMs: number, isStopped: () => boolean): Promise<{ read: Read; beganMs: number }> {
    const beganMs = this.#cell.clock.nowMs();
    await this.#cell.sleep(this.#cell.span(1, longestMs));
    if (this.#source.isDown) {
      await this.#cell.sleep(SOURCE_TIMEOUT_MS * this.#cell.random());
      throw new Error('the source is down');
    }
    const read = this.#source.read();
    await this.#cell.sleep(this.#cell.span(1, longestMs));
    if (isStopped()) throw new Error('the load was stopped');
    return { read, beganMs };
  }

  async #work(): Promise<void> {
    await this.#cell.sleep(this.#cell.span(0, this.times.publishMs));
    if (this.#cell.random() < this.times.failure) throw new Error('no free slot at the moment');
  }

  #checked(rows: Rows, digest: string): Content {
    const found = ToyDigest.of(rows).text;
    if (found !== digest) throw this.#refuse('digest', `${found} where ${digest} is expected`);
    return { rows, digest };
  }

  #publishOwn(read: Read, beganMs: number): void {
    this.#content = read;
    this.#readAtMs = beganMs;
    for (const [key, { sinceMs }] of this.#outs) if (sinceMs < beganMs) this.#outs.delete(key);
    this.#persist();
    this.#check();
  }

  #publish(content: Content, { position, readAtMs, answered }: Provenance): void {
    if (this.#position !== undefined && comparePositions(position, this.#position) < 0) {
      this.#fail(`goes back from ${text(this.#position)} to ${text(position)}`);
    }
    const before = this.#content?.digest;
    // What it started with, it may know from a log that the bus has lost since; but nothing is older then.
    const isFirst = this.#position === undefined && before !== undefined;
    if (isFirst && !this.areTimesWrong() && this.#source.isOlder(content.digest, before)) {
      this.#fail(`goes back from ${before.slice(0, 8)} to ${content.digest.slice(0, 8)}`);
    }
    this.#position = position;
    this.#content = content;
    this.#readAtMs = readAtMs;
    for (const id of answered) this.#outs.delete(keyOf(id));
    this.#persist();
    this.#check();
    this.#cell.world.note(`${this.#cell.name} holds ${content.digest.slice(0, 8)} at ${text(position)}`);
  }

  #persist(): void {
    const { digest, rows } = this.#content!;
    const { clock } = this.#cell;
    const ageMs = clock.nowMs() - this.#readAtMs;
    this.disk = { digest, rows, readAtUnixMs: clock.unixMs() - ageMs };
  }

  #check(): void {
    const { digest, rows } = this.#content ?? { digest: '', rows: new Map() };
    if (this.#content !== undefined && this.#source.lastHadAtMs(digest) === undefined)
      this.#fail('holds what the table never had');
    const nowMs = this.#cell.clock.nowMs();
    for (const [key, untilMs] of this.#everOut) {
      if (untilMs <= nowMs) this.#everOut.delete(key);
      else if (rows.has(key - ROW_KEY) && !this.#outs.has(key) && !this.areTimesWrong())
        this.#fail(`has row ${key - ROW_KEY} again, of which the source told that it is gone`);
    }
  }

  async #alone(what: string, work: () => Promise<void>): Promise<void> {
    if (this.#isBusy) this.#fail(`is asked for ${what} while something else is under way`);
    this.#isBusy = true;
    try {
      await work();
    } finally {
      this.#isBusy = false;
    }
  }

  #fail(what: string): void {
    this.#cell.world.fail(`${this.#cell.name} ${what}`);
  }
}

export function idOf(key: number): Uint8Array {
  const id = new Uint8Array(32);
  new DataView(id.buffer).setUint32(0, key, true);
  return id;
}

function keyOf(id: Uint8Array): number {
  return new DataView(id.buffer, id.byteOffset).getUint32(0, true);
}

export function text({ epoch, seq }: LogPosition): string {
  return `${epoch}-${seq}`;
}
