/**
 * A replica of a fleet as a test has it in hand: a process that can be asked, paused and killed. Each runs
 * `fleet-replica.ts`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import type { FleetStatus } from '../../src/workers/fleet/member.ts';
import type { FleetView } from '../../src/workers/fleet-link.ts';
import type { LoaderStatus, RefreshResult } from '../../src/workers/messages.ts';
import type { RevokeResult } from '../../src/workers/revocations.ts';
import type { TcpFaultProxy } from './tcp-fault-proxy.ts';
import { until } from './until.ts';

export interface ReplicaOptions {
  readonly cache: CacheOptions;
  /** A node whose port is read together with the age, again and again. */
  readonly probeId?: string;
}

export interface ReplicaReport {
  readonly status: LoaderStatus;
  readonly generation: number;
  readonly ageMs: number;
  readonly selections: number;
  /** What should never be seen: selections that failed, generations or positions that went back. */
  readonly faults: readonly string[];
}

export interface AgeSample {
  /** On the machine's monotonic clock, before the age was asked for. */
  readonly atMs: number;
  readonly ageMs: number;
  /** Of the probe's row. */
  readonly port: number | undefined;
}

interface Questions {
  readonly report: Record<string, never>;
  readonly contents: { readonly ids: readonly string[] };
  readonly canBePicked: { readonly id: string };
  readonly samples: Record<string, never>;
  readonly fleet: Record<string, never>;
  readonly refresh: Record<string, never>;
  readonly revoke: { readonly ids: readonly string[]; readonly holdMs?: number };
  readonly restore: { readonly ids: readonly string[] };
  /** Its loader thread dies, and is started again. */
  readonly killLoader: Record<string, never>;
  readonly close: Record<string, never>;
}

export interface ReplicaAnswers {
  readonly report: ReplicaReport;
  readonly contents: string;
  readonly canBePicked: { readonly isPicked: boolean; readonly count: number };
  readonly samples: readonly AgeSample[];
  readonly fleet: FleetView;
  readonly refresh: RefreshResult;
  readonly revoke: RevokeResult;
  readonly restore: number;
  readonly killLoader: undefined;
  readonly close: undefined;
}

export type ReplicaQuestion = {
  [K in keyof Questions]: { readonly number: number; readonly kind: K } & Questions[K];
}[keyof Questions];

export type FromReplica =
  | { readonly opened: true }
  | { readonly status: LoaderStatus }
  | { readonly number: number; readonly value: unknown }
  | { readonly number: number; readonly problem: string };

const ROOT = resolve(import.meta.dirname, '../..');
const PROGRAM = 'test/support/fleet-replica.ts';
/** As for the test processes themselves: see `vitest.config.ts`. */
const FLAGS = ['--no-memory-protection-keys'];
const OPEN_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 10_000;

export interface Launch {
  /** What the process is started by, where that is not Node alone. */
  readonly by?: readonly string[];
  /** Root of the program, where that is not this checkout. */
  readonly root?: string;
}

/** How it reaches the engine and the database. */
export interface Ways {
  readonly toBus: TcpFaultProxy;
  readonly toPostgres: TcpFaultProxy;
}

export class FleetProcess {
  readonly name: string;
  readonly ways: Ways;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #asked = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #askCount = 0;
  #opened = false;
  #status: LoaderStatus | undefined;
  #said = '';

  private constructor(name: string, ways: Ways, child: ChildProcess) {
    this.name = name;
    this.ways = ways;
    this.#child = child;
    this.#exited = once(child, 'exit');
    child.on('message', (message: FromReplica) => this.#heard(message));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-8_192);
    });
    child.once('exit', code => {
      for (const { reject } of this.#asked.values())
        reject(new Error(`${name} has ended (${code}): ${this.#said}`));
      this.#asked.clear();
    });
  }

  /** Starts the process; `open` is what makes a replica of it. */
  static launch(name: string, ways: Ways, { by = [], root = ROOT }: Launch = {}): FleetProcess {
    const [program, ...args] = [...by, process.execPath, ...FLAGS, join(root, PROGRAM)];
    const child = spawn(program!, args, {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      serialization: 'advanced',
    });
    return new FleetProcess(name, ways, child);
  }

  /** Resolves when the cache is open; see `ready`. */
  async open(options: ReplicaOptions): Promise<void> {
    this.#child.send(options);
    await until(`${this.name} is open`, () => this.#opened || this.hasEnded, OPEN_TIMEOUT_MS);
    if (this.hasEnded) throw new Error(`${this.name} has ended: ${this.#said}`);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** As it said last, by itself. */
  get status(): LoaderStatus | undefined {
    return this.#status;
  }

  get fleet(): FleetStatus | undefined {
    return this.#status?.fleet;
  }

  get isLeader(): boolean {
    return !this.hasEnded && this.fleet?.role === 'leader';
  }

  /** Digest of the content that it serves. */
  get digest(): string | undefined {
    return this.fleet?.digest;
  }

  ask<K extends keyof Questions>(
    kind: K,
    ...[question]: Questions[K] extends Record<string, never> ? [] : [Questions[K]]
  ): Promise<ReplicaAnswers[K]> {
    const number = ++this.#askCount;
    return new Promise((resolve, reject) => {
      if (this.hasEnded) return reject(new Error(`${this.name} has ended: ${this.#said}`));
      // The process answers each question by its kind.
      this.#asked.set(number, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.send({ number, kind, ...question });
    });
  }

  /** Nothing of it runs until `resume`. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** In order, if that is possible. */
  async close(): Promise<void> {
    if (this.hasEnded) return;
    const late = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_TIMEOUT_MS);
    this.resume();
    await this.ask('close').catch(() => undefined);
    if (this.#child.connected) this.#child.disconnect();
    await this.#exited;
    clearTimeout(late);
  }

  #heard(message: FromReplica): void {
    if ('opened' in message) this.#opened = true;
    else if ('status' in message) this.#status = message.status;
    else {
      const asked = this.#asked.get(message.number);
      this.#asked.delete(message.number);
      if ('value' in message) asked?.resolve(message.value);
      else asked?.reject(new Error(`${this.name}: ${message.problem}`));
    }
  }
}
