/** Golden table of the control words: a change here is a change of the layout and needs a new version. */
import { describe, expect, test } from 'vitest';
import {
  CONTROL_MAGIC,
  CONTROL_WORD,
  controlBytes,
  LINE_BYTES,
  leaseWord,
  ownerWord,
  slotCountFor,
} from '../../native-layout/control-block.ts';

describe('the control block', () => {
  test('has its words where they have always been', () => {
    expect(CONTROL_WORD).toEqual({ MAGIC: 0, VERSION: 1, SEATS: 2, SLOTS: 3, CURRENT: 32, GENERATION: 64 });
    expect(CONTROL_MAGIC).toBe(0x4c544353);
    expect(LINE_BYTES).toBe(128);
  });

  test.each([
    [0, 96, 97],
    [1, 128, 129],
    [2, 160, 161],
    [15, 576, 577],
    [1023, 32_832, 32_833],
  ])('has seat %i at the words %i and %i', (seat, owner, lease) => {
    expect([ownerWord(seat), leaseWord(seat)]).toEqual([owner, lease]);
  });

  test.each([
    [0, 384, 2],
    [1, 512, 3],
    [3, 768, 5],
    [16, 2432, 18],
    [1024, 131_456, 1026],
  ])('of %i seats takes %i bytes and %i slots', (seats, bytes, slots) => {
    expect([controlBytes(seats), slotCountFor(seats)]).toEqual([bytes, slots]);
  });

  test('keeps words of different writers two cache lines apart', () => {
    const lineOf = (word: number) => Math.floor((word * 4) / LINE_BYTES);
    const lines = [
      0,
      CONTROL_WORD.CURRENT,
      CONTROL_WORD.GENERATION,
      ownerWord(0),
      ownerWord(1),
      ownerWord(2),
    ].map(lineOf);
    expect(new Set(lines).size).toBe(lines.length);
    expect(lineOf(leaseWord(7))).toBe(lineOf(ownerWord(7)));
    expect((leaseWord(7) + 1) * 4).toBeLessThanOrEqual(controlBytes(8));
  });
});
