/** Log positions as text, `epoch-seq`, as the engines store them. Pure; any thread. */
import { assert } from '../../engine/assert.ts';
import { BusError, type LogPosition } from './bus.ts';

const TEXT = /^(\d{1,16})-(\d{1,16})$/;

export function positionText({ epoch, seq }: LogPosition): string {
  return `${epoch}-${seq}`;
}

/** Throws BUS_CORRUPT when `text` is no position; `where` says what holds it. */
export function parsePosition(text: string, where: string): LogPosition {
  const match = TEXT.exec(text);
  const position = { epoch: Number(match?.[1]), seq: Number(match?.[2]) };
  if (!isPosition(position))
    throw new BusError('BUS_CORRUPT', `${where} holds "${text}", not a log position`);
  return position;
}

export function assertPosition(position: LogPosition): void {
  assert(isPosition(position), () => `${positionText(position)} is no log position`);
}

export function isStart(position: LogPosition): boolean {
  return position.epoch === 0 && position.seq === 0;
}

function isPosition({ epoch, seq }: LogPosition): boolean {
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(seq) && epoch >= 0 && seq >= 0;
}
