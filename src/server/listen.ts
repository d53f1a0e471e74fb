/** How an application comes to listen, and what people are told when it cannot. HTTP threads. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { HttpOptions } from './config/options.ts';
import { limitConnections } from './http/connection-limits.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** Other threads of this process listen on the same port. */
  readonly reusePort: boolean;
}

/** Returns the URL. Throws what the system says. */
export async function listenOn(
  app: FastifyInstance,
  { host, port, reusePort }: ListenAddress,
  http: HttpOptions,
  connections?: { open: number },
): Promise<string> {
  limitConnections(app.server, http, connections);
  await app.listen({ host: oneAddress(host), port, ...(reusePort ? { reusePort } : { exclusive: true }) });
  const address = app.server.address() as AddressInfo;
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}

/** `localhost` would open a second listener that nothing here knows of. */
function oneAddress(host: string): string {
  return host === 'localhost' ? '127.0.0.1' : host;
}

/** What is wrong, and what to do, in words. */
export function listenProblem(error: unknown, flag: string): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `the port is in use; choose another with --${flag}`;
    case 'EACCES':
      return `the port needs privileges; choose another with --${flag}`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return 'this machine does not have that address';
    default:
      return (error as Error).message;
  }
}

/**
 * Throws when somebody listens on that port: several threads on one port must be allowed by the system, which
 * then lets another program of the same user share it as well.
 */
export async function refuseSharedPort(host: string, port: number): Promise<void> {
  if (port !== 0) await listenOnce({ host: oneAddress(host), port, exclusive: true });
}

/** True where several threads can listen on one port: Linux and some BSDs, not macOS and not Windows. */
export async function portsCanBeShared(host: string): Promise<boolean> {
  try {
    await listenOnce({ host: oneAddress(host), port: 0, reusePort: true });
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // The address is wrong whoever listens on it: for the listener to say.
    return code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EACCES';
  }
}

function listenOnce(options: {
  readonly host: string;
  readonly port: number;
  readonly exclusive?: boolean;
  readonly reusePort?: boolean;
}): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(options, () => probe.close(() => resolve()));
  });
}
