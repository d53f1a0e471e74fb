/**
 * A real PostgreSQL for a test file: the demo's embedded server, started in `beforeAll`, stopped in
 * `afterAll`.
 */
import { startEmbeddedPostgres } from '../../src/server/demo/embedded-postgres.ts';
import { connectClient, type PostgresClient } from '../../src/workers/source/postgres/client.ts';

export interface TestPostgres {
  /** Of a superuser. */
  readonly connectionString: string;
  readonly port: number;
  /** A connection of the superuser for setting tests up. */
  readonly client: PostgresClient;
  /** The connection string with other parts: user, password, database, port. */
  url(parts: { user?: string; password?: string; database?: string; port?: number; host?: string }): string;
  stop(): Promise<void>;
}

/** `binaries`: of another version than the embedded one, see `EmbeddedPostgresOptions`. */
export async function startTestPostgres(
  settings: Record<string, string | undefined> = {},
  binaries?: string,
): Promise<TestPostgres> {
  const server = await startEmbeddedPostgres({ settings, ...(binaries === undefined ? {} : { binaries }) });
  const client = await connectClient(server.connectionString, 'sortition test');
  return {
    connectionString: server.connectionString,
    port: server.port,
    client,
    url(parts) {
      const url = new URL(server.connectionString);
      if (parts.user !== undefined) url.username = parts.user;
      if (parts.password !== undefined) url.password = parts.password;
      if (parts.database !== undefined) url.pathname = `/${parts.database}`;
      if (parts.port !== undefined) url.port = String(parts.port);
      if (parts.host !== undefined) url.hostname = parts.host;
      return url.href;
    },
    async stop() {
      await client.end();
      await server.stop();
    },
  };
}
