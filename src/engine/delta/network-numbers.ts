// @hotpath
/**
 * Numbers of networks in the next snapshot: those of the current one stay, and a network that is not among
 * them gets the next number. A number is never given to another network, also when nobody is left in it.
 * What is new belongs to one delta, until its snapshot is current (`accept`) or given up (`begin`).
 */
import { NETWORK_KEY_WORDS } from '../../../native-layout/network-key.ts';
import { CacheError } from '../errors.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { NetworkTable, NO_NETWORK, sameKey } from './network-table.ts';

/** There are more networks than numbers. */
export const NETWORK_SHORTAGE = -2;

export class NetworkNumbers {
  readonly #known = new NetworkTable();
  readonly #fresh = new NetworkTable();
  #knownCount = 0;
  #count = 0;
  #countMax = 0;
  #seed = 0;
  #keys: Uint32Array = new Uint32Array();
  #nextKeys: Uint32Array = new Uint32Array();

  /** Numbers in the next snapshot. */
  get count(): number {
    return this.#count;
  }

  /** Takes the networks of `snapshot`, which is current. Throws SNAPSHOT_CORRUPT when one has two numbers. */
  take({ views, networkCount }: Snapshot, seed: number): void {
    this.#seed = seed;
    this.#knownCount = networkCount;
    this.#known.clear(seed, networkCount);
    this.#addKnown(views.networkKeyWords, 0);
  }

  /** Begins a delta from a snapshot with these keys to one whose keys are `nextKeys`, which it fills. */
  begin(keys: Uint32Array, nextKeys: Uint32Array): void {
    this.#keys = keys;
    this.#nextKeys = nextKeys;
    this.#count = this.#knownCount;
    this.#countMax = nextKeys.length / NETWORK_KEY_WORDS;
    this.#fresh.clear(this.#seed);
    nextKeys.set(keys.subarray(0, this.#knownCount * NETWORK_KEY_WORDS));
  }

  /** The snapshot that was begun is current. */
  accept(): void {
    const from = this.#knownCount;
    this.#knownCount = this.#count;
    this.#addKnown(this.#nextKeys, from);
  }

  /** True when the network of the key at word `at` of `words` has this number in the current snapshot. */
  isNumberOf(number: number, words: Uint32Array, at: number): boolean {
    return sameKey(this.#keys, number * NETWORK_KEY_WORDS, words, at);
  }

  /** The number of the network of that key, a new one if need be, or NETWORK_SHORTAGE. */
  numberOf(words: Uint32Array, at: number): number {
    const known = this.#known.find(this.#keys, words, at);
    if (known !== NO_NETWORK) return known;
    const nextKeys = this.#nextKeys;
    const fresh = this.#fresh.find(nextKeys, words, at);
    if (fresh !== NO_NETWORK) return fresh;
    if (this.#count === this.#countMax) return NETWORK_SHORTAGE;
    const number = this.#count++;
    for (let i = 0; i < NETWORK_KEY_WORDS; i++) nextKeys[number * NETWORK_KEY_WORDS + i] = words[at + i]!;
    this.#fresh.add(nextKeys, number);
    return number;
  }

  #addKnown(keys: Uint32Array, from: number): void {
    for (let number = from; number < this.#knownCount; number++) {
      if (this.#known.add(keys, number)) continue;
      throw new CacheError('SNAPSHOT_CORRUPT', `network ${number} has another number, too`);
    }
  }
}
