import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ChangeInbox } from '../../../src/workers/source/postgres/feed/change-inbox.ts';
import { probePayload, readNotification } from '../../../src/workers/source/postgres/feed/notification.ts';
import { idsOf } from '../../support/change-follower.ts';
import { checkProperty } from '../../support/property.ts';

const NODES_MAX = 5;

function inboxAt(clock: { ms: number }): ChangeInbox {
  return new ChangeInbox({ nodesMax: NODES_MAX, now: () => clock.ms });
}

/** Ids of one repeated byte. */
function ids(...bytes: number[]): Uint8Array {
  return Uint8Array.from(bytes.flatMap(byte => Array.from({ length: 32 }, () => byte)));
}

describe('the inbox', () => {
  test('hands out each node once, with its newest mark and the earliest time', async () => {
    const inbox = inboxAt({ ms: 0 });
    inbox.addNodes(ids(1, 2), Uint8Array.of(0, 1), 500);
    inbox.addNodes(ids(2, 3), Uint8Array.of(0, 0), 400);
    inbox.addNodes(ids(1), Uint8Array.of(1), 600);
    const change = await inbox.take();
    expect(change).toMatchObject({ kind: 'nodes', writtenAtUnixMs: 400 });
    if (change.kind !== 'nodes') return;
    expect(idsOf(change).map(id => id.slice(0, 2))).toEqual(['01', '02', '03']);
    expect([...change.out]).toEqual([1, 0, 0]);
  });

  test('waits for others a moment, but not when a node is out', async () => {
    const clock = { ms: 100 };
    const inbox = inboxAt(clock);
    inbox.addNodes(ids(1), Uint8Array.of(0), undefined);
    let taken = false;
    const taking = inbox.take().then(change => {
      taken = true;
      return change;
    });
    // The clock stands still: so does the wait, until a node that is out comes.
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(taken).toBe(false);
    inbox.addNodes(ids(2), Uint8Array.of(1), undefined);
    expect(await taking).toMatchObject({ kind: 'nodes', out: Uint8Array.of(0, 1) });
  });

  test('does not let a stream of changes keep the first one waiting for ever', async () => {
    const inbox = new ChangeInbox({ nodesMax: 1_000, now: () => performance.now() });
    const started = performance.now();
    let count = 0;
    const stream = setInterval(() => inbox.addNodes(ids(++count), Uint8Array.of(0), undefined), 0);
    inbox.addNodes(ids(0), Uint8Array.of(0), undefined);
    await inbox.take();
    clearInterval(stream);
    expect(performance.now() - started).toBeLessThan(500);
  });

  test('says that something was missed when there are too many, and forgets them', async () => {
    const inbox = inboxAt({ ms: 0 });
    inbox.addNodes(ids(1, 2, 3, 4, 5), new Uint8Array(5), undefined);
    inbox.addNodes(ids(6), Uint8Array.of(0), undefined);
    inbox.addNodes(ids(7), Uint8Array.of(0), undefined);
    expect(await inbox.take()).toMatchObject({ kind: 'missed', reason: expect.stringContaining('5 nodes') });
    inbox.addNodes(ids(8), Uint8Array.of(1), undefined);
    const after = await inbox.take();
    expect(after.kind === 'nodes' && idsOf(after)).toEqual(['08'.repeat(32)]);
  });

  test('hands out what has come before it throws what has failed', async () => {
    const inbox = inboxAt({ ms: 0 });
    inbox.addNodes(ids(1), Uint8Array.of(0), undefined);
    inbox.fail(new Error('lost'));
    inbox.fail(new Error('second'));
    expect(await inbox.take()).toMatchObject({ kind: 'nodes' });
    await expect(inbox.take()).rejects.toThrow('lost');
    await expect(inbox.take()).rejects.toThrow('lost');
  });

  test('wakes who waits for anything, and says alive once, with the newest clock', async () => {
    const inbox = inboxAt({ ms: 0 });
    const taking = inbox.take();
    inbox.alive({ clockMicros: 1, askedMs: 1 });
    inbox.alive({ clockMicros: 2, askedMs: 2 });
    expect(await taking).toEqual({ kind: 'alive', clockMicros: 2, askedMs: 2 });
    inbox.miss('a');
    inbox.miss('b');
    inbox.alive({ clockMicros: 3, askedMs: 3 });
    expect(await inbox.take()).toEqual({ kind: 'missed', reason: 'a' });
    expect(await inbox.take()).toEqual({ kind: 'alive', clockMicros: 3, askedMs: 3 });
  });
});

describe('a notification', () => {
  const payloadOf = (bytes: Buffer) => `1n1795315779399066:${bytes.toString('base64')}`;

  test('is read as it was made', () => {
    const node = fc.tuple(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.integer({ min: 0, max: 1 }));
    const property = fc.property(fc.array(node, { minLength: 1, maxLength: 170 }), nodes => {
      const bytes = Buffer.concat(nodes.map(([id, mark]) => Buffer.from([...id, mark])));
      // As the server breaks its lines.
      const payload = payloadOf(bytes).replaceAll(/(.{76})/g, '$1\n');
      const read = readNotification(payload);
      expect(read).toMatchObject({ kind: 'nodes', writtenAtUnixMs: 1_795_315_779_399.066 });
      if (read?.kind !== 'nodes') return;
      expect(Buffer.from(read.ids)).toEqual(Buffer.concat(nodes.map(([id]) => Buffer.from(id))));
      expect([...read.out]).toEqual(nodes.map(([, mark]) => mark));
    });
    checkProperty(property, { runs: 100 });
  });

  test('of anything else is none of ours, and nothing throws', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string().map(text => `1n1:${text}`),
      fc.base64String().map(text => `1n1:${text}`),
      fc.uint8Array().map(bytes => payloadOf(Buffer.from(bytes))),
    );
    const property = fc.property(texts, text => {
      const read = readNotification(text);
      if (read?.kind === 'nodes') expect(read.ids.length).toBe(32 * read.out.length);
    });
    checkProperty(property, { runs: 500 });
  });

  test.each([
    ['', undefined],
    ['1n1:', undefined],
    [payloadOf(Buffer.alloc(32)), undefined],
    [payloadOf(Buffer.alloc(33, 2)), undefined],
    ['2n1:AAAA', undefined],
    ['1x1:AAAA', undefined],
    [
      '1a1:the table\u0000 was\u001b[31m truncated',
      { kind: 'everything', reason: 'the table  was [31m truncated' },
    ],
    [probePayload('nonce'), { kind: 'probe', nonce: 'nonce' }],
  ])('%j is read as %j', (payload, expected) => {
    expect(readNotification(payload)).toEqual(expected);
  });
});
