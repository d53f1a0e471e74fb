/** The Redis that tests and benches start: a real one, alone on its port, and nothing of it is left. */
import { existsSync } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { createClient } from 'redis';
import { expect, it } from 'vitest';
import { startTestRedis } from '../support/redis.ts';

async function clientOf(url: string) {
  const client = createClient({ url, socket: { reconnectStrategy: false } }).on('error', () => undefined);
  await client.connect();
  return client;
}

it('keeps nothing on disk, and takes settings', async () => {
  const redis = await startTestRedis({ maxmemory: '10mb' });
  try {
    const client = await clientOf(redis.url);
    await client.set('key', 'value');
    expect(await client.get('key')).toBe('value');
    expect(await client.configGet(['save', 'appendonly', 'maxmemory'])).toEqual({
      save: '',
      appendonly: 'no',
      maxmemory: String(10 * 1_048_576),
    });
    await client.close();
  } finally {
    await redis.stop();
  }
});

it('is gone after stop, with its folder; two of them do not meet', async () => {
  const both = await Promise.all([startTestRedis(), startTestRedis()]);
  expect(both[0].port).not.toBe(both[1].port);
  const folders = await Promise.all(both.map(({ pid }) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  await Promise.all(both.map(redis => redis.stop()));
  for (const { pid, url } of both) {
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
    await expect(clientOf(url)).rejects.toThrow();
  }
  for (const folder of folders) expect(folder !== '' && existsSync(folder)).toBe(false);
});
