/**
 * Whole answers to single selections, from whichever way computed them to the connection: prepared by the
 * pool and sent out of shared memory, encoded in place into a reused buffer, or computed by the pool. HTTP
 * threads only.
 */
import type { ServerResponse } from 'node:http';
import { encodedBytesMax } from '../../engine/encoding/encode.ts';
import { DEFAULT_COUNT } from '../../engine/selection/selection-request.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  SelectionRequest,
  Shortage,
} from '../../engine/selection/selection-types.ts';
import type { AppContext } from '../app-context.ts';
import type { RequestCount, Way } from '../counters.ts';
import type { AnswerBuffer } from './answer-buffers.ts';
import { HEAD_ROOM_BYTES, headFields } from './answer-sender.ts';
import { costMicros } from './cost.ts';
import type { PreparedShape } from './prepared-answers.ts';

/** A request that has been read and checked, and does not change any more. */
export interface KnownRequest {
  readonly format: EncodedFormat;
  readonly request: SelectionRequest;
  /** Counts how often it is asked for; made when it is asked for again. */
  shape: PreparedShape | undefined;
}

/** Answers a request that has been read and checked; false when nothing was sent. */
export type AnswerRead = (format: EncodedFormat, request: SelectionRequest, raw: ServerResponse) => boolean;

/** An answer that has been computed here and is not whole, as bytes of its own. */
export interface ShortAnswer {
  readonly bytes: Uint8Array;
  readonly shortage: Shortage;
}

/** An answer that has been computed here and not sent yet. */
export interface InPlace extends EncodedSelection {
  readonly buffer: AnswerBuffer;
}

export class SelectionAnswers {
  readonly #context: AppContext;
  readonly #answered: RequestCount;
  /** Answers that the framework is to make a problem of: drawn anew, they might be whole. */
  readonly #short = new WeakMap<ServerResponse, ShortAnswer>();

  /** `answered`: where good answers of the route are counted. */
  constructor(context: AppContext, answered: RequestCount) {
    this.#context = context;
    this.#answered = answered;
  }

  /** Answers a request that is known; false when nothing was sent, and the framework is to do all of it. */
  answerKnown(known: KnownRequest, raw: ServerResponse): boolean {
    if (!this.#mayAnswer(known.request, raw)) return false;
    if (this.#answerPrepared(known, raw)) return true;
    return this.#answerInPlace(known.format, known.request, raw);
  }

  /** Answers a request that has been read and checked, as `answerKnown`. */
  answerRead(format: EncodedFormat, request: SelectionRequest, raw: ServerResponse): boolean {
    if (!this.inPlaceSuits(request) || !this.#mayAnswer(request, raw)) return false;
    return this.#answerInPlace(format, request, raw);
  }

  /** The framework says why when it may not. */
  #mayAnswer({ count = DEFAULT_COUNT }: SelectionRequest, { req }: ServerResponse): boolean {
    const { gate, phase } = this.#context;
    return phase !== 'closing' && (gate === undefined || gate.allowsCount(req, count));
  }

  /** True when a request is to be computed on this thread. */
  inPlaceSuits(request: SelectionRequest): boolean {
    const { serveFrom, inPlaceLimitMicros } = this.#context.options;
    return serveFrom !== 'pool' && costMicros(request) <= inPlaceLimitMicros;
  }

  /** Selects into a buffer, which `send` or `copyOut` gives back. Throws what selecting throws. */
  compute(format: EncodedFormat, request: SelectionRequest): InPlace {
    const { buffers, cache } = this.#context;
    const buffer = buffers.take(encodedBytesMax(format, request.count ?? DEFAULT_COUNT));
    try {
      const { bytes, generation, found, newFound, shortage } = cache.selectEncoded(
        format,
        request,
        buffer.body,
      );
      return { buffer, bytes, generation, found, newFound, shortage };
    } catch (error) {
      buffer.giveBack();
      throw error;
    }
  }

  /** Sends what was computed here. */
  send(raw: ServerResponse, format: EncodedFormat, inPlace: InPlace): void {
    const { departures, phase, sender } = this.#context;
    const { buffer, bytes } = inPlace;
    this.#count('inPlace', format, inPlace);
    sender.send(raw, format, buffer.bytes, HEAD_ROOM_BYTES, HEAD_ROOM_BYTES + bytes, phase === 'closing');
    departures.settle(raw, buffer);
  }

  /** The answer to the request of `raw` that was drawn before the framework, if it was short. */
  shortAnswer(raw: ServerResponse): ShortAnswer | undefined {
    return this.#short.get(raw);
  }

  /** What was computed here as bytes of their own. */
  copyOut({ buffer, bytes }: InPlace): Uint8Array {
    const copy = Uint8Array.prototype.slice.call(buffer.body, 0, bytes);
    buffer.giveBack();
    return copy;
  }

  /** Sends what the pool computed, whose bytes are nobody else's. */
  sendBytes(
    raw: ServerResponse,
    format: EncodedFormat,
    answered: Pick<EncodedSelection, 'found' | 'shortage'> & { readonly bytes: Uint8Array },
  ): void {
    this.#count('pool', format, answered);
    const { bytes } = answered;
    const close = this.#context.phase === 'closing';
    raw.writeHead(200, headFields(format, bytes.length, close)).end(bytes);
  }

  /** False when nothing was sent: there is no whole answer. */
  #answerInPlace(format: EncodedFormat, request: SelectionRequest, raw: ServerResponse): boolean {
    let inPlace: InPlace;
    try {
      inPlace = this.compute(format, request);
    } catch {
      // Met again by the framework, which makes a problem of it.
      return false;
    }
    const { shortage } = inPlace;
    if (shortage !== undefined && request.partial !== true) {
      this.#short.set(raw, { bytes: this.copyOut(inPlace), shortage });
      return false;
    }
    this.send(raw, format, inPlace);
    return true;
  }

  #answerPrepared(known: KnownRequest, raw: ServerResponse): boolean {
    const { departures, prepared, sender } = this.#context;
    if (prepared === undefined) return false;
    const shape = known.shape ?? prepared.shapeOf(known.format, known.request);
    if (shape === undefined) return false;
    known.shape = prepared.hit(shape);
    const slot = prepared.take(known.shape);
    if (slot === undefined) return false;
    const { format, request } = known;
    const start = prepared.writeHead(format, slot);
    this.#count('prepared', format, { found: request.count ?? DEFAULT_COUNT, shortage: undefined });
    sender.send(raw, format, slot.bytes, start, slot.end, false);
    departures.settle(raw, slot);
    return true;
  }

  #count(way: Way, format: EncodedFormat, answered: Pick<EncodedSelection, 'found' | 'shortage'>): void {
    const { counters } = this.#context;
    counters.countSelection(way, format, answered.shortage === undefined ? 'full' : 'partial');
    counters.picks += answered.found;
    this.#answered.count++;
  }
}
