/**
 * Closes connections whose client does not take its answers. Node's own timeout of a socket counts whatever
 * comes in as a sign of life, and takes twice as long where something waits to be written. HTTP threads.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';

export interface StuckWriteLimits {
  /** How long bytes may wait without any of them leaving; Linux tells by thirds of its buffer. */
  readonly sendTimeoutMs: number;
  readonly everyMs: number;
}

/** A look that comes later than so many times the pause between two counts as that much. */
const LATE_LOOKS = 2;

/** What had left at the last look, what the system had not taken of a large write, and since when. */
interface Waiting {
  readonly left: number;
  readonly queued: number;
  readonly sinceMs: number;
}

/** What Node knows of a socket beyond its documented face: bytes that the system has not taken. */
interface QueueingSocket extends Socket {
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

/** Until the server is closed. `now`: monotonic milliseconds. */
export function closeStuckWrites(
  server: Server,
  { sendTimeoutMs, everyMs }: StuckWriteLimits,
  now: () => number = () => performance.now(),
): void {
  const sockets = new Set<QueueingSocket>();
  // Time in which this thread did not look is not held against anybody: nor did it hear what was taken.
  let watchedMs = 0;
  let lookedAtMs = now();
  const waiting = new WeakMap<Socket, Waiting>();
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const timer = setInterval(() => {
    const nowMs = now();
    watchedMs += Math.min(nowMs - lookedAtMs, LATE_LOOKS * everyMs);
    lookedAtMs = nowMs;
    for (const socket of sockets) {
      if (socket.writableLength === 0) waiting.delete(socket);
      else if (isStuck(socket)) socket.destroy();
    }
  }, everyMs).unref();
  server.once('close', () => clearInterval(timer));

  function isStuck(socket: QueueingSocket): boolean {
    const known = waiting.get(socket);
    const left = socket.bytesWritten - socket.writableLength;
    const queued = socket._handle?.writeQueueSize ?? 0;
    const moved = known === undefined || left > known.left || queued < known.queued;
    const sinceMs = moved ? watchedMs : known.sinceMs;
    waiting.set(socket, { left, queued, sinceMs });
    return watchedMs - sinceMs >= sendTimeoutMs;
  }
}
