/**
 * Has the selection workers keep the rings of all HTTP threads full, as long as there are requests that are
 * hot: one task follows the other. Runs on the thread that owns the pool. When the pool is dead or busy it
 * tries again after a pause; HTTP threads answer in place meanwhile.
 */
import type { RingTenant, TendOrder, TendResult } from './messages.ts';

export interface RingTenderOptions {
  readonly tend: (order: TendOrder) => Promise<TendResult>;
  /** Tasks at once: workers that keep rings full. */
  readonly tasks: number;
  /** Tells the owner of a ring that its tenant has no whole answer now. */
  readonly onUnfit: (unfit: Pick<RingTenant, 'ring' | 'tenancy'>) => void;
}

export interface RingTenderCounts {
  readonly tasks: number;
  readonly failed: number;
  readonly answers: number;
}

/** A task ends by itself after so long, so that changes of the tenants are met. */
const TASK_MS = 40;
const PAUSE_MS = 250;

export class RingTender {
  readonly #options: RingTenderOptions;
  /** By ring. */
  readonly #tenants = new Map<number, RingTenant>();
  readonly #underWay: boolean[];
  readonly #counts = { tasks: 0, failed: 0, answers: 0 };
  #pause: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: RingTenderOptions) {
    this.#options = options;
    this.#underWay = Array<boolean>(options.tasks).fill(false);
  }

  /** The ring has this tenant from now on; undefined: none. */
  set(ring: number, tenant: RingTenant | undefined): void {
    if (tenant === undefined) this.#tenants.delete(ring);
    else this.#tenants.set(ring, tenant);
    this.#start();
  }

  /** The rings of a thread that has ended, from `first` on: nobody takes from them. */
  forget(first: number, rings: number): void {
    for (let ring = first; ring < first + rings; ring++) this.#tenants.delete(ring);
  }

  counts(): RingTenderCounts {
    return { ...this.#counts };
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#pause);
  }

  #start(): void {
    if (this.#stopped || this.#pause !== undefined) return;
    for (let share = 0; share < this.#underWay.length; share++) {
      if (!this.#underWay[share]) this.#send(share);
    }
  }

  /** Each task has its own share of the rings. */
  #send(share: number): void {
    const shares = this.#underWay.length;
    const tenants = [...this.#tenants.values()].filter((_, index) => index % shares === share);
    if (tenants.length === 0) return;
    this.#underWay[share] = true;
    this.#counts.tasks++;
    this.#options.tend({ tenants, durationMs: TASK_MS }).then(
      ({ filled, unfit }) => {
        this.#underWay[share] = false;
        this.#counts.answers += filled;
        for (const { ring, tenancy } of unfit) {
          if (this.#tenants.get(ring)?.tenancy === tenancy) this.#tenants.delete(ring);
          this.#options.onUnfit({ ring, tenancy });
        }
        this.#start();
      },
      // The pool is full, dead or closed, and its status counts it.
      () => {
        this.#underWay[share] = false;
        this.#counts.failed++;
        this.#startLater();
      },
    );
  }

  #startLater(): void {
    if (this.#stopped || this.#pause !== undefined) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#start();
    }, PAUSE_MS);
    this.#pause.unref();
  }
}
