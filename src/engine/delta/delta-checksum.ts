/** The checksum of a delta: see delta-layout.ts. */
import { DIGEST_WORDS } from '../../../native-layout/snapshot-header.ts';
import { Digest } from '../snapshot/digest.ts';
import { CHECKSUM_WORDS } from './delta-layout.ts';

/** What the words of its checksum must be, for a delta in which they are zero. */
export function deltaChecksum(delta: Uint8Array): Uint32Array {
  const words = new Uint32Array(DIGEST_WORDS * Math.ceil(delta.length / (4 * DIGEST_WORDS)));
  new Uint8Array(words.buffer).set(delta);
  const digest = new Digest();
  digest.update(words, 0, words.length);
  const whole = new Uint32Array(DIGEST_WORDS);
  digest.write(whole, 0);
  return whole.subarray(0, CHECKSUM_WORDS);
}
