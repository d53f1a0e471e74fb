/** A whole server in this process, on free ports, over a small file; and a plain HTTP client for it. */
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { type Logger, pino } from 'pino';
import type { ConfigKeyName } from '../../../src/server/config/table.ts';
import { loadConfig } from '../../../src/server/config.ts';
import { type RunningServer, startServer } from '../../../src/server/serve.ts';
import { nodesCsv, type TemporaryFolder, temporaryFolder, testNodes } from './nodes.ts';

export type TestFlags = Partial<Record<ConfigKeyName, string>>;

export interface TestServer extends RunningServer {
  readonly folder: TemporaryFolder;
  call(path: string, options?: CallOptions): Promise<Answer>;
  close(): Promise<void>;
}

export const ADMIN_TOKEN = 'a-token-for-tests-only';

/** Nothing waits, nothing is shed because this machine is busy, and the admin listener is on. */
const FLAGS: TestFlags = {
  port: '0',
  'admin.port': '0',
  'admin.token': ADMIN_TOKEN,
  'admin.failedLoginsMax': '100000',
  httpThreads: '1',
  'workerPool.threads': '1',
  'refresh.everyMs': '3600000',
  'http.eventLoopDelayMaxMs': '0',
  'http.handlerTimeoutMs': '10000',
  'shutdown.drainDelayMs': '0',
};

/** `log`: of the server; nothing is logged when it is absent. */
export async function startTestServer(
  flags: TestFlags = {},
  log: Logger = pino({ level: 'silent' }),
): Promise<TestServer> {
  const folder = await temporaryFolder();
  const source = await folder.file('nodes.csv', nodesCsv(testNodes()));
  const given = { 'source.location': source, ...FLAGS, ...flags };
  const config = loadConfig({
    environment: {},
    flags: new Map(Object.entries(given) as [ConfigKeyName, string][]),
  });
  const server = await startServer(config, log);
  if (flags['source.location'] === undefined) await server.cache.ready();
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  return {
    ...server,
    folder,
    call: (path, options) => call(server.url, path, { agent, ...options }),
    close: async () => {
      agent.destroy();
      await server.stop();
      await folder.remove();
    },
  };
}

export interface CallOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly agent?: Agent;
  /** For `https:` only. */
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  /** The body as JSON. */
  json<T = Problem>(): T;
}

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly field?: string;
}

export interface SelectionAnswer {
  readonly generation: number;
  readonly ageMs: number;
  readonly nodes: readonly {
    readonly id: string;
    readonly ip: string;
    readonly port: number;
    readonly pool: string;
  }[];
}

export function call(url: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const { method = options.body === undefined ? 'GET' : 'POST', headers, body, agent, tls } = options;
  return new Promise((resolve, reject) => {
    const outgoing = (tls === undefined ? request : tlsRequest)(new URL(url), {
      ...tls,
      path,
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
      ...(agent === undefined ? {} : { agent }),
    });
    outgoing.once('error', reject);
    outgoing.once('response', response => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const bytes = Buffer.concat(chunks);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          bytes,
          json: <T>() => JSON.parse(bytes.toString()) as T,
        });
      });
    });
    outgoing.end(body);
  });
}

export const JSON_BODY = { 'content-type': 'application/json' };
export const MESSAGEPACK_BODY = { 'content-type': 'application/msgpack' };
export const MESSAGEPACK = { accept: 'application/msgpack' };

export function postJson(body: unknown): CallOptions {
  return { method: 'POST', headers: JSON_BODY, body: JSON.stringify(body) };
}
