/**
 * A server that is killed (`kill -9`) again and again, at random moments and in the middle of writing its
 * snapshot file, and started again while its source is away. Each time it has to answer from the file, and
 * with nothing but what the file says.
 *
 * The content has versions: the same nodes, whose ports say which one it is. So every row of every answer can
 * be held against what was written, and all rows of an answer must say the same version.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ROW_PORT_WORD, ROW_WORDS } from '../../native-layout/snapshot-row.ts';
import { freePort, LOOPBACK } from '../../src/server/demo/free-port.ts';
import { readSnapshotFile } from '../../src/workers/snapshot-file.ts';
import { dataRandom } from './data-random.ts';
import { testId } from './population.ts';
import { until } from './until.ts';

export interface KillOptions {
  readonly times: number;
  readonly nodes: number;
  readonly seed: number;
  /** Called after each start. */
  readonly onStart?: () => void;
}

/** Milliseconds of one start. */
export interface Start {
  /** From the start of the process to the first connection that it takes. */
  readonly listeningMs: number;
  /** From there to the first answer with nodes. */
  readonly answeredMs: number;
}

export interface KillFigures {
  readonly starts: readonly Start[];
  /** Kills while a load or the writing of its file was under way. */
  readonly killedLoading: number;
  /** Of these, while a half-written file was there. */
  readonly killedWriting: number;
  readonly rowsChecked: number;
  /** The first things that were wrong. */
  readonly problems: readonly string[];
}

const MAIN = resolve(import.meta.dirname, '../../src/server/main.ts');
const FIRST_PORT = 10_000;
const PORT_DIGITS = 5;
const COUNT = 20;
const START_TIMEOUT_MS = 60_000;
const LOOK_EVERY_MS = 2;
const PROBLEMS_MAX = 10;
const OVERLOADED = 'OVERLOADED';
/** Longest life after the first answer: a load and its file take less, on a machine that is not busy. */
const LIFE_MS_MAX = 1_500;
/** Longest life after the first byte of a file is seen. */
const WRITING_MS_MAX = 60;
/** Longest time to wait for that byte. */
const LOADING_MS_MAX = 20_000;

interface Answer {
  readonly nodes: readonly { readonly id: string; readonly ip: string; readonly port: number }[];
}

/** A CSV file of nodes, written anew for each version: only the ports differ. */
class VersionedSource {
  readonly numbers = new Map<string, number>();
  readonly #bytes: Buffer;
  readonly #portPlaces: number[] = [];
  readonly #aside: string;
  readonly path: string;

  constructor(folder: string, nodes: number) {
    this.path = join(folder, 'nodes.csv');
    this.#aside = join(folder, 'aside');
    let text = 'id,ip,port,vetted\n';
    for (let number = 0; number < nodes; number++) {
      const id = testId(number);
      this.numbers.set(id, number);
      text += `${id},${ipOf(number)},`;
      this.#portPlaces.push(text.length);
      text += `${FIRST_PORT},${number % 10 === 0 ? 0 : 1}\n`;
    }
    this.#bytes = Buffer.from(text, 'latin1');
  }

  offer(version: number): void {
    const port = String(FIRST_PORT + version).padStart(PORT_DIGITS, '0');
    for (const place of this.#portPlaces) this.#bytes.write(port, place, 'latin1');
    writeFileSync(this.#aside, this.#bytes);
    renameSync(this.#aside, this.path);
  }

  takeAway(): void {
    rmSync(this.path, { force: true });
  }
}

function ipOf(number: number): string {
  return `${20 + (number >>> 16)}.${(number >>> 8) & 255}.${number & 255}.1`;
}

export class KillStorm implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sortition-kill-'));
  readonly #file = join(this.#folder, 'nodes.snapshot');
  readonly #options: KillOptions;
  readonly #source: VersionedSource;
  readonly #draw: (n: number) => number;
  readonly #starts: Start[] = [];
  readonly #problems: string[] = [];
  #child: ChildProcess | undefined;
  #port = 0;
  /** Half-written files of those that were killed. */
  #leftovers: readonly string[] = [];
  #version = 1;
  #rowsChecked = 0;
  #killedLoading = 0;
  #killedWriting = 0;

  constructor(options: KillOptions) {
    this.#options = options;
    this.#draw = dataRandom(options.seed);
    this.#source = new VersionedSource(this.#folder, options.nodes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async run(): Promise<KillFigures> {
    this.#port = await freePort();
    this.#source.offer(this.#version);
    await this.#start();
    await until('the first file is there', () => this.#files().includes('nodes.snapshot'), START_TIMEOUT_MS);
    await this.#kill();
    while (this.#starts.length < this.#options.times && this.#problems.length < PROBLEMS_MAX) {
      await this.#round();
    }
    return this.figures();
  }

  /** So far. */
  figures(): KillFigures {
    return {
      starts: this.#starts,
      killedLoading: this.#killedLoading,
      killedWriting: this.#killedWriting,
      rowsChecked: this.#rowsChecked,
      problems: this.#problems,
    };
  }

  /** Starts without a source, answers, is given another version, is killed. */
  async #round(): Promise<void> {
    this.#source.takeAway();
    const stored = await this.#storedVersion();
    if (stored !== this.#version && stored !== this.#version + 1) {
      this.#problems.push(`the file has version ${stored}, after version ${this.#version}`);
    }
    this.#version = stored;
    this.#leftovers = this.#files().filter(name => name.endsWith('.tmp'));
    const start = await this.#start([stored]);
    this.#starts.push(start);
    this.#options.onStart?.();
    const offered = this.#draw(4) > 0;
    if (offered) this.#source.offer(stored + 1);
    if (offered && this.#draw(2) === 0) await this.#untilWriting();
    else await this.#serve(this.#draw(LIFE_MS_MAX), stored);
    if (offered) this.#killedLoading++;
    if (this.#isWriting()) this.#killedWriting++;
    await this.#kill();
  }

  /** The version that the file says, by the ports of its rows. */
  async #storedVersion(): Promise<number> {
    const { views, rowCount } = await readSnapshotFile(this.#file);
    const ports = new Set<number>();
    for (let row = 0; row < rowCount; row++) {
      ports.add(views.rowWords[row * ROW_WORDS + ROW_PORT_WORD]! >>> 16);
    }
    if (ports.size !== 1 || rowCount !== this.#options.nodes) {
      this.#problems.push(`the file has ${rowCount} rows of ${ports.size} versions`);
    }
    return Math.min(...ports) - FIRST_PORT;
  }

  async #start(versions: readonly number[] = [this.#version]): Promise<Start> {
    const spawned = performance.now();
    const { nodes } = this.#options;
    const flags = {
      source: this.#source.path,
      'snapshot-file': this.#file,
      port: this.#port,
      'log-level': 'error',
    };
    const args = Object.entries({ ...flags, 'capacity-nodes': nodes, 'refresh-every-ms': 200 });
    const rest = args.flatMap(([name, value]) => [`--${name}`, String(value)]);
    const backoff = ['--refresh-backoff-first-ms', '50', '--refresh-backoff-longest-ms', '100'];
    this.#child = spawn(process.execPath, [MAIN, 'serve', ...rest, ...backoff], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    while (!(await this.#isListening())) {
      if (performance.now() - spawned > START_TIMEOUT_MS) throw new Error('the server does not listen');
      await delay(LOOK_EVERY_MS);
    }
    const listening = performance.now();
    using client = new Client(this.#port);
    for (;;) {
      const answer = await client.select();
      if (answer !== undefined) {
        const answered = performance.now();
        this.#check(answer, versions);
        return { listeningMs: listening - spawned, answeredMs: answered - listening };
      }
      if (performance.now() - listening > START_TIMEOUT_MS) throw new Error('the server does not answer');
    }
  }

  async #isListening(): Promise<boolean> {
    const socket = connect(this.#port, LOOPBACK);
    try {
      await once(socket, 'connect');
      return true;
    } catch {
      // Refused: not yet.
      return false;
    } finally {
      socket.destroy();
    }
  }

  /** Looks at answers for so long. */
  async #serve(lifeMs: number, stored: number): Promise<void> {
    const end = performance.now() + lifeMs;
    using client = new Client(this.#port);
    let versions = [stored, stored + 1];
    while (performance.now() < end) {
      const answer = await client.select();
      if (answer === undefined) {
        // On a machine that is too busy it may refuse; but not for want of a generation.
        if (client.refusal !== OVERLOADED) this.#problems.push(`it had answered, and now ${client.refusal}`);
      } else if (this.#check(answer, versions) === stored + 1) {
        // Versions do not go back.
        versions = [stored + 1];
      }
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Until a file is being written, and a moment more. */
  async #untilWriting(): Promise<void> {
    await until('a file is being written', () => this.#isWriting(), LOADING_MS_MAX);
    await delay(this.#draw(WRITING_MS_MAX));
  }

  #isWriting(): boolean {
    return this.#files().some(name => name.endsWith('.tmp') && !this.#leftovers.includes(name));
  }

  #files(): string[] {
    return readdirSync(this.#folder);
  }

  /** Holds every row of the answer against its version; returns that. */
  #check({ nodes }: Answer, versions: readonly number[]): number {
    const version = (nodes[0]?.port ?? 0) - FIRST_PORT;
    if (nodes.length !== COUNT) this.#problems.push(`${nodes.length} nodes were picked`);
    if (!versions.includes(version)) {
      this.#problems.push(`version ${version} is served, not ${versions.join(' or ')}`);
    }
    for (const { id, ip, port } of nodes) {
      this.#rowsChecked++;
      const number = this.#source.numbers.get(id);
      if (number !== undefined && ip === ipOf(number) && port === FIRST_PORT + version) continue;
      this.#problems.push(`a row is ${id} ${ip} ${port} in an answer of version ${version}`);
    }
    return version;
  }

  async #kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

/** One connection that stays. */
class Client implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #url: string;
  /** Code of the last answer without nodes. */
  refusal: string | undefined;

  constructor(port: number) {
    this.#url = `http://${LOOPBACK}:${port}/v1/selection?count=${COUNT}`;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  /** Undefined while there is nothing to be had. */
  async select(): Promise<Answer | undefined> {
    const request = get(this.#url, { agent: this.#agent });
    const [response] = await once(request, 'response');
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    if (response.statusCode === 200) return JSON.parse(text) as Answer;
    this.refusal = (JSON.parse(text) as { readonly code?: string }).code;
    return undefined;
  }
}

/** Of `values`, the one that so many parts of a hundred are not above. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((part / 100) * sorted.length) - 1)] ?? Number.NaN;
}

/** The figures in lines for people. */
export function killLines({
  starts,
  killedLoading,
  killedWriting,
  rowsChecked,
  problems,
}: KillFigures): string[] {
  const spread = (values: readonly number[]) =>
    [50, 99, 100]
      .map(part => `${part === 100 ? 'max' : `p${part}`} ${percentile(values, part).toFixed(0)} ms`)
      .join(', ');
  return [
    `${starts.length} × kill -9, of these ${killedLoading} during a load and ${killedWriting} during a write`,
    `start of the process to listening: ${spread(starts.map(start => start.listeningMs))}`,
    `listening to the first right answer: ${spread(starts.map(start => start.answeredMs))}`,
    `rows checked: ${rowsChecked}, wrong: ${problems.length}`,
    ...problems,
  ];
}
