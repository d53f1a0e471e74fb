/** Load is shed while the event loop is late, not for one stall, and taken again when it has recovered. */
import { expect, test } from 'vitest';
import { guardLoop } from '../../src/server/http/loop-guard.ts';
import { startTestServer } from './support/server.ts';
import { until } from './support/until.ts';

/** Holds the event loop for `ms`, as a computation would. */
function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test('three bad seconds shed, good ones end it', async () => {
  const changes: boolean[] = [];
  const stop = guardLoop(40, shedding => changes.push(shedding));
  const busy = setInterval(() => block(70), 80);
  await until('load is shed', () => changes.length === 1);
  clearInterval(busy);
  await until('load is taken again', () => changes.length === 2);
  stop();
  expect(changes).toEqual([true, false]);
});

test('a limit of 0 never sheds', () => {
  const stop = guardLoop(0, () => expect.unreachable());
  block(20);
  stop();
});

test('a server that sheds refuses selections, and goes on answering probes and metrics', async () => {
  const server = await startTestServer();
  try {
    server.context.overloaded = true;
    const answer = await server.call('/v1/selection?count=1');
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
    expect(answer.json()).toMatchObject({ code: 'OVERLOADED' });
    for (const path of ['/livez', '/readyz', '/metrics', '/v1/status']) {
      expect((await server.call(path)).status).toBe(200);
    }
    expect((await server.call('/metrics')).bytes.toString()).toMatch(/^sortition_http_shed_total 1$/m);
    server.context.overloaded = false;
    expect((await server.call('/v1/selection?count=1')).status).toBe(200);
  } finally {
    await server.close();
  }
});
