/**
 * The rows of a running COPY, taken from the connection's stream before the driver sees them: it would make
 * an object of every row. What is no row goes on to the driver, which ends the statement, also with an error.
 */
import type { Readable } from 'node:stream';
import type { FieldRows } from '../../../engine/snapshot/field-rows.ts';
import type { CopyRows } from './copy-rows.ts';
import { MessageSplitter } from './message-splitter.ts';

type DataListener = (chunk: Buffer) => void;

/**
 * Yields the rows until `statement` ends; rejects as it does. Called when the statement has been sent and
 * nothing has come back. The stream is read a chunk at a time, when the one before is used up: in the end the
 * server waits. When the consumer leaves early the stream is of no use to anybody any more.
 */
export async function* copiedRows(
  stream: Readable,
  statement: Promise<unknown>,
  rows: CopyRows,
): AsyncGenerator<FieldRows> {
  const driver = stream.listeners('data') as DataListener[];
  const splitter = new MessageSplitter(rows, message => {
    for (const listener of driver) listener.call(stream, message);
  });
  /** What has come; a stream may have a second chunk in hand when it is paused. */
  const chunks: Buffer[] = [];
  let wake = (): void => undefined;
  let ended = false;
  const take: DataListener = chunk => {
    chunks.push(chunk);
    stream.pause();
    wake();
  };
  const end = () => {
    ended = true;
    wake();
  };
  stream.removeAllListeners('data').on('data', take);
  statement.then(end, end);
  try {
    for (;;) {
      const chunk = chunks.shift();
      if (chunk !== undefined) {
        yield* splitter.split(chunk);
      } else if (ended) {
        break;
      } else {
        const more = new Promise<void>(resolve => {
          wake = resolve;
        });
        stream.resume();
        await more;
      }
    }
    await statement;
  } finally {
    stream.off('data', take);
    if (ended) {
      // Whichever way it ended, the driver goes on. The last chunk has paused the stream, and that listeners
      // are there again does not set it going.
      for (const listener of driver) stream.on('data', listener);
      stream.resume();
    }
  }
}
