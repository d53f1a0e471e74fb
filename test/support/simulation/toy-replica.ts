/** One process of the simulated fleet: the real machines over toy content, and what can happen to it. */

import type { LogRecord } from '../../../src/workers/bus/bus.ts';
import { MemoryBus, type MemoryEngine } from '../../../src/workers/bus/memory-bus.ts';
import type { Term } from '../../../src/workers/fleet/election/election.ts';
import type { FleetMember, FleetStatus } from '../../../src/workers/fleet/member.ts';
import type { FleetContext, FleetLimits, FleetTimes } from '../../../src/workers/fleet/options.ts';
import type { Revocation } from '../../../src/workers/fleet/wire/records.ts';
import type { Refusal, Schemas, Sealer } from '../../../src/workers/fleet/wire/seal.ts';
import { FaultRoad } from './fault-road.ts';
import type { DatabaseRoad, ToyOffices, ToySource } from './toy-source.ts';
import { type DiskCopy, type LoadCount, ToyStore } from './toy-store.ts';
import { Cell, type World } from './world.ts';

/** The modules under test: the real ones, or mutants of them. */
export interface FleetModules {
  readonly FleetMember: typeof FleetMember;
  readonly Sealer: typeof Sealer;
  readonly Refusal: typeof Refusal;
  readonly FLEET_TIMES: FleetTimes;
  readonly FLEET_LIMITS: FleetLimits;
}

/** What all replicas of a simulated fleet share. */
export interface ToyFleet {
  readonly modules: FleetModules;
  readonly world: World;
  readonly engine: MemoryEngine;
  readonly source: ToySource;
  readonly offices: ToyOffices;
  readonly loads: LoadCount;
  readonly times: FleetTimes;
  readonly limits: FleetLimits;
  readonly key: Uint8Array | undefined;
}

/** What a process is started with. */
export interface ReplicaStart {
  readonly name: string;
  readonly disk: DiskCopy | undefined;
  /** Of the program: another one writes another schema, or another layout. */
  readonly schemas: Schemas;
  readonly layout: number;
  readonly key: Uint8Array | undefined;
}

const BUS_TIMEOUT_MS = 400;
const BUS_WAIT_MS = 800;

/** Its own appends must have an office behind them. */
class WatchedBus extends MemoryBus {
  term: Term | undefined;
  #cell: Cell | undefined;

  watch(cell: Cell): void {
    this.#cell = cell;
  }

  override async append(record: LogRecord): Promise<void> {
    if (this.term?.stillHeld() !== true)
      this.#cell?.world.fail(`${this.#cell.name} writes without an office`);
    await super.append(record);
  }
}

export class ToyReplica {
  readonly start: ReplicaStart;
  readonly cell: Cell;
  readonly road: FaultRoad;
  readonly database: DatabaseRoad = { isCut: false };
  readonly store: ToyStore;
  readonly member: FleetMember;
  readonly #fleet: ToyFleet;
  /** Revocations that this process was asked for. */
  readonly asked = new Set<number>();

  constructor(fleet: ToyFleet, start: ReplicaStart) {
    const { world, engine, source, offices, modules, loads } = fleet;
    this.#fleet = fleet;
    this.start = start;
    this.cell = new Cell(start.name, world);
    this.road = new FaultRoad(world.stream());
    const refuse: ConstructorParameters<typeof ToyStore>[0]['refuse'] = (reason, message) =>
      new modules.Refusal(reason, message);
    this.store = new ToyStore({
      cell: this.cell,
      source,
      loads,
      permission: () => {
        if (offices.hasPermit(this.cell)) return 'given';
        return offices.isUnanswered(this.cell) ? 'unanswered' : 'none';
      },
      refuse,
      layout: start.layout,
      disk: start.disk,
    });
    const bus = new WatchedBus(engine, {
      clock: this.cell.clock,
      road: this.road,
      timeoutMs: BUS_TIMEOUT_MS,
      waitMs: BUS_WAIT_MS,
    });
    bus.watch(this.cell);
    offices.join(this.cell, this.database);
    this.member = new modules.FleetMember(this.#context(bus));
    this.store.voice = this.member;
    this.member.run(new AbortController().signal).catch((error: unknown) => {
      world.fail(`${start.name}: ${error instanceof Error ? error.stack : String(error)}`);
    });
  }

  get isRunning(): boolean {
    return this.cell.state === 'running';
  }

  status(): FleetStatus {
    return this.member.status();
  }

  revoke(revocations: readonly Revocation[]): void {
    this.store.asked(revocations);
    this.member.revoke(revocations);
  }

  /** `hasVanished`: the machine is gone, and its sessions are only missed when their time is over. */
  kill(hasVanished = false): void {
    this.cell.kill();
    this.#fleet.offices.leave(this.cell, hasVanished);
  }

  #context(bus: WatchedBus): FleetContext {
    const { world, modules, offices, times, limits } = this.#fleet;
    const { name, schemas, layout, key } = this.start;
    const election = offices.election(this.cell);
    return {
      identity: { replica: name, host: 'toy', pid: 1, program: 'toy', layout, address: '' },
      bus,
      election: {
        ...election,
        attempt: async signal => {
          const term = await election.attempt(signal);
          if (term !== undefined) bus.term = term;
          return term;
        },
      },
      permits: offices.permits(this.cell),
      store: this.store,
      sealer: new modules.Sealer({ fleet: 'toy', key, schemas }),
      clock: this.cell.clock,
      random: this.cell.random,
      times,
      limits,
      mayLead: true,
      report: ({ kind, detail }) => world.note(`${name} ${kind}: ${detail}`),
    };
  }
}
