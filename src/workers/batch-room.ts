/**
 * Room around the answers of a task, so that they can become one document where they stand: bytes before the
 * first one, between two, and behind the last.
 */
import type { EncodedFormat } from '../engine/selection/selection-types.ts';

export interface BatchRoom {
  readonly before: number;
  readonly between: number;
  readonly behind: number;
}

export const BATCH_ROOM: Readonly<Record<EncodedFormat, BatchRoom>> = {
  // {"answers":[  ,  ]}
  json: { before: 12, between: 1, behind: 2 },
  // A map of one, the text "answers", an array of a size of four bytes; nothing between, and no end.
  messagepack: { before: 14, between: 0, behind: 0 },
};
