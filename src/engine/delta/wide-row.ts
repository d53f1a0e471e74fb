/** What a row's words say of its address. */
import { ROW_TEXT_LENGTH_WORD, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';

/** True when the address of the row is IPv6: it has no text of its own. */
export function isWideRow(rowWords: Uint32Array, row: number): boolean {
  return rowWords[row * ROW_WORDS + ROW_TEXT_LENGTH_WORD]! >>> 24 === 0;
}
