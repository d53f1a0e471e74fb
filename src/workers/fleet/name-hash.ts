/** What the hash of a replica's name is good for: the same everywhere. Pure; any thread. */
import { hash } from 'node:crypto';

/** Where a name lies among all names: from 0 up to 1. */
export function hashShare(name: string): number {
  return hash('sha256', name, 'buffer').readUInt32LE(0) / 2 ** 32;
}

/** A short name for a replica, in records: 16 hexadecimal digits. */
export function replicaTag(name: string): string {
  return hash('sha256', name).slice(0, 16);
}
