/**
 * A network of its own for a process of a test, joined to ours by a cable on which packets can be lost, one
 * way or both: nobody is told of it, as when a switch fails. Linux, as root, with `ip`, `unshare` and
 * `nsenter`. The namespace and its cable go away with the process that holds them, and that goes with us.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { platform } from 'node:os';
import { promisify } from 'node:util';
import { findProgram } from './server-program.ts';

const run = promisify(execFile);

/** Seen from the process inside. */
export type Lost = 'sent' | 'received' | 'both';

/** Nobody's: frames for it are received by nobody. */
const NO_MAC = '02:00:00:00:00:99';
const PREFIX_BITS = 30;

/** Why there can be none here; undefined where there can. */
export async function noNamespacesBecause(): Promise<string | undefined> {
  if (platform() !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root';
  for (const program of ['ip', 'unshare', 'nsenter']) {
    if ((await findProgram([program])) === undefined) return `needs the program ${program}`;
  }
  const mayUnshare = await run('unshare', ['--net', 'true']).then(
    () => true,
    () => false,
  );
  return mayUnshare ? undefined : 'this container may not make namespaces';
}

export class NetworkNamespace {
  /** Our address on the cable. */
  readonly host: string;
  readonly #guest: string;
  readonly #holder: ChildProcess;
  readonly #cable: string;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
    const pid = holder.pid!;
    // Of the networks for private use, one that is ours alone on this machine.
    const net = `10.${200 + ((pid >> 14) & 31)}.${(pid >> 6) & 255}`;
    const first = (pid & 63) * 4;
    this.host = `${net}.${first + 1}`;
    this.#guest = `${net}.${first + 2}`;
    this.#cable = `sortition${pid}`.slice(0, 15);
  }

  static async make(): Promise<NetworkNamespace> {
    // Ends when its input does.
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    const namespace = new NetworkNamespace(holder);
    await namespace.#join();
    return namespace;
  }

  /** What a program is started by to run inside. */
  get launcher(): readonly string[] {
    return ['nsenter', `--net=/proc/${this.#holder.pid}/ns/net`];
  }

  /** From now on packets are lost, without a word. */
  async lose(lost: Lost): Promise<void> {
    // To a neighbour that is not there.
    const wrong = (address: string) =>
      ['neigh', 'replace', address, 'lladdr', NO_MAC, 'nud', 'permanent', 'dev', this.#cable] as const;
    if (lost !== 'sent') await run('ip', [...wrong(this.#guest)]);
    if (lost !== 'received') await this.#inside(...wrong(this.host));
  }

  async heal(): Promise<void> {
    // Whoever has no such neighbour has none to forget.
    await run('ip', ['neigh', 'flush', 'dev', this.#cable, 'nud', 'permanent']);
    await this.#inside('neigh', 'flush', 'dev', this.#cable, 'nud', 'permanent');
  }

  async remove(): Promise<void> {
    const ended = once(this.#holder, 'exit');
    this.#holder.stdin!.end();
    await ended;
  }

  async #join(): Promise<void> {
    const { pid } = this.#holder;
    const cable = this.#cable;
    await run('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', cable, 'netns', String(pid)]);
    await run('ip', ['address', 'add', `${this.host}/${PREFIX_BITS}`, 'dev', cable]);
    await run('ip', ['link', 'set', cable, 'up']);
    await this.#inside('address', 'add', `${this.#guest}/${PREFIX_BITS}`, 'dev', cable);
    await this.#inside('link', 'set', cable, 'up');
  }

  async #inside(...args: readonly string[]): Promise<void> {
    const [program, ...flags] = this.launcher;
    await run(program!, [...flags, 'ip', ...args]);
  }
}
