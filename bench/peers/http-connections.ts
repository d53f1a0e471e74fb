/**
 * HTTP/1.1 over sockets of our own, one request at a time on each: as little of a client as can read an
 * answer of known length. Node's own client takes more time for a request than the server.
 */
import { connect, type Socket } from 'node:net';

const HEAD_END = '\r\n\r\n';
const CLOSED = 'the server closed the connection';

interface Waiting {
  readonly resolve: (body: Buffer) => void;
  readonly reject: (error: Error) => void;
}

export class HttpConnections {
  readonly #host: string;
  readonly #port: number;
  /** The last one that came back is the next to be used. */
  readonly #free: Connection[] = [];

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
  }

  /** The body of an answer with status 200; rejects at any other. */
  async get(path: string, accept: string): Promise<Buffer> {
    const question = `GET ${path} HTTP/1.1\r\nHost: ${this.#host}:${this.#port}\r\nAccept: ${accept}\r\n\r\n`;
    for (;;) {
      const used = this.#free.pop();
      const connection = used ?? new Connection(this.#host, this.#port);
      try {
        const body = await connection.ask(question);
        this.#free.push(connection);
        return body;
      } catch (error) {
        connection.close();
        // A server may close a connection that has been idle, also while it is asked again.
        if (used === undefined) throw error;
      }
    }
  }

  close(): void {
    for (const connection of this.#free) connection.close();
  }
}

class Connection {
  readonly #socket: Socket;
  #waiting: Waiting | undefined;
  #chunks: Buffer[] = [];
  /** Bytes of the answer that are still to come; undefined before its head is whole. */
  #left: number | undefined;
  #headBytes = 0;

  constructor(host: string, port: number) {
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('data', chunk => this.#take(chunk));
    // Met by the question that waits, or by the next one.
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => this.#waiting?.reject(new Error(CLOSED)));
  }

  ask(request: string): Promise<Buffer> {
    if (this.#socket.destroyed) return Promise.reject(new Error(CLOSED));
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request, 'latin1');
    });
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    if (this.#left === undefined) {
      const bytes = this.#all();
      const end = bytes.indexOf(HEAD_END);
      this.#chunks = [bytes];
      if (end === -1) return;
      this.#headBytes = end + HEAD_END.length;
      this.#left = this.#headBytes + bodyBytes(bytes.toString('latin1', 0, end)) - bytes.length;
    } else {
      this.#left -= chunk.length;
    }
    if (this.#left > 0) return;
    const body = this.#all().subarray(this.#headBytes);
    this.#chunks = [];
    this.#left = undefined;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(body);
  }

  #all(): Buffer {
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
  }
}

function bodyBytes(head: string): number {
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  if (!head.startsWith('HTTP/1.1 200') || length === undefined) throw new Error(`unexpected answer: ${head}`);
  return Number(length);
}
