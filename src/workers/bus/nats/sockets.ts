/**
 * The sockets that a driver opens, so that they can be ended whatever the driver makes of them. That of NATS
 * forgets a socket that connected and never heard from the server: it would stay open for ever, and keep the
 * process alive.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/** Where Node.js announces each socket that connects. */
const CHANNEL = 'net.client.socket';

const opening = new AsyncLocalStorage<SocketGroup>();

subscribe(CHANNEL, message => {
  opening.getStore()?.add((message as { socket: Socket }).socket);
});

export class SocketGroup {
  readonly #sockets = new Set<Socket>();

  /** Sockets that are opened by `work`, or by what it leaves running, belong to the group. */
  run<T>(work: () => T): T {
    return opening.run(this, work);
  }

  add(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  destroy(): void {
    for (const socket of this.#sockets) {
      // The driver may have stopped listening; an error that nobody listens to would end the process.
      socket.on('error', () => undefined);
      socket.destroy();
    }
  }
}
