/**
 * The one file that loads the Postgres driver. It does so when a connection is made: a program that reads
 * files, or only makes options, does not pay for it.
 */
import type { Client, ClientConfig } from 'pg';

export type PostgresClient = Client;

export async function createClient(config: ClientConfig): Promise<PostgresClient> {
  const { default: pg } = await import('pg');
  return new pg.Client(config);
}

const CONNECT_TIMEOUT_MS = 5_000;

/** A plain connection for the demo's writers. The source itself reads through `session.ts`. */
export async function connectClient(
  connectionString: string,
  applicationName: string,
): Promise<PostgresClient> {
  const client = await createClient({
    connectionString,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  // Met by the next query.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
