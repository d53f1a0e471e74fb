/** How an application comes to listen, and what people are told when it cannot. HTTP threads. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import type { HttpOptions } from './config/options.ts';
import { limitConnections } from './http/connection-limits.ts';
import { closeStuckWrites } from './http/stuck-writes.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** Other threads of this process listen on the same port. */
  readonly reusePort: boolean;
}

/**
 * Connections that may wait to be accepted, as far as the system allows: Node.js accepts one a turn of its
 * loop. Who finds no room tries again after a second or more.
 */
const BACKLOG = 4_096;

function schemeOf(app: FastifyInstance): string {
  return app.server instanceof TlsServer ? 'https' : 'http';
}

/** Returns the URL. Throws what the system says. */
export async function listenOn(
  app: FastifyInstance,
  { host, port, reusePort }: ListenAddress,
  http: HttpOptions,
  connections?: { open: number },
): Promise<string> {
  limitConnections(app.server, http, connections);
  const { connectionsCheckingIntervalMs: everyMs, sendTimeoutMs } = http;
  closeStuckWrites(app.server, { everyMs, sendTimeoutMs });
  const shared = reusePort ? { reusePort } : { exclusive: true };
  await app.listen({ host: oneAddress(host), port, backlog: BACKLOG, ...shared });
  const address = app.server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `${schemeOf(app)}://${name}:${address.port}`;
}

/** `localhost` would open a second listener that nothing here knows of. */
function oneAddress(host: string): string {
  return host === 'localhost' ? '127.0.0.1' : host;
}

/** Where it cannot listen, why, and what to do, in words of the configuration. */
export function listenError(
  cause: unknown,
  { host, port }: Pick<ListenAddress, 'host' | 'port'>,
  flag: string,
): Error {
  const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return new Error(`cannot listen on ${place}: ${listenProblem(cause, flag)}`, { cause });
}

function listenProblem(error: unknown, flag: string): string {
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
