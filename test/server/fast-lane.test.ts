/** Requests that are known again: by URL and format, in a memory that the hot ones cannot be kept out of. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { beforeEach, expect, test } from 'vitest';
import { FastLane, KNOWN_MAX, type KnownRequest } from '../../src/server/answers/fast-lane.ts';

let answered: KnownRequest[];
let lane: FastLane;

beforeEach(() => {
  answered = [];
  lane = new FastLane(known => {
    answered.push(known);
    return true;
  });
});

const known = (more: Partial<KnownRequest> = {}): KnownRequest => ({
  format: 'json',
  request: {},
  shape: undefined,
  ...more,
});

/** Asks for `url`; true when the lane has answered. */
function ask(url: string, accept?: string, more: Partial<IncomingMessage> = {}): boolean {
  const headers = accept === undefined ? {} : { accept };
  return lane.take({ method: 'GET', url, headers, ...more } as IncomingMessage, {} as ServerResponse);
}

test('a request is known by its format, however its Accept spells it', () => {
  const [json, messagepack] = [known(), known({ format: 'messagepack' })];
  lane.learn('/a', json);
  for (let i = 1; i <= 9; i++) expect(ask('/a', `application/json;q=0.${i}`)).toBe(true);
  expect(ask('/a')).toBe(true);
  expect(ask('/a', 'application/msgpack')).toBe(false);
  expect(ask('/a', 'text/html')).toBe(false);
  lane.learn('/a', messagepack);
  expect(ask('/a', 'application/msgpack')).toBe(true);
  expect(answered).toEqual([...Array<KnownRequest>(10).fill(json), messagepack]);
  expect(lane.size).toBe(1);
});

test('what has a body or another method is not for the lane', () => {
  lane.learn('/a', known());
  expect(ask('/a', undefined, { method: 'HEAD' })).toBe(false);
  expect(ask('/a', undefined, { headers: { 'content-length': '1' } })).toBe(false);
  expect(ask('/b')).toBe(false);
});

/** As the routes do: what is not known is learnt when the framework has answered it. */
function serve(url: string): void {
  if (!ask(url)) lane.learn(url, known());
}

test('no number of lukewarm URLs keeps a hot one out, and the memory stays bounded', () => {
  for (let second = 0; second < 5; second++) {
    for (let i = 0; i < 2 * KNOWN_MAX; i++) {
      serve(`/lukewarm/${i}`);
      serve(`/lukewarm/${i}`);
      if (second > 0) serve('/hot');
    }
    expect(lane.size).toBe(KNOWN_MAX);
    lane.cool();
  }
  expect(ask('/hot')).toBe(true);
});

test('what was hot makes room when it is not asked for any more', () => {
  for (let i = 0; i < 1_000; i++) serve('/hot');
  for (let second = 0; second < 20; second++) lane.cool();
  for (let i = 0; i < KNOWN_MAX; i++) serve(`/new/${i}`);
  expect(ask('/hot')).toBe(false);
  expect(ask('/new/0')).toBe(true);
});
