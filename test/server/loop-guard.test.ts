/** Load is shed while the event loop is late, not for one stall, and taken again when it has recovered. */
import { expect, test } from 'vitest';
import { guardLoop } from '../../src/server/http/loop-guard.ts';
import { until } from '../support/until.ts';

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
