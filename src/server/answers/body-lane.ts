/**
 * Selections by POST in their ordinary form, from the parser to the answer without the framework: a JSON body
 * of known length, spelled as `selection-body.ts` reads it, that comes out as a whole answer computed in
 * place. Any other goes the framework's way, with its body. HTTP threads only.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { EncodedFormat, SelectionRequest } from '../../engine/selection/selection-types.ts';
import type { RequestLimits } from '../config/options.ts';
import { MEDIA_TYPES, negotiate } from '../http/negotiation.ts';
import { readSelectionBody } from '../http/selection-body.ts';

/** Answers a request that has been read and checked; false when nothing was sent. */
export type AnswerRead = (format: EncodedFormat, request: SelectionRequest, raw: ServerResponse) => boolean;

export interface BodyLaneOptions {
  readonly url: string;
  readonly bodyBytesMax: number;
  readonly limits: RequestLimits;
  readonly answer: AnswerRead;
}

export class BodyLane {
  readonly #options: BodyLaneOptions;
  /** Bodies of requests that have been handed on. */
  readonly #read = new WeakMap<IncomingMessage, Buffer>();

  constructor(options: BodyLaneOptions) {
    this.#options = options;
  }

  /** True when the request is taken care of; `otherwise` is called when it turns out not to be ordinary. */
  take(incoming: IncomingMessage, raw: ServerResponse, otherwise: () => void): boolean {
    if (incoming.method !== 'POST' || incoming.url !== this.#options.url) return false;
    const length = this.#ordinaryLength(incoming);
    const format = length === 0 ? undefined : negotiate(incoming.headers.accept);
    if (format === undefined) return false;
    let gathered: Buffer | undefined;
    let received = 0;
    const onData = (chunk: Buffer): void => {
      received += chunk.length;
      let bytes = chunk;
      if (chunk.length < length) {
        // Copied, each byte once: what comes from a socket is good for this turn.
        gathered ??= Buffer.allocUnsafeSlow(length);
        gathered.set(chunk, received - chunk.length);
        if (received < length) return;
        bytes = gathered;
      }
      incoming.off('data', onData);
      if (this.#answer(format, bytes, raw)) return;
      this.#read.set(incoming, Buffer.from(bytes));
      otherwise();
    };
    incoming.on('data', onData);
    return true;
  }

  /**
   * The body of a request that has been handed on, to be read again; or `payload`, which has not been read.
   */
  payloadOf<T extends Readable>(incoming: IncomingMessage, payload: T): T | Readable {
    const bytes = this.#read.get(incoming);
    return bytes === undefined ? payload : Readable.from([bytes], { objectMode: false });
  }

  #answer(format: EncodedFormat, bytes: Buffer, raw: ServerResponse): boolean {
    const { answer, limits } = this.#options;
    const request = readSelectionBody(bytes, limits);
    return request !== undefined && answer(format, request, raw);
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
