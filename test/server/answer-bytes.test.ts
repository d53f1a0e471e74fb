/** Batches are put together where the pool left their answers, else in a copy: the same bytes. */
import { unpack } from 'msgpackr';
import { expect, test } from 'vitest';
import type { EncodedFormat } from '../../src/engine/selection/selection-types.ts';
import { encodeDocument, joinAnswers } from '../../src/server/answers/answer-bytes.ts';
import { BATCH_ROOM } from '../../src/workers/batch-room.ts';

const ANSWERS = [
  { generation: 1, nodes: [] },
  { generation: 1, nodes: ['a'] },
  { generation: 1, nodes: ['b', 'c'] },
];

/** As a selection worker leaves them. */
function inOnePiece(format: EncodedFormat, encoded: readonly Uint8Array[]): Uint8Array<ArrayBuffer>[] {
  const { before, between, behind } = BATCH_ROOM[format];
  const lengths = encoded.reduce((sum, { length }) => sum + length + between, 0);
  const bytes = new Uint8Array(before + lengths - between + behind).fill(0xee);
  let at = before;
  return encoded.map(answer => {
    bytes.set(answer, at);
    at += answer.length + between;
    return bytes.subarray(at - between - answer.length, at - between);
  });
}

test.each<EncodedFormat>(['json', 'messagepack'])('of one answer and of several, as %s', format => {
  for (let count = 1; count <= ANSWERS.length; count++) {
    const answers = ANSWERS.slice(0, count);
    const encoded = answers.map(answer => Buffer.from(new Uint8Array(encodeDocument(format, answer)).buffer));
    const together = inOnePiece(format, encoded);
    const joined = joinAnswers(format, together);
    expect(joined.buffer, 'no copy').toBe(together[0]!.buffer);
    expect(joined).toEqual(joinAnswers(format, encoded));
    const document = format === 'json' ? JSON.parse(joined.toString()) : unpack(joined);
    expect(document).toEqual({ answers });
  }
});

test.each<EncodedFormat>(['json', 'messagepack'])('with another one between them, as %s', format => {
  const encoded = ANSWERS.map(answer => encodeDocument(format, answer));
  const parts = inOnePiece(format, encoded);
  const problem = encodeDocument(format, { code: 'OVERLOADED' });
  for (let i = 0; i < parts.length; i++) {
    const joined = joinAnswers(format, parts.with(i, Buffer.from(new Uint8Array(problem).buffer)));
    const document = format === 'json' ? JSON.parse(joined.toString()) : unpack(joined);
    expect(document.answers).toEqual(ANSWERS.with(i, { code: 'OVERLOADED' } as never));
  }
});
