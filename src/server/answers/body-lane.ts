/**
 * Selections by POST in their ordinary form, from the parser to the answer without the framework: a JSON body
 * of known length, spelled as `selection-body.ts` reads it, that comes out as a whole answer computed in
 * place. Any other goes the framework's way, its body put back. HTTP threads only.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { EncodedFormat } from '../../engine/selection/selection-types.ts';
import type { RequestLimits } from '../config/options.ts';
import { MEDIA_TYPES, negotiate } from '../http/negotiation.ts';
import { SelectionBodyReader } from '../http/selection-body.ts';
import { discard } from './discard.ts';
import type { AnswerRead } from './selection-answers.ts';

export interface BodyLaneOptions {
  readonly url: string;
  readonly bodyBytesMax: number;
  readonly limits: RequestLimits;
  readonly answer: AnswerRead;
}

export class BodyLane {
  readonly #options: BodyLaneOptions;
  readonly #reader: SelectionBodyReader;

  constructor(options: BodyLaneOptions) {
    this.#options = options;
    this.#reader = new SelectionBodyReader(options.limits);
  }

  /** True when the request is taken care of; `otherwise` is called when it turns out not to be ordinary. */
  take(incoming: IncomingMessage, raw: ServerResponse, otherwise: RequestListener): boolean {
    if (incoming.method !== 'POST' || incoming.url !== this.#options.url) return false;
    const length = this.#ordinaryLength(incoming);
    const format = length === 0 ? undefined : negotiate(incoming.headers.accept);
    if (format === undefined) return false;
    const onBody = (bytes: Buffer): void => {
      if (this.#answer(format, bytes, raw)) {
        discard(bytes);
        return;
      }
      incoming.pause().unshift(bytes);
      otherwise(incoming, raw);
    };
    // When the parser is through with what has come, the body is there as a rule. A stream that is asked then
    // costs 1 µs less than one that is listened to.
    process.nextTick(() => {
      const bytes = incoming.read() as Buffer | null;
      if (bytes?.length === length) onBody(bytes);
      else gather(incoming, length, bytes, onBody);
    });
    return true;
  }

  #answer(format: EncodedFormat, bytes: Buffer, raw: ServerResponse): boolean {
    const request = this.#reader.read(bytes);
    return request !== undefined && this.#options.answer(format, request, raw);
  }

  /** 0 when the head of the request is not the ordinary one. */
  #ordinaryLength({ headers }: IncomingMessage): number {
    const ordinary =
      headers['content-type'] === MEDIA_TYPES.json[0] &&
      headers['transfer-encoding'] === undefined &&
      headers['content-encoding'] === undefined &&
      headers.expect === undefined;
    const length = Number(headers['content-length'] ?? 0);
    return ordinary && length <= this.#options.bodyBytesMax ? length : 0;
  }
}

/** Calls `onBody` with all `length` bytes, of which `first` are here. */
function gather(
  incoming: IncomingMessage,
  length: number,
  first: Buffer | null,
  onBody: (bytes: Buffer) => void,
): void {
  let gathered: Buffer | undefined;
  let received = 0;
  const onData = (chunk: Buffer): void => {
    gathered ??= Buffer.allocUnsafeSlow(length);
    gathered.set(chunk, received);
    received += chunk.length;
    if (received < length) return;
    incoming.off('data', onData);
    onBody(gathered);
  };
  if (first !== null) onData(first);
  incoming.on('data', onData);
}
