/** Requests as bytes over a few connections, several under way on each, and their answers in order. */
import { connect, type Socket } from 'node:net';

export interface WireAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

interface Waiting {
  readonly bytes: Buffer;
  readonly head: boolean;
  readonly sentAtMs: number;
  /** Times that the connection ended when it was the next to be answered. */
  ends: number;
  resolve(answer: WireAnswer): void;
  reject(error: Error): void;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const HANG_MS = 20_000;
const ENDS_MAX = 5;

/** One connection, opened again when the server has closed it behind an answer. */
export class PipelinedConnection {
  readonly #target: { readonly host: string; readonly port: number };
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  readonly #waiting: Waiting[] = [];
  readonly #watch = setInterval(() => this.#lookForHangs(), 1_000).unref();

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#target = { host: hostname, port: Number(port) };
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Rejects when the connection ends without an answer, or none comes. */
  send(bytes: Buffer, head: boolean): Promise<WireAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ bytes, head, sentAtMs: performance.now(), ends: 0, resolve, reject });
      this.#open().write(bytes);
    });
  }

  close(): void {
    clearInterval(this.#watch);
    this.#socket?.destroy();
  }

  #open(): Socket {
    if (this.#socket !== undefined) return this.#socket;
    const socket = connect(this.#target);
    socket.setNoDelay(true);
    this.#received = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      if (this.#socket !== socket) return;
      this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
      this.#takeAnswers(socket);
    });
    socket.once('close', () => {
      if (this.#socket === socket) this.#drop('the connection ended without an answer');
    });
    this.#socket = socket;
    return socket;
  }

  #takeAnswers(socket: Socket): void {
    while (this.#socket === socket) {
      const waiting = this.#waiting[0];
      const parsed = waiting && parseAnswer(this.#received, waiting.head);
      if (waiting === undefined || parsed === undefined) return;
      this.#received = this.#received.subarray(parsed.length);
      this.#waiting.shift();
      waiting.resolve(parsed.answer);
      // The server reads no further: what was sent behind it is sent again, over another one.
      if (parsed.answer.headers.get('connection') === 'close') this.#reopen(socket);
    }
  }

  #reopen(socket: Socket): void {
    socket.destroy();
    this.#socket = undefined;
    for (const { bytes } of this.#waiting) this.#open().write(bytes);
  }

  #lookForHangs(): void {
    const first = this.#waiting[0];
    if (first !== undefined && performance.now() - first.sentAtMs > HANG_MS) {
      first.ends = ENDS_MAX;
      this.#socket?.destroy();
      this.#drop(`no answer within ${HANG_MS} ms`);
    }
  }

  /**
   * A server that ends a connection while requests are on their way resets it, and answers that were not read
   * yet are lost with it. So what is unanswered is sent again, the first one a few times only.
   */
  #drop(reason: string): void {
    this.#socket = undefined;
    const first = this.#waiting[0];
    if (first !== undefined && ++first.ends >= ENDS_MAX) {
      this.#waiting.shift();
      first.reject(new Error(reason));
    }
    for (const { bytes } of this.#waiting) this.#open().write(bytes);
  }
}

/** The answer that `bytes` begin with; undefined when it is not whole. Throws when it is none. */
function parseAnswer(
  bytes: Buffer,
  head: boolean,
): { readonly answer: WireAnswer; readonly length: number } | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const [line = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1] ?? 0);
  const headers = new Map(
    lines.map(text => {
      const at = text.indexOf(':');
      return [text.slice(0, at).toLowerCase(), text.slice(at + 1).trim()] as const;
    }),
  );
  const start = headEnd + HEAD_END.length;
  const length = head || status === 204 ? 0 : Number(headers.get('content-length') ?? Number.NaN);
  if (Number.isNaN(length)) throw new Error(`an answer does not say how long it is: ${line}`);
  if (bytes.length < start + length) return undefined;
  const body = bytes.subarray(start, start + length);
  return { answer: { status, headers, body }, length: start + length };
}
