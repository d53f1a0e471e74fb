/** A run of the fuzzer against a server of its own, with keys; stops at the first answer that is wrong. */
import { digestOf } from '../../../src/server/access/identity.ts';
import { temporaryFolder, testNodes } from '../support/nodes.ts';
import { startTestServer } from '../support/server.ts';
import { answerProblem } from './answer-check.ts';
import { PipelinedConnection } from './pipeline.ts';
import { type FuzzRequest, type FuzzSubject, fuzzRequest, type OpenApi } from './requests.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly requests: number;
  /** The number of the first request. */
  readonly first?: number;
  onProgress?(requests: number): void;
}

export interface FuzzReport {
  readonly requests: number;
  readonly elapsedMs: number;
  /** Answers by what was asked and their status. */
  readonly answers: ReadonlyMap<string, number>;
  /** Operations that were asked in a way that fits. */
  readonly operations: ReadonlySet<string>;
}

const CONNECTIONS = 8;
const DEPTH = 6;
const PROGRESS_EVERY = 50_000;
const KEYS = {
  full: 'fuzz-full-key-0123456789',
  select: 'fuzz-select-key-0123456789',
  status: 'fuzz-status-key-0123456789',
};

/** Throws with the request at fault, and how to send it again. */
export async function runFuzzer(options: FuzzOptions): Promise<FuzzReport> {
  const folder = await temporaryFolder();
  const lines = [
    `full ${digestOf(KEYS.full)}`,
    `select ${digestOf(KEYS.select)} may=select`,
    `status ${digestOf(KEYS.status)} may=status`,
  ];
  const server = await startTestServer({
    'access.mode': 'keys',
    'access.file': await folder.file('keys', lines.join('\n')),
    'workerPool.queueMax': '1000',
    serveFrom: 'prepared',
  });
  try {
    const headers = { authorization: `Bearer ${KEYS.full}` };
    const document = (await server.call('/openapi.json', { headers })).json<OpenApi>();
    const subject: FuzzSubject = {
      document,
      ids: testNodes().map(({ id }) => id),
      credentials: {
        full: KEYS.full,
        lowFor: path => (path.startsWith('/v1/selection') ? KEYS.status : KEYS.select),
      },
    };
    return await sendAll(server.url, subject, options);
  } finally {
    await server.close();
    await folder.remove();
  }
}

async function sendAll(url: string, subject: FuzzSubject, options: FuzzOptions): Promise<FuzzReport> {
  const { seed, requests, first = 0, onProgress } = options;
  const startedAt = performance.now();
  const answers = new Map<string, number>();
  const operations = new Set<string>();
  let next = first;
  const lane = async (connection: PipelinedConnection): Promise<void> => {
    while (next < first + requests) {
      const index = next++;
      const request = fuzzRequest(subject, seed, index);
      const status = await checked(connection, request, { seed, index });
      const key = `${request.what}: ${status}`;
      answers.set(key, (answers.get(key) ?? 0) + 1);
      if (status === 200) operations.add(`${request.method} ${request.path}`);
      if (index % PROGRESS_EVERY === 0) onProgress?.(index - first);
    }
  };
  const connections = Array.from({ length: CONNECTIONS }, () => new PipelinedConnection(url));
  try {
    await Promise.all(
      connections.flatMap(connection => Array.from({ length: DEPTH }, () => lane(connection))),
    );
  } finally {
    for (const connection of connections) connection.close();
  }
  return { requests, elapsedMs: performance.now() - startedAt, answers, operations };
}

async function checked(
  connection: PipelinedConnection,
  request: FuzzRequest,
  { seed, index }: { readonly seed: number; readonly index: number },
): Promise<number> {
  let problem: string | undefined;
  let status = 0;
  try {
    const answer = await connection.send(request.bytes, request.method === 'HEAD');
    status = answer.status;
    problem = answerProblem(request, answer);
    if (Object.keys(Object.prototype).length > 0) problem = 'Object.prototype has changed';
  } catch (error) {
    problem = (error as Error).message;
  }
  if (problem === undefined) return status;
  const sent = JSON.stringify(request.bytes.toString('latin1').slice(0, 2_000));
  throw new Error(
    `${request.what}: ${problem}\nsent: ${sent}\n` +
      `again: npm run fuzz -- --seed ${seed} --first ${index} --requests 1`,
  );
}
