/**
 * Memory that answers are sent from, and when it is free again: at once where the system has taken all bytes,
 * else when the last one has left or the connection is gone (I6). What the framework answers counts as well,
 * from the request on. HTTP threads only.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Answers of one connection that may wait for its reader: a client that pipelines and does not read would
 * else hold a slot or a buffer for each of the thousand requests that one read brings.
 */
export const WAITING_PER_CONNECTION_MAX = 16;

/** Memory that one answer is sent from. */
export interface Lent {
  /** Bytes that are missing elsewhere while it waits. */
  readonly heldBytes: number;
  /** Called once, when no byte of it will be read any more. */
  giveBack(): void;
}

/** Of an answer that is not made yet. */
const NOTHING_LENT: Lent = { heldBytes: 0, giveBack: () => {} };

/** What is under way on one connection. */
interface UnderWay {
  /** One that waits behind another hears nothing when its connection ends. */
  readonly answers: Map<ServerResponse, Lent>;
  /** Requests that are answered when some of these have left. */
  readonly later: (() => void)[];
}

export class Departures {
  readonly #underWay = new WeakMap<Socket, UnderWay>();
  #waitingBytes = 0;
  #count = 0;

  /** Answers that the framework makes, and those that the system has not taken yet. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of memory whose answers have not been taken by the system yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** True when another answer may wait on the connection: so its next request may be answered now. */
  hasRoom(socket: Socket): boolean {
    if (this.#count === 0) return true;
    const underWay = this.#underWay.get(socket);
    return underWay === undefined || underWay.answers.size < WAITING_PER_CONNECTION_MAX;
  }

  /** Calls `answer` when there is room; nothing more is read from the connection before. */
  whenRoom(socket: Socket, answer: () => void): void {
    this.#underWayOn(socket).later.push(answer);
    socket.pause();
  }

  /** Gives `lent` back when the answer `raw`, which has been sent to its end, has left. */
  settle(raw: ServerResponse, lent: Lent): void {
    // Nothing waits: the system has taken all bytes during `end` (always, unless the reader is slow or
    // pipelines).
    if (raw.writableLength === 0) {
      lent.giveBack();
      return;
    }
    if (this.#underWay.get(raw.req.socket)?.answers.has(raw) !== true) this.track(raw);
    this.#lend(raw, lent);
  }

  /** The answer `raw` counts on its connection from now until it has left; the framework makes it. */
  track(raw: ServerResponse): void {
    const { socket } = raw.req;
    this.#count++;
    this.#underWayOn(socket).answers.set(raw, NOTHING_LENT);
    // `close` comes after the last byte was taken, or when the connection is gone and nothing will be read
    // any more.
    raw.once('close', () => this.#release(socket, raw));
  }

  /** So many bytes are held by the tracked answer `raw`, of memory that the collector takes care of. */
  hold(raw: ServerResponse, heldBytes: number): void {
    this.#lend(raw, { heldBytes, giveBack: () => {} });
  }

  #lend(raw: ServerResponse, lent: Lent): void {
    const answers = this.#underWay.get(raw.req.socket)?.answers;
    // The connection is gone, and nothing will be read any more.
    if (answers?.has(raw) !== true) lent.giveBack();
    else {
      this.#waitingBytes += lent.heldBytes;
      answers.set(raw, lent);
    }
  }

  #underWayOn(socket: Socket): UnderWay {
    const known = this.#underWay.get(socket);
    if (known !== undefined) return known;
    const underWay: UnderWay = { answers: new Map(), later: [] };
    this.#underWay.set(socket, underWay);
    // Node goes on reading when little is left to write; it does not know of those that come later.
    socket.on('resume', () => {
      if (underWay.later.length > 0) socket.pause();
    });
    socket.once('close', () => {
      for (const raw of underWay.answers.keys()) this.#release(socket, raw);
    });
    return underWay;
  }

  #release(socket: Socket, raw: ServerResponse): void {
    const underWay = this.#underWayOn(socket);
    const lent = underWay.answers.get(raw);
    if (lent === undefined) return;
    underWay.answers.delete(raw);
    this.#count--;
    this.#waitingBytes -= lent.heldBytes;
    lent.giveBack();
    goOn(socket, underWay);
  }
}

/** Answers what was put off, as far as there is room; then the connection is read again. */
function goOn(socket: Socket, { answers, later }: UnderWay): void {
  if (socket.destroyed) later.length = 0;
  if (later.length === 0) return;
  while (later.length > 0 && answers.size < WAITING_PER_CONNECTION_MAX) later.shift()!();
  if (later.length === 0) socket.resume();
}
