/** Installs the triggers as the command does, and hears what they notify over a session of its own. */
import type { PostgresClient } from '../../src/workers/source/postgres/client.ts';
import { connectClient } from '../../src/workers/source/postgres/client.ts';
import { readNotification } from '../../src/workers/source/postgres/feed/notification.ts';
import type { PostgresSourceOptions } from '../../src/workers/source/postgres/options.ts';
import {
  runTriggerScript,
  type TriggerScript,
  triggerScript,
} from '../../src/workers/source/postgres/triggers/install.ts';
import { idsOf } from './change-follower.ts';
import { until } from './until.ts';

const DEADLINE_MS = 20_000;

/** Runs what is needed; returns what that was. */
export async function changeTriggers(
  options: PostgresSourceOptions,
  { attributes = ['country'], remove = false }: { attributes?: readonly string[]; remove?: boolean } = {},
): Promise<TriggerScript> {
  const request = { attributes, remove, signal: AbortSignal.timeout(DEADLINE_MS) };
  const script = await triggerScript(options, request);
  await runTriggerScript(options, request, script);
  return script;
}

export class TriggerListener {
  readonly #client: PostgresClient;
  readonly #channel: string;
  #payloads: string[] = [];
  #fenceCount = 0;

  private constructor(client: PostgresClient, channel: string) {
    this.#client = client;
    this.#channel = channel;
    client.on('notification', ({ payload = '' }) => this.#payloads.push(payload));
  }

  static async open(connectionString: string, channel: string): Promise<TriggerListener> {
    const client = await connectClient(connectionString, 'listener');
    await client.query(`LISTEN "${channel}"`);
    return new TriggerListener(client, channel);
  }

  /** Payloads of all that has been committed so far. `by`: any session, for a notification to wait for. */
  async payloads(by: PostgresClient): Promise<string[]> {
    const fence = `fence ${++this.#fenceCount}`;
    await by.query('SELECT pg_catalog.pg_notify($1, $2)', [this.#channel, fence]);
    await until(fence, () => this.#payloads.includes(fence));
    const payloads = this.#payloads.filter(payload => !payload.startsWith('fence'));
    this.#payloads = [];
    return payloads;
  }

  /** The same as a text: `id:mark` with the first two digits of each id, or why it is everything. */
  async heard(by: PostgresClient): Promise<string> {
    const texts = (await this.payloads(by)).flatMap(payload => {
      const found = readNotification(payload);
      if (found?.kind !== 'nodes') return [found?.kind === 'everything' ? found.reason : `unreadable`];
      return idsOf({ ...found, kind: 'nodes' }).map((id, node) => `${id.slice(0, 2)}:${found.out[node]}`);
    });
    return texts.join(' ');
  }

  close(): Promise<void> {
    return this.#client.end();
  }
}
