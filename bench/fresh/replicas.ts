/** Replicas as processes of their own, and what the bench asks them. Every wait has an end. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { FleetOptions } from '../../src/workers/fleet-options.ts';
import { nowUs, within } from './clock.ts';
import type { WatchOrder, WatchReport } from './probe-watch.ts';
import type {
  ReplicaAnswer,
  ReplicaMessage,
  ReplicaOrder,
  ReplicaQuestion,
  ReplicaStatus,
} from './replica.ts';

const REPLICA_PATH = fileURLToPath(new URL('./replica.ts', import.meta.url));
const READY_TIMEOUT_MS = 60_000;
const ANSWER_TIMEOUT_MS = 30_000;
const LOOK_EVERY_MS = 5;

export interface ReadyTimes {
  /** From the call that starts the process, and from that of `openCache`, to the first selection. */
  readonly fromSpawnUs: number;
  readonly fromOpenUs: number;
}

export class ReplicaProcess {
  readonly ready: Promise<ReadyTimes>;
  /** When it became the leader of an epoch, by epoch. */
  readonly ledFromUs = new Map<number, number>();
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #waiting = new Map<number, (answer: ReplicaAnswer) => void>();
  #questionCount = 0;

  constructor(order: ReplicaOrder) {
    const spawnedUs = nowUs();
    this.#child = fork(REPLICA_PATH, [JSON.stringify(order)], { serialization: 'advanced' });
    this.#exited = once(this.#child, 'exit');
    const ready = Promise.withResolvers<ReadyTimes>();
    this.#child.on('message', (message: ReplicaMessage) => {
      if (message.kind === 'leads') this.ledFromUs.set(message.epoch, message.atUs);
      else if (message.kind === 'answer') this.#waiting.get(message.id)?.(message.answer);
      else {
        const { openedUs, readyUs } = message;
        ready.resolve({ fromSpawnUs: readyUs - spawnedUs, fromOpenUs: readyUs - openedUs });
      }
    });
    void this.#exited.then(() => ready.reject(new Error('a replica ended before it was ready')));
    this.ready = within(ready.promise, READY_TIMEOUT_MS, 'a replica is ready');
    this.ready.catch(() => undefined);
  }

  async status(): Promise<ReplicaStatus> {
    return (await this.#ask({ kind: 'status' })) as ReplicaStatus;
  }

  async watch(order: WatchOrder): Promise<void> {
    await this.#ask({ kind: 'watch', order });
  }

  async gone(number: number): Promise<void> {
    await this.#ask({ kind: 'gone', number });
  }

  /** One report a thread. */
  async stop(): Promise<readonly WatchReport[]> {
    return (await this.#ask({ kind: 'stop' })) as readonly WatchReport[];
  }

  /** Ends it as a machine that fails does; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** Waits until `holds` of its status. */
  async until(
    what: string,
    holds: (status: ReplicaStatus) => boolean | Promise<boolean>,
  ): Promise<ReplicaStatus> {
    const endUs = nowUs() + 1_000 * ANSWER_TIMEOUT_MS;
    for (;;) {
      const status = await this.status();
      if (await holds(status)) return status;
      if (nowUs() > endUs) throw new Error(`not within ${ANSWER_TIMEOUT_MS} ms: ${what}`);
      await delay(LOOK_EVERY_MS);
    }
  }

  #ask(question: ReplicaQuestion): Promise<ReplicaAnswer> {
    const id = ++this.#questionCount;
    const answer = new Promise<ReplicaAnswer>(resolve => {
      this.#waiting.set(id, resolve);
      this.#child.send({ id, question });
    });
    return within(answer, ANSWER_TIMEOUT_MS, `a replica answers "${question.kind}"`).finally(() =>
      this.#waiting.delete(id),
    );
  }
}

/** What replicas of one fleet have in common. */
export interface FleetPlan {
  readonly connectionString: string;
  readonly fleet: FleetOptions;
  readonly nodes: number;
}

/** Replicas of one fleet: the first one leads before the others are started. */
export class Fleet {
  readonly replicas: ReplicaProcess[] = [];
  readonly #plan: FleetPlan;

  private constructor(plan: FleetPlan) {
    this.#plan = plan;
  }

  static async start(plan: FleetPlan, replicaCount: number): Promise<Fleet> {
    const fleet = new Fleet(plan);
    try {
      const leader = await fleet.add();
      await leader.until('the first replica leads', ({ fleet: own }) => own?.role === 'leader');
      await Promise.all(Array.from({ length: replicaCount - 1 }, () => fleet.add()));
      return fleet;
    } catch (error) {
      await fleet.end();
      throw error;
    }
  }

  /** One more, ready and in step. */
  async add(options: Partial<FleetOptions> = {}): Promise<ReplicaProcess> {
    const { connectionString, fleet, nodes } = this.#plan;
    const replica = new ReplicaProcess({
      connectionString,
      fleet: { ...fleet, ...options },
      nodes,
      threads: 0,
    });
    this.replicas.push(replica);
    await replica.ready;
    await replica.until('a replica is in step', ({ fleet: own }) => own?.lost === undefined);
    return replica;
  }

  /** The one that leads, as soon as one does, and the others. */
  async roles(): Promise<{ readonly leader: ReplicaProcess; readonly followers: ReplicaProcess[] }> {
    const endUs = nowUs() + 1_000 * ANSWER_TIMEOUT_MS;
    for (;;) {
      const statuses = await Promise.all(this.replicas.map(replica => replica.status()));
      const at = statuses.findIndex(({ fleet }) => fleet?.role === 'leader');
      if (at >= 0) return { leader: this.replicas[at]!, followers: this.replicas.filter((_, i) => i !== at) };
      if (nowUs() > endUs) throw new Error(`nobody has led for ${ANSWER_TIMEOUT_MS} ms`);
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Kills one, which is a replica of this fleet no longer. */
  async kill(replica: ReplicaProcess): Promise<void> {
    this.replicas.splice(this.replicas.indexOf(replica), 1);
    await replica.kill();
  }

  /** Waits until all hold the content that the leader holds. */
  async settled(): Promise<void> {
    const { leader, followers } = await this.roles();
    for (const follower of followers) {
      const { fleet: led } = await leader.status();
      await follower.until(
        'a replica holds what the leader holds',
        ({ fleet }) => fleet?.digest === led?.digest,
      );
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.replicas.splice(0).map(replica => replica.kill()));
  }
}
