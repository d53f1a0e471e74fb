/** The bus in memory passes the suite of all buses; its faults are the simulation's matter. */
import type { Bus } from '../../../src/workers/bus/bus.ts';
import { MemoryBus, MemoryEngine } from '../../../src/workers/bus/memory-bus.ts';
import { describeBus } from './bus.case.ts';

/** One for each fleet, as if each had a server of its own. */
const engines = new Map<string, MemoryEngine>();

async function open({ fleet }: { fleet: string }): Promise<Bus> {
  const engine = engines.get(fleet) ?? new MemoryEngine();
  engines.set(fleet, engine);
  return new MemoryBus(engine);
}

describeBus('Memory', () => ({ open }), { hasServer: false });
