/** A bare socket that sends bytes as they are and collects what comes back. */
import { connect, type Socket } from 'node:net';

export interface RawExchange {
  readonly socket: Socket;
  /** All bytes so far, as text. */
  text(): string;
  /** Resolves with all bytes when the other side has closed. */
  readonly ended: Promise<string>;
}

export function rawConnection(url: string): RawExchange {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  const chunks: Buffer[] = [];
  socket.on('data', chunk => chunks.push(chunk));
  // A reset is one of the ways in which a server refuses; the text says what came before it.
  socket.on('error', () => undefined);
  const text = () => Buffer.concat(chunks).toString('latin1');
  const ended = new Promise<string>(resolve => socket.once('close', () => resolve(text())));
  return { socket, text, ended };
}

/**
 * Until a server on this thread has read what was written before: in its first turn it may only have taken
 * the connection.
 */
export async function serverTurn(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise(resolve => setImmediate(resolve));
}

/** Sends `bytes` and resolves with everything that came back before the other side closed. */
export function rawExchange(url: string, bytes: string | Uint8Array): Promise<string> {
  const { socket, ended } = rawConnection(url);
  socket.write(bytes);
  return ended;
}
