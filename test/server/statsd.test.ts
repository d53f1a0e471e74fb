/** Metrics by statsd: the lines, the packets, and a real socket that hears them from a server. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { Counter, Gauge, Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { StatsdReporter, StatsdText } from '../../src/server/statsd.ts';
import { until } from '../support/until.ts';
import { startTestServer } from './support/server.ts';

let registry: Registry;
let counter: Counter;
let gauge: Gauge;
beforeEach(() => {
  registry = new Registry();
  const registers = [registry];
  counter = new Counter({ name: 'sortition_answers_total', help: 'h', labelNames: ['way'], registers });
  gauge = new Gauge({ name: 'sortition_age_seconds', help: 'h', registers });
});
afterEach(() => registry.clear());

const lines = async (text: StatsdText) =>
  text.packets(await registry.getMetricsAsJSON()).flatMap(packet => packet.split('\n'));

describe('the lines', () => {
  test('say counters by their growth, and gauges as they are', async () => {
    const text = new StatsdText({ prefix: 'storage.eu', tags: false });
    counter.inc({ way: 'in place' }, 3);
    gauge.set(1.5);
    expect(await lines(text)).toEqual([
      'storage.eu.answers_total.in_place:3|c',
      'storage.eu.age_seconds:1.5|g',
    ]);
    counter.inc({ way: 'in place' }, 4);
    expect(await lines(text)).toEqual([
      'storage.eu.answers_total.in_place:4|c',
      'storage.eu.age_seconds:1.5|g',
    ]);
    expect(await lines(text)).toEqual(['storage.eu.age_seconds:1.5|g']);
  });

  test('of a counter that has begun anew say what it has counted since', async () => {
    const text = new StatsdText({ prefix: 's', tags: false });
    counter.inc({ way: 'a' }, 9);
    await lines(text);
    counter.reset();
    counter.inc({ way: 'a' }, 2);
    expect(await lines(text)).toContain('s.answers_total.a:2|c');
  });

  test('set a gauge below zero to zero first: a sign would be a change', async () => {
    gauge.set(-2);
    expect(await lines(new StatsdText({ prefix: 's', tags: false }))).toEqual([
      's.age_seconds:0|g',
      's.age_seconds:-2|g',
    ]);
  });

  test('have labels as tags when that is asked for, and nothing in them that has a meaning', async () => {
    counter.inc({ way: 'a|b:c,d#e' });
    expect(await lines(new StatsdText({ prefix: 's', tags: true }))).toContain(
      's.answers_total:1|c|#way:a_b_c_d_e',
    );
  });

  test('go in packets that no network splits', async () => {
    for (let i = 0; i < 500; i++) counter.inc({ way: `way-${i}` });
    const packets = new StatsdText({ prefix: 's', tags: false }).packets(await registry.getMetricsAsJSON());
    expect(packets.length).toBeGreaterThan(5);
    for (const packet of packets) expect(Buffer.byteLength(packet)).toBeLessThanOrEqual(1_432);
    expect(packets.flatMap(packet => packet.split('\n'))).toHaveLength(501);
  });
});

/** A socket that hears all lines that are sent to it. */
async function listen(): Promise<{ readonly port: number; readonly heard: readonly string[] }> {
  const listener = createSocket('udp4');
  onTestFinished(() => void listener.close());
  listener.bind(0, '127.0.0.1');
  await once(listener, 'listening');
  const heard: string[] = [];
  listener.on('message', message => heard.push(...message.toString().split('\n')));
  return { port: (listener.address() as AddressInfo).port, heard };
}

test('a server sends them, counts requests, and says the last of it when it stops', async () => {
  const { port, heard } = await listen();
  const server = await startTestServer({ 'statsd.address': `127.0.0.1:${port}`, 'statsd.everyMs': '100' });
  await until('the generation is said', () => heard.includes('sortition.generation:1|g'));
  for (let i = 0; i < 7; i++) await server.call('/v1/selection?count=3');
  await server.close();
  await until('all requests are said', () => {
    const counts = heard.flatMap(
      line => /http_requests_total\._v1_selection\.2xx:(\d+)\|c$/.exec(line)?.[1] ?? [],
    );
    return counts.reduce((sum, count) => sum + Number(count), 0) === 7;
  });
});

test('what is under way at the end is sent, and what has been counted since', async () => {
  const { port, heard } = await listen();
  const gathering = Promise.withResolvers<void>();
  let gatherings = 0;
  const metrics = async () => {
    gatherings++;
    await gathering.promise;
    return await registry.getMetricsAsJSON();
  };
  const options = { host: '127.0.0.1', port, prefix: 's', tags: false, everyMs: 10 };
  const reporter = new StatsdReporter(options, metrics, pino({ level: 'silent' }));
  counter.inc({ way: 'before' });
  await until('one is under way', () => gatherings === 1);
  const stopping = reporter.stop();
  counter.inc({ way: 'after' });
  gathering.resolve();
  await stopping;
  await until('all are heard', () =>
    ['s.answers_total.before:1|c', 's.answers_total.after:1|c'].every(line => heard.includes(line)),
  );
  expect(gatherings).toBe(2);
});
