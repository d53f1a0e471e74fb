/**
 * Which requests get a ring: by how often they are asked for, within bounds, and without going to and fro.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import {
  COLD_PER_SECOND,
  HOT_PER_SECOND,
  type HotShape,
  HotShapes,
  newShape,
  SHAPES_MAX,
  shapeKey,
} from '../../src/server/answers/hot-shapes.ts';

const REVIEW_MS = 200;

let free: string[];
let shapes: HotShapes<string>;

beforeEach(() => {
  free = ['first', 'second'];
  shapes = new HotShapes({ open: () => free.shift(), close: ring => void free.push(ring) });
});

const shape = (count: number) => newShape<string>('json', { count })!;

/** `reviews` reviews, with each shape asked for so many times a second. */
function ask(reviews: number, ...rates: readonly (readonly [HotShape<string>, number])[]): void {
  for (let review = 0; review < reviews; review++) {
    for (const [asked, perSecond] of rates) {
      for (let i = 0; i < (perSecond * REVIEW_MS) / 1_000; i++) shapes.hit(asked);
    }
    shapes.review(REVIEW_MS);
  }
}

describe('the key of a request', () => {
  test('is the same for requests that ask for the same', () => {
    expect(shapeKey('json', { count: 3, partial: false })).toBe(
      shapeKey('json', { count: 3, order: 'random' }),
    );
    expect(shapeKey('json', { count: 3 })).not.toBe(shapeKey('messagepack', { count: 3 }));
    for (const other of [
      { count: 4 },
      { newFraction: 0 },
      { placement: 'a' },
      { distinct: 'a' },
      { partial: true },
    ])
      expect(shapeKey('json', other)).not.toBe(shapeKey('json', {}));
  });

  test('is none for requests with ids, which are of one asker alone', () => {
    expect(shapeKey('json', { exclude: [] })).toBeUndefined();
    expect(newShape('json', { held: [] })).toBeUndefined();
  });
});

describe('a ring', () => {
  test('goes to what is asked for often, and comes back when it is not any more', () => {
    const [hot, warm] = [shape(1), shape(2)];
    ask(3, [hot, 3 * HOT_PER_SECOND], [warm, HOT_PER_SECOND / 2]);
    expect(hot.ring).toBe('first');
    expect(warm.ring).toBeUndefined();
    ask(20, [hot, 2 * COLD_PER_SECOND]);
    expect(hot.ring).toBe('first');
    ask(20);
    expect(hot.ring).toBeUndefined();
    expect(free).toHaveLength(2);
    expect(shapes.size).toBe(0);
  });

  test('goes to the hottest first, and moves only to what is much hotter', () => {
    const [a, b, c] = [shape(1), shape(2), shape(3)];
    ask(8, [a, 400], [b, 600], [c, 500]);
    expect([a.ring, b.ring, c.ring]).toEqual([undefined, 'first', 'second']);
    ask(8, [a, 900], [b, 600], [c, 500]);
    expect(a.ring).toBeUndefined();
    ask(8, [a, 1_300], [b, 600], [c, 500]);
    expect([a.ring, c.ring]).toEqual(['second', undefined]);
  });

  test('is taken from a request that has no whole answer, which gets none for a while', () => {
    const hot = shape(1);
    ask(3, [hot, 1_000]);
    shapes.bar(hot);
    ask(4, [hot, 1_000]);
    expect(hot.ring).toBeUndefined();
    ask(2, [hot, 1_000]);
    expect(hot.ring).toBeDefined();
  });

  test('serves all spellings of a request together', () => {
    const [one, other] = [shape(1), shape(1)];
    expect(shapes.hit(one)).toBe(one);
    expect(shapes.hit(other)).toBe(one);
    ask(3, [other, 1_000]);
    expect(one.ring).toBeDefined();
  });
});

test('no more requests are watched than the limit, and those that come later have their turn', () => {
  const many = Array.from({ length: SHAPES_MAX + 50 }, (_, i) => shape(i + 1));
  for (const each of many) shapes.hit(each);
  expect(shapes.size).toBe(SHAPES_MAX);
  ask(20, [many.at(-1)!, 1_000]);
  expect(many.at(-1)!.ring).toBeDefined();
  expect(shapes.size).toBe(1);
});

test('no number of lukewarm requests keeps a hot one from its ring', () => {
  const lukewarm = Array.from({ length: SHAPES_MAX + 50 }, (_, i) => shape(i + 1));
  const rates = lukewarm.map(each => [each, 15] as const);
  ask(5, ...rates);
  const hot = shape(1_000);
  ask(5, ...rates.slice(0, 150), [hot, 1_000], ...rates.slice(150));
  expect(hot.ring).toBeDefined();
  expect(shapes.size).toBe(SHAPES_MAX);
  // Nor do requests that are asked for once, between any two of a hot one.
  for (let review = 0; review < 10; review++) {
    for (let i = 0; i < 400; i++) {
      shapes.hit(shape(2_000 + 400 * review + i));
      if (i % 10 === 0) shapes.hit(hot);
    }
    shapes.review(REVIEW_MS);
    expect(shapes.size).toBe(SHAPES_MAX);
    expect(hot.ring).toBeDefined();
  }
});
