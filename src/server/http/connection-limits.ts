/** How many connections a listener holds, in total and from one address. HTTP threads. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpOptions } from '../config/options.ts';

/** Connections beyond a limit are closed before a byte is read; `connections` says how many are open. */
export function limitConnections(
  server: Server,
  http: HttpOptions,
  connections: { open: number } = { open: 0 },
): void {
  server.maxConnections = http.connectionsMax;
  // One map entry an address with open connections: bounded by the limit above.
  const perAddress = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const open = perAddress.get(address) ?? 0;
    if (open >= http.connectionsPerAddressMax) {
      socket.destroy();
      return;
    }
    perAddress.set(address, open + 1);
    connections.open++;
    socket.once('close', () => {
      connections.open--;
      const left = perAddress.get(address)! - 1;
      if (left === 0) perAddress.delete(address);
      else perAddress.set(address, left);
    });
  });
}
