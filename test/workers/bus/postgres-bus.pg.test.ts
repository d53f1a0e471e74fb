import { afterAll, beforeAll } from 'vitest';
import { type ServedBus, startPostgresBus } from '../../support/bus-servers.ts';
import { describeBus } from './bus.case.ts';

let subject: ServedBus;

beforeAll(async () => {
  subject = await startPostgresBus();
});

afterAll(() => subject.server.stop());

describeBus('Postgres', () => subject, { hasServer: true });
