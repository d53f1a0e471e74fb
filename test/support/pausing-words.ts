/**
 * Control words of a real block that now and then stop the thread for a moment at an access, so that the
 * races between two accesses, which last nanoseconds, are run into thousands of times a second.
 */
import type { ControlWords } from '../../src/engine/publication.ts';
import { dataRandom } from './data-random.ts';

export interface Pauses {
  readonly seed: number;
  /** A pause once in so many loads, and stores. */
  readonly loads: number;
  readonly stores: number;
  readonly longestMs: number;
}

export function pausingWords(words: ControlWords, pauses: Pauses): ControlWords {
  const random = dataRandom(pauses.seed);
  const bed = new Int32Array(new SharedArrayBuffer(4));
  const pauseOnceIn = (times: number) => {
    // Nobody ever notifies: this is a sleep of the whole thread.
    if (random(times) === 0) Atomics.wait(bed, 0, 0, (random(1000) / 1000) * pauses.longestMs);
  };
  return {
    load: word => {
      pauseOnceIn(pauses.loads);
      return words.load(word);
    },
    store: (word, value) => {
      words.store(word, value);
      pauseOnceIn(pauses.stores);
    },
    compareExchange: (word, expected, replacement) => words.compareExchange(word, expected, replacement),
  };
}
