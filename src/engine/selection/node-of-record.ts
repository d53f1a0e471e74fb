/** A node record (native-layout/node-record.ts) as an object. */
import {
  POOL_INELIGIBLE,
  POOL_VETTED,
  RECORD_ADDRESS_WORD,
  RECORD_TAIL_WORD,
} from '../../../native-layout/node-record.ts';
import { ID_BYTES } from '../../../native-layout/snapshot-row.ts';
import { formatAddress } from '../address/address.ts';
import type { FoundNode } from './selection-types.ts';

/** The record at byte `at`. */
export function nodeOfRecord(bytes: Buffer, at: number): FoundNode {
  const tail = at + 4 * RECORD_TAIL_WORD;
  const pool = bytes[tail + 2]!;
  return {
    id: bytes.toString('hex', at, at + ID_BYTES),
    ip: formatAddress(bytes, at + 4 * RECORD_ADDRESS_WORD),
    port: bytes[tail]! | (bytes[tail + 1]! << 8),
    pool: pool === POOL_VETTED ? 'vetted' : pool === POOL_INELIGIBLE ? 'ineligible' : 'new',
  };
}
