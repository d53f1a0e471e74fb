/**
 * Memory that answers are sent from, and when it is free again: at once where the system has taken all bytes,
 * else when the last one has left or the connection is gone (I6). HTTP threads only.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Memory that one answer is sent from. */
export interface Lent {
  /** Bytes that are missing elsewhere while it waits. */
  readonly heldBytes: number;
  /** Called once, when no byte of it will be read any more. */
  giveBack(): void;
}

export class Departures {
  /**
   * Answers under way, by connection: one that waits behind another hears nothing when its connection ends.
   */
  readonly #underWay = new WeakMap<Socket, Map<ServerResponse, Lent>>();
  #waitingBytes = 0;
  #count = 0;

  /** Answers that the system has not taken yet, whatever memory they are in. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of memory whose answers have not been taken by the system yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Gives `lent` back when the answer `raw`, which has been sent to its end, has left. */
  settle(raw: ServerResponse, lent: Lent): void {
    // Nothing waits: the system has taken all bytes during `end` (always, unless the reader is slow or
    // pipelines).
    if (raw.writableLength === 0) {
      lent.giveBack();
      return;
    }
    const { socket } = raw.req;
    this.#count++;
    this.#waitingBytes += lent.heldBytes;
    this.#underWayOn(socket).set(raw, lent);
    // `close` comes after the last byte was taken, or when the connection is gone and nothing will be read
    // any more.
    raw.once('close', () => this.#release(socket, raw));
  }

  #underWayOn(socket: Socket): Map<ServerResponse, Lent> {
    let answers = this.#underWay.get(socket);
    if (answers === undefined) {
      answers = new Map();
      this.#underWay.set(socket, answers);
      socket.once('close', () => {
        for (const raw of this.#underWayOn(socket).keys()) this.#release(socket, raw);
      });
    }
    return answers;
  }

  #release(socket: Socket, raw: ServerResponse): void {
    const answers = this.#underWayOn(socket);
    const lent = answers.get(raw);
    if (lent === undefined) return;
    answers.delete(raw);
    this.#count--;
    this.#waitingBytes -= lent.heldBytes;
    lent.giveBack();
  }
}
