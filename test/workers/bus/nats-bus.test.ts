import { afterAll, beforeAll } from 'vitest';
import { type ServedBus, startNatsBus } from '../../support/bus-servers.ts';
import { describeBus } from './bus.case.ts';

let subject: ServedBus;

beforeAll(async () => {
  subject = await startNatsBus();
});

afterAll(() => subject.server.stop());

describeBus('Nats', () => subject, { hasServer: true });
