/** Requests past the framework: by a URL that is known, or read, in a memory that keeps the hot ones. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { beforeEach, expect, test } from 'vitest';
import type { SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import { KNOWN_MAX, UrlLane } from '../../src/server/answers/url-lane.ts';

/** What was answered, and whether it was known or had to be read. */
let answered: string[];
let readUrls: string[];
let lane: UrlLane;
let isWhole: boolean;

beforeEach(() => {
  answered = [];
  readUrls = [];
  isWhole = true;
  const note = (way: string, format: string, { placement }: SelectionRequest) => {
    if (isWhole) answered.push(`${way} ${format} ${placement}`);
    return isWhole;
  };
  lane = new UrlLane({
    read: url => {
      readUrls.push(url);
      return url.startsWith('/odd') ? undefined : { placement: url };
    },
    answerKnown: ({ format, request }) => note('known', format, request),
    answerRead: (format, request) => note('read', format, request),
  });
});

/** Asks for `url`; true when the lane has answered. */
function ask(url: string, accept?: string, more: Partial<IncomingMessage> = {}): boolean {
  const headers = accept === undefined ? {} : { accept };
  return lane.take({ method: 'GET', url, headers, ...more } as IncomingMessage, {} as ServerResponse);
}

test('a URL is read once, and then known in every format, however an Accept spells that', () => {
  expect(ask('/a')).toBe(true);
  for (let i = 1; i <= 3; i++) expect(ask('/a', `application/json;q=0.${i}`)).toBe(true);
  expect(ask('/a', 'application/msgpack')).toBe(true);
  expect(ask('/a', 'text/html')).toBe(false);
  expect(answered).toEqual(['read json /a', ...Array(3).fill('known json /a'), 'known messagepack /a']);
  expect(readUrls).toEqual(['/a']);
  expect(lane.size).toBe(1);
});

test('a URL that is not read here is known when the framework has answered it', () => {
  expect(ask('/odd')).toBe(false);
  lane.learn('/odd', { placement: 'learnt' });
  expect(ask('/odd')).toBe(true);
  expect(answered).toEqual(['known json learnt']);
});

test('what has a body or another method is not for the lane', () => {
  lane.learn('/a', {});
  expect(ask('/a', undefined, { method: 'HEAD' })).toBe(false);
  expect(ask('/a', undefined, { headers: { 'content-length': '1' } })).toBe(false);
  expect(ask('/a', undefined, { headers: { 'transfer-encoding': 'chunked' } })).toBe(false);
  expect(answered).toEqual([]);
});

test('what does not come out as a whole answer is not learnt', () => {
  isWhole = false;
  expect(ask('/a')).toBe(false);
  expect(lane.size).toBe(0);
});

test('no number of new URLs keeps a hot one out, and the memory stays bounded', () => {
  ask('/hot');
  for (let i = 0; i < 20 * KNOWN_MAX; i++) {
    ask(`/new/${i}`);
    if (i % 100 === 0) ask('/hot');
    expect(lane.size).toBeLessThanOrEqual(KNOWN_MAX);
  }
  expect(readUrls.filter(url => url === '/hot')).toHaveLength(1);
});

test('what was hot makes room when it is not asked for any more', () => {
  for (let i = 0; i < 1_000; i++) ask('/hot');
  for (let i = 0; i < KNOWN_MAX; i++) ask(`/new/${i}`);
  ask('/hot');
  expect(readUrls.filter(url => url === '/hot')).toHaveLength(2);
  expect(readUrls.filter(url => url === '/new/500')).toHaveLength(1);
});
