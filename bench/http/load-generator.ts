/**
 * The load: a process of its own that keeps one request under way on each connection. Requests are ready
 * bytes, answers are counted off by their Content-Length and not looked at, so that it takes little of a core
 * that the server may want. Forked by `http.bench.ts`; takes `LoadOrder` messages, answers each with COUNTING
 * after the warm-up, then with a `LoadOutcome`.
 */
import { connect, type Socket } from 'node:net';
import { Latencies } from '../harness/hiccups.ts';

export interface LoadOrder {
  readonly port: number;
  /** Whole requests as bytes, sent in turn. */
  readonly requests: readonly string[];
  readonly connections: number;
  /**
   * Ports to connect from, one a connection: the kernel gives each to the same thread again. Any, when
   * absent.
   */
  readonly localPorts?: readonly number[];
  /** Before anything counts. */
  readonly warmupMs: number;
  readonly durationMs: number;
}

export interface LoadOutcome {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly bytes: number;
  /** Answers other than 200, and connections that broke. */
  readonly failures: number;
  readonly p50_us: number;
  readonly mean_us: number;
  readonly p99_us: number;
  readonly p999_us: number;
  readonly max_us: number;
}

/** Sent when the warm-up is over. */
export const COUNTING = 'counting';

/** Latencies kept of one order; later ones only count. */
const SAMPLES_MAX = 2_000_000;
/** How much longer an order takes when its time is over without a single answer. */
const EMPTY_WAIT_MS = 100;
const EMPTY_WAITS_MAX = 100;
const HEAD_END = '\r\n\r\n';
const HOST = '127.0.0.1';

class Run {
  readonly #order: LoadOrder;
  readonly #wire: readonly Buffer[];
  #turn = 0;
  readonly #latencies = new Latencies(SAMPLES_MAX);
  readonly #sockets = new Set<Socket>();
  #counting = false;
  #stopped = false;
  #requests = 0;
  #bytes = 0;
  #failures = 0;

  constructor(order: LoadOrder) {
    this.#order = order;
    this.#wire = order.requests.map(request => Buffer.from(request, 'latin1'));
  }

  async outcome(): Promise<LoadOutcome> {
    this.#stayAwake();
    for (let i = 0; i < this.#order.connections; i++) this.#open(this.#order.localPorts?.[i]);
    await elapsed(this.#order.warmupMs);
    this.#counting = true;
    process.send?.(COUNTING);
    const started = performance.now();
    await elapsed(this.#order.durationMs);
    // A machine that is busy with other things may have given the server no time at all.
    for (let waits = 0; this.#requests === 0 && waits < EMPTY_WAITS_MAX; waits++)
      await elapsed(EMPTY_WAIT_MS);
    const elapsedMs = performance.now() - started;
    this.#stopped = true;
    // Reset, so that no port is left waiting.
    for (const socket of this.#sockets) socket.resetAndDestroy();
    const { p50_us, mean_us, p99_us, p999_us, max_us } = this.#latencies.summary();
    const counts = { requests: this.#requests, bytes: this.#bytes, failures: this.#failures };
    return { ...counts, elapsedMs, p50_us, mean_us, p99_us, p999_us, max_us };
  }

  /**
   * Polls instead of sleeping: waking a process on another core costs the server's `write` more than the
   * answer costs (in a virtual machine), and a server that is slower than the load would pay it more often
   * than a faster one.
   */
  #stayAwake(): void {
    if (!this.#stopped) setImmediate(() => this.#stayAwake());
  }

  /**
   * One connection, always with one request under way; opened anew when the server closes it after an answer.
   */
  #open(localPort: number | undefined): void {
    const from = localPort === undefined ? {} : { localPort };
    const socket = connect({ port: this.#order.port, host: HOST, noDelay: true, ...from });
    this.#sockets.add(socket);
    let sentAt = 0;
    let left = 0;
    let head: Buffer | undefined;
    const send = () => {
      sentAt = performance.now();
      socket.write(this.#wire[this.#turn++ % this.#wire.length]!);
    };
    socket.on('connect', send);
    socket.on('data', chunk => {
      if (left === 0) {
        const bytes = head === undefined ? chunk : Buffer.concat([head, chunk]);
        const headBytes = bytes.indexOf(HEAD_END);
        if (headBytes === -1) {
          head = bytes;
          return;
        }
        head = undefined;
        left = this.#answerBytes(bytes, headBytes) - bytes.length;
      } else {
        left -= chunk.length;
      }
      if (left > 0) return;
      this.#answered(sentAt);
      if (!this.#stopped) send();
    });
    socket.on('error', () => this.#failed());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (!this.#stopped) this.#open(localPort);
    });
  }

  /** Bytes of the whole answer. */
  #answerBytes(bytes: Buffer, headBytes: number): number {
    const text = bytes.toString('latin1', 0, headBytes);
    if (!text.startsWith('HTTP/1.1 200')) this.#failed();
    const length = /content-length: (\d+)/i.exec(text)?.[1];
    if (length === undefined) throw new Error(`an answer without Content-Length: ${text}`);
    const total = headBytes + HEAD_END.length + Number(length);
    if (this.#counting) this.#bytes += total;
    return total;
  }

  #answered(sentAt: number): void {
    if (!this.#counting || this.#stopped) return;
    this.#requests++;
    this.#latencies.add(1000 * (performance.now() - sentAt));
  }

  #failed(): void {
    if (this.#counting && !this.#stopped) this.#failures++;
  }
}

function elapsed(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

process.on('message', async (order: LoadOrder) => {
  process.send?.(await new Run(order).outcome());
});
