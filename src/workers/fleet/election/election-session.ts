/**
 * A session with the server in which a fleet elects: what it locks is its own for as long as it lives, so
 * it must reach the server itself, and must be known to be dead when it may be. Loader thread.
 */
import { createHash } from 'node:crypto';
import { within } from '../../bus/deadline.ts';
import { createClient, type PostgresClient } from '../../source/postgres/client.ts';

export interface ElectionServer {
  /** Without a password, where `password` has it. */
  readonly connectionString: string;
  readonly password?: string | undefined;
  /** Of connecting, and of each question. */
  readonly timeoutMs: number;
}

const APPLICATION_NAME = 'sortition election';
const SERVER_VERSION_MIN = 140_000;
/** A peer whose machine is gone is noticed by the server within these. */
const KEEPALIVE =
  'SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3';

/** Says why a session is no use for locks. */
export class ElectionError extends Error {
  override readonly name = 'ElectionError';
}

export class ElectionSession {
  readonly #client: PostgresClient;
  readonly #timeoutMs: number;
  /** Resolves when the connection is gone. */
  readonly ended: Promise<void>;
  #isEnded = false;

  private constructor(client: PostgresClient, timeoutMs: number) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
    this.ended = new Promise(resolve => client.once('end', () => resolve()));
    void this.ended.then(() => {
      this.#isEnded = true;
    });
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Connects. `settings`: statements that the session begins with. */
  static async open(server: ElectionServer, settings: string): Promise<ElectionSession> {
    const { connectionString, password, timeoutMs } = server;
    const client = await createClient({
      connectionString,
      application_name: APPLICATION_NAME,
      connectionTimeoutMillis: timeoutMs,
      keepAlive: true,
    });
    // Set afterwards: in the driver's options a connection string wins, even one without a password.
    if (password !== undefined) client.password = password;
    // Met by the next question.
    client.on('error', () => undefined);
    const session = new ElectionSession(client, timeoutMs);
    try {
      await within(timeoutMs, client.connect(), () => late('connecting', timeoutMs));
      await session.ask(`${KEEPALIVE}; ${settings}`);
      await session.#checkServer();
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /** The first row of the answer, as texts. Whatever goes wrong, the session is of no use any more. */
  async ask(statement: string): Promise<readonly (string | null)[]> {
    try {
      const asked = this.#client.query({ text: statement, rowMode: 'array', types: AS_TEXT });
      const result = await within(this.#timeoutMs, asked, () => late('the answer', this.#timeoutMs));
      // Several statements have several results; only single ones are asked for their rows.
      return Array.isArray(result) ? [] : ((result.rows as string[][])[0] ?? []);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Ends at once, and with it all that is locked. A lock that was taken unseen goes too. */
  close(): void {
    const { connection } = this.#client as unknown as { connection: { stream: { destroy(): void } } };
    connection.stream.destroy();
  }

  /** A pooler that shares sessions strands locks: it is told by whom the server says that it talks to. */
  async #checkServer(): Promise<void> {
    const [pid, version, isStandby] = await this.ask(
      `SELECT pg_backend_pid()::text, current_setting('server_version_num'), pg_is_in_recovery()::text`,
    );
    const { processID } = this.#client as unknown as { processID: number };
    if (Number(pid) !== processID) {
      throw new ElectionError(
        'a pooler stands between this process and the server, and locks do not hold through it: ' +
          'name the server itself as the place of the election (fleet.election.url)',
      );
    }
    if (isStandby === 'true') {
      throw new ElectionError(
        'this PostgreSQL is a standby, and each standby has locks of its own: name the primary as the ' +
          'place of the election (fleet.election.url)',
      );
    }
    if (Number(version) < SERVER_VERSION_MIN) {
      throw new ElectionError(`an election needs PostgreSQL 14 or later; this one is ${version}`);
    }
  }
}

const AS_TEXT = { getTypeParser: () => (text: string) => text };

/** The two numbers of an advisory lock: what it is for, and which one. */
export function lockKey(fleet: string, purpose: string): number {
  return createHash('sha256').update(`sortition ${purpose} ${fleet}`).digest().readInt32BE(0);
}

function late(what: string, timeoutMs: number): ElectionError {
  return new ElectionError(`${what} took longer than ${timeoutMs} ms`);
}
