/**
 * The Redis protocol over a socket of our own, for commands whose answer is one text: as little of a client
 * as can read it, as `http-connections.ts` is for HTTP. What is asked before an answer is there goes out at
 * once, and answers come in the order of the questions.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const LINE_END = '\r\n';

interface Waiting {
  readonly resolve: (text: string) => void;
  readonly reject: (error: Error) => void;
}

export class RedisConnection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  /** Bytes that no answer has been made of yet. */
  #bytes: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', chunk => this.#take(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the server closed the connection'));
    });
  }

  static async open(host: string, port: number): Promise<RedisConnection> {
    const socket = connect({ host, port, noDelay: true });
    await once(socket, 'connect');
    return new RedisConnection(socket);
  }

  /** Of characters of one byte each. */
  ask(words: readonly string[]): Promise<string> {
    const parts = words.map(word => `$${word.length}${LINE_END}${word}${LINE_END}`);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`*${words.length}${LINE_END}${parts.join('')}`, 'latin1');
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const headEnd = this.#bytes.indexOf(LINE_END);
      if (headEnd === -1) return;
      const head = this.#bytes.toString('latin1', 0, headEnd);
      const start = headEnd + LINE_END.length;
      const length = head.startsWith('$') ? Number(head.slice(1)) : Number.NaN;
      if (!(length >= 0)) {
        this.#bytes = this.#bytes.subarray(start);
        this.#waiting.shift()?.reject(new Error(`unexpected answer: ${head}`));
        continue;
      }
      const end = start + length;
      if (this.#bytes.length < end + LINE_END.length) return;
      const text = this.#bytes.toString('latin1', start, end);
      this.#bytes = this.#bytes.subarray(end + LINE_END.length);
      this.#waiting.shift()?.resolve(text);
    }
  }
}
