/**
 * The open loop: requests are due at a rate, whether or not earlier ones were answered, and each takes a
 * connection of its own until it is; those that find none free are counted as unsent. A process of its own;
 * takes `OpenOrder` messages and answers each with an `OpenOutcome`.
 */
import { Socket } from 'node:net';
import { Latencies } from '../harness/hiccups.ts';

export interface OpenOrder {
  readonly port: number;
  /** A whole request as bytes. */
  readonly request: string;
  readonly ratePerSecond: number;
  readonly connections: number;
  readonly durationMs: number;
  /** Before anything counts. */
  readonly warmupMs: number;
}

export interface OpenOutcome {
  readonly elapsedMs: number;
  readonly due: number;
  readonly unsent: number;
  /** Answered with 200. */
  readonly good: number;
  /** Answered with 503 and `Retry-After`. */
  readonly refused: number;
  /** Any other answer, and connections that broke. */
  readonly failed: number;
  readonly good_p50_us: number;
  readonly good_p99_us: number;
  readonly refused_p50_us: number;
  readonly refused_p99_us: number;
}

const SAMPLES_MAX = 1_000_000;
const HEAD_END = '\r\n\r\n';
/** What all connections receive into, one after the other: the client must not be what is too slow. */
const RECEIVED = Buffer.allocUnsafeSlow(256 * 1024);

/** Who waits longest comes first. */
class FirstComeQueue<T> {
  #coming: T[] = [];
  #going: T[] = [];

  push(item: T): void {
    this.#coming.push(item);
  }

  shift(): T | undefined {
    if (this.#going.length === 0) [this.#going, this.#coming] = [this.#coming.reverse(), this.#going];
    return this.#going.pop();
  }
}

class OpenRun {
  readonly #order: OpenOrder;
  readonly #wire: Buffer;
  readonly #idle = new FirstComeQueue<Client>();
  readonly #good = new Latencies(SAMPLES_MAX);
  readonly #refused = new Latencies(SAMPLES_MAX);
  readonly #counts = { due: 0, unsent: 0, good: 0, refused: 0, failed: 0 };
  #counting = false;
  #stopped = false;

  constructor(order: OpenOrder) {
    this.#order = order;
    this.#wire = Buffer.from(order.request, 'latin1');
  }

  async outcome(): Promise<OpenOutcome> {
    const { connections, durationMs, warmupMs } = this.#order;
    const clients = Array.from({ length: connections }, () => this.#client());
    await Promise.all(clients.map(client => client.ready));
    for (const client of clients) this.#idle.push(client);
    this.#keepSending();
    await elapsed(warmupMs);
    this.#counting = true;
    const started = performance.now();
    await elapsed(durationMs);
    const elapsedMs = performance.now() - started;
    this.#counting = false;
    this.#stopped = true;
    for (const client of clients) client.close();
    const [good, refused] = [this.#good.summary(), this.#refused.summary()];
    return {
      elapsedMs,
      ...this.#counts,
      good_p50_us: good.p50_us,
      good_p99_us: good.p99_us,
      refused_p50_us: refused.p50_us,
      refused_p99_us: refused.p99_us,
    };
  }

  #client(): Client {
    return new Client(this.#order.port, this.#wire, {
      answered: (client, status, us) => {
        this.#count(status, us);
        this.#idle.push(client);
      },
      broke: () => {
        if (this.#counting) this.#counts.failed++;
      },
    });
  }

  #count(status: 'good' | 'refused' | 'failed', us: number): void {
    if (!this.#counting) return;
    this.#counts[status]++;
    if (status === 'good') this.#good.add(us);
    if (status === 'refused') this.#refused.add(us);
  }

  /** What is due since the last look, at every turn of the loop. */
  #keepSending(): void {
    const { ratePerSecond } = this.#order;
    const started = performance.now();
    let sent = 0;
    const turn = () => {
      if (this.#stopped) return;
      const due = Math.floor(((performance.now() - started) * ratePerSecond) / 1_000);
      for (; sent < due; sent++) {
        if (this.#counting) this.#counts.due++;
        const client = this.#idle.shift();
        if (client === undefined) {
          const rest = due - sent;
          if (this.#counting) {
            this.#counts.unsent += rest;
            this.#counts.due += rest - 1;
          }
          sent = due;
          break;
        }
        client.send();
      }
      setImmediate(turn);
    };
    turn();
  }
}

interface ClientEvents {
  answered(client: Client, status: 'good' | 'refused' | 'failed', us: number): void;
  broke(): void;
}

/** One connection, with one request under way at the most; opened anew when it was closed. */
class Client {
  readonly #port: number;
  readonly #wire: Buffer;
  readonly #events: ClientEvents;
  #socket: Socket;
  #sentAt = 0;
  #left = 0;
  #head = '';
  #status: 'good' | 'refused' | 'failed' = 'failed';
  #closed = false;
  readonly ready: Promise<void>;

  constructor(port: number, wire: Buffer, events: ClientEvents) {
    this.#port = port;
    this.#wire = wire;
    this.#events = events;
    this.#socket = this.#open();
    this.ready = new Promise(resolve => this.#socket.once('connect', () => resolve()));
  }

  send(): void {
    this.#sentAt = performance.now();
    this.#socket.write(this.#wire);
  }

  close(): void {
    this.#closed = true;
    this.#socket.resetAndDestroy();
  }

  #open(): Socket {
    const callback = (count: number) => {
      this.#read(RECEIVED.subarray(0, count));
      return true;
    };
    const socket = new Socket({ onread: { buffer: RECEIVED, callback } });
    socket.setNoDelay(true);
    socket.connect(this.#port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.once('close', () => {
      if (this.#closed) return;
      const underWay = this.#sentAt > 0;
      if (underWay) this.#events.broke();
      this.#head = '';
      this.#left = 0;
      this.#socket = this.#open();
      if (underWay) this.#socket.once('connect', () => this.#done('failed'));
    });
    return socket;
  }

  #read(bytes: Buffer): void {
    // The server says why it closes a connection on which nothing has come for seconds.
    if (this.#sentAt === 0) return;
    if (this.#left === 0) {
      const end = bytes.indexOf(HEAD_END);
      if (end < 0) {
        this.#head += bytes.toString('latin1');
        return;
      }
      const text = this.#head + bytes.toString('latin1', 0, end);
      this.#head = '';
      this.#status = statusOf(text);
      this.#left = Number(/content-length: (\d+)/i.exec(text)?.[1]) - (bytes.length - end - HEAD_END.length);
    } else {
      this.#left -= bytes.length;
    }
    if (this.#left <= 0) {
      this.#left = 0;
      this.#done(this.#status);
    }
  }

  #done(status: 'good' | 'refused' | 'failed'): void {
    const us = 1_000 * (performance.now() - this.#sentAt);
    this.#sentAt = 0;
    this.#events.answered(this, status, us);
  }
}

function statusOf(head: string): 'good' | 'refused' | 'failed' {
  if (head.startsWith('HTTP/1.1 200')) return 'good';
  return head.startsWith('HTTP/1.1 503') && /retry-after: \d/i.test(head) ? 'refused' : 'failed';
}

function elapsed(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

process.on('message', async (order: OpenOrder) => {
  process.send?.(await new OpenRun(order).outcome());
});
