import { afterAll, beforeAll } from 'vitest';
import { type ServedBus, startRedisBus } from '../../support/bus-servers.ts';
import { describeBus } from './bus.case.ts';

let subject: ServedBus;

beforeAll(async () => {
  subject = await startRedisBus();
});

afterAll(() => subject.server.stop());

describeBus('Redis', () => subject, { hasServer: true });
