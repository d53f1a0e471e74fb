/**
 * `sortition serve` as a fault has it in hand: the real command in a process of its own, from the sources,
 * with what it says, what it answers, and (through `inside-preload.ts`) its threads.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import type { ServerStatus } from '../../../src/server/server-status.ts';
import { until } from '../../support/until.ts';
import { ask, type HttpAnswer } from './http-call.ts';
import type { FromInside, InsideAnswers, InsideQuestions } from './inside-messages.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const PRELOAD = join(import.meta.dirname, 'inside-preload.ts');
/** As for the test processes themselves: see `vitest.config.ts`. */
const FLAGS = ['--no-memory-protection-keys'];
const LISTEN_TIMEOUT_MS = 30_000;
const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;
/** Of the log; the oldest lines go. */
const LOG_LINES_MAX = 20_000;
const CALL_TIMEOUT_MS = 5_000;

export const ADMIN_TOKEN = 'a-token-for-faults-only';

/** Configuration by key, as the command's flags spell them. */
export type ServeFlags = Readonly<Record<string, string>>;

export interface ServeOptions {
  readonly flags: ServeFlags;
  readonly cwd: string;
  /** Root of the program, where that is not this checkout. */
  readonly root?: string;
  readonly nodeFlags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** A file descriptor that takes its log instead of us. */
  readonly logTo?: number;
}

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly code?: string;
  readonly detail?: string;
  readonly url?: string;
  readonly adminUrl?: string;
  readonly probesUrl?: string;
}

export class ServedProcess {
  readonly log: LogLine[] = [];
  readonly startedAtMs = performance.now();
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #asked = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #askCount = 0;
  #said = '';
  #rest = '';
  #url = '';
  #adminUrl = '';
  #probesUrl = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, 'close');
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#hear(text));
    child.on('message', (message: FromInside) => this.#answered(message));
    child.once('exit', code => {
      for (const { reject } of this.#asked.values()) reject(new Error(`the server has ended (${code})`));
      this.#asked.clear();
    });
  }

  /** Starts it; it need not listen yet. */
  static launch({
    flags,
    cwd,
    root = ROOT,
    nodeFlags = [],
    environment,
    logTo,
  }: ServeOptions): ServedProcess {
    const spelled = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const program = join(root, 'src/server/main.ts');
    const args = [...FLAGS, ...nodeFlags, '--import', PRELOAD, program, 'serve', ...spelled];
    const child = spawn(process.execPath, args, {
      cwd,
      env: { PATH: process.env.PATH ?? '', ...environment },
      stdio: ['ignore', 'ignore', logTo ?? 'pipe', 'ipc'],
    });
    return new ServedProcess(child);
  }

  /** Starts it and waits until it listens. */
  static async start(options: ServeOptions): Promise<ServedProcess> {
    const server = ServedProcess.launch(options);
    await server.listening();
    return server;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get url(): string {
    return this.#url;
  }

  get adminUrl(): string {
    return this.#adminUrl;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** Everything that it has written lately. */
  get said(): string {
    return this.#said;
  }

  async listening(): Promise<void> {
    await until('the server listens', () => this.#url !== '' || this.hasEnded, LISTEN_TIMEOUT_MS);
    if (this.#url === '') throw new Error(`the server has ended: ${this.#said.slice(-2_000)}`);
  }

  /** Where its log cannot be read: where it listens is known by whoever has started it. */
  listensAt(url: string): void {
    this.#url = url;
  }

  async ready(): Promise<void> {
    const isReady = async () => (await this.call('/readyz').catch(() => undefined))?.status === 200;
    await until('the server is ready', isReady, READY_TIMEOUT_MS);
  }

  call(path: string, body?: unknown): Promise<HttpAnswer> {
    return ask(this.#url, path, { timeoutMs: CALL_TIMEOUT_MS, ...(body === undefined ? {} : { body }) });
  }

  admin(path: string, body: unknown): Promise<HttpAnswer> {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    return ask(this.#adminUrl, path, { timeoutMs: CALL_TIMEOUT_MS, body, headers });
  }

  /** Of the watchdog, where that listens. */
  probe(path: string): Promise<HttpAnswer> {
    return ask(this.#probesUrl, path, { timeoutMs: CALL_TIMEOUT_MS });
  }

  async status(): Promise<ServerStatus> {
    const answer = await this.call('/v1/status');
    if (answer.status !== 200) throw new Error(`/v1/status answers ${answer.status}: ${answer.text}`);
    return answer.json<ServerStatus>();
  }

  /** Value of a metric, by its name with labels as Prometheus writes them; 0 when it is not there. */
  async metric(name: string): Promise<number> {
    const { text } = await this.call('/metrics');
    const line = text.split('\n').find(each => each.startsWith(`sortition_${name} `));
    return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ') + 1));
  }

  hasLogged(pattern: RegExp, from = 0): boolean {
    return this.log.slice(from).some(line => pattern.test(JSON.stringify(line)));
  }

  inside<K extends keyof InsideQuestions>(
    kind: K,
    ...[question]: InsideQuestions[K] extends Record<string, never> ? [] : [InsideQuestions[K]]
  ): Promise<InsideAnswers[K]> {
    const number = ++this.#askCount;
    return new Promise((resolve, reject) => {
      if (this.hasEnded) return reject(new Error(`the server has ended: ${this.#said.slice(-2_000)}`));
      // The process answers each question by its kind.
      this.#asked.set(number, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.send({ number, kind, ...question }, error => {
        if (error !== null) reject(error);
      });
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when it has ended, however it does. */
  async ended(): Promise<void> {
    await this.#ended;
  }

  async kill(): Promise<void> {
    if (this.hasEnded) return;
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** In order, if that is possible. */
  async stop(): Promise<void> {
    if (this.hasEnded) return;
    this.#child.kill('SIGCONT');
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(late);
  }

  #hear(text: string): void {
    this.#said = (this.#said + text).slice(-65_536);
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith('{')) continue;
      const said = JSON.parse(line) as LogLine;
      if (said.msg === 'listening') {
        this.#url = said.url!;
        this.#adminUrl = said.adminUrl!;
        this.#probesUrl = said.probesUrl ?? '';
      }
      this.log.push(said);
      if (this.log.length > LOG_LINES_MAX) this.log.shift();
    }
  }

  #answered(message: FromInside): void {
    const asked = this.#asked.get(message.number);
    this.#asked.delete(message.number);
    if ('value' in message) asked?.resolve(message.value);
    else asked?.reject(new Error(message.problem));
  }
}
