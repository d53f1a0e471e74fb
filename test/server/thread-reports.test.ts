/** What the main thread says of the other HTTP threads: one entry for each, heard of or not. */
import { expect, test } from 'vitest';
import { waysOf } from '../../src/server/thread-report.ts';
import { HttpThreads, type HttpThreadsOptions } from '../../src/server/threads/http-threads.ts';

test('a thread that was never heard of has an entry, of zeros', async () => {
  const threads = new HttpThreads({
    access: { onChange: () => {} },
    context: { options: { watchdog: { hungMs: 0 } } },
    cache: { onStatus: () => () => {} },
    ringsOf: () => undefined,
    count: 3,
  } as unknown as HttpThreadsOptions);
  const reports = await threads.reports();
  expect(reports).toHaveLength(3);
  for (const report of reports) {
    expect(report).toMatchObject({ picks: 0, connections: 0, waitingBytes: 0, requests: [] });
    expect(waysOf(report)).toEqual({ prepared: 0, inPlace: 0, pool: 0 });
  }
});
