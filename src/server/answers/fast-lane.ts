/**
 * Requests that have been answered before, known again by their URL and `Accept`: they have passed every
 * check once, so they go from the parser to the answer without the framework, whose routing, hooks and
 * objects cost as much as a selection. Whatever is not exactly known, or does not come out as a whole answer,
 * takes the way through the framework. HTTP threads only.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EncodedFormat, SelectionRequest } from '../../engine/selection/selection-types.ts';
import type { PreparedShape } from './prepared-answers.ts';

/** URLs that are known at once; when they are that many, those not used of late make room. */
export const KNOWN_MAX = 512;
/** Different `Accept` headers known of one URL, and the longest of them. */
const ACCEPTS_MAX = 4;
const ACCEPT_CHARACTERS_MAX = 256;

/** A request that is known. */
export interface KnownRequest {
  readonly accept: string | undefined;
  readonly format: EncodedFormat;
  readonly request: SelectionRequest;
  /** Counts how often it is asked for; absent: its answers are never prepared. */
  shape: PreparedShape | undefined;
}

interface KnownUrl {
  readonly requests: KnownRequest[];
  /** Asked for since the last `forget`. */
  used: boolean;
}

/** Answers a known request; false when nothing was sent. */
export type AnswerKnown = (known: KnownRequest, raw: ServerResponse) => boolean;

export class FastLane {
  readonly #urls = new Map<string, KnownUrl>();
  readonly #answer: AnswerKnown;
  /** No URL that is new is taken before the next `forget`. */
  #full = false;

  constructor(answer: AnswerKnown) {
    this.#answer = answer;
  }

  /** URLs that are known. */
  get size(): number {
    return this.#urls.size;
  }

  /** True when `raw` has been answered. */
  take(incoming: IncomingMessage, raw: ServerResponse): boolean {
    const url = this.#urls.get(incoming.url!);
    if (url === undefined || incoming.method !== 'GET') return false;
    const { headers } = incoming;
    // A body is for the framework to refuse.
    if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return false;
    const { accept } = headers;
    url.used = true;
    for (const known of url.requests) if (known.accept === accept) return this.#answer(known, raw);
    return false;
  }

  /** The request has been checked and answered; `request` does not change any more. */
  learn(url: string, known: KnownRequest): void {
    const { accept } = known;
    if (accept !== undefined && accept.length > ACCEPT_CHARACTERS_MAX) return;
    const entry = this.#urls.get(url);
    if (entry === undefined) {
      if (this.#full) return;
      this.#urls.set(url, { requests: [known], used: true });
      this.#full = this.#urls.size >= KNOWN_MAX;
    } else if (
      entry.requests.length < ACCEPTS_MAX &&
      entry.requests.every(other => other.accept !== accept)
    ) {
      entry.requests.push(known);
    }
  }

  /** Makes room, when there is none, by forgetting what was not asked for since the last call. */
  forget(): void {
    if (!this.#full) return;
    for (const [url, entry] of this.#urls) {
      if (!entry.used) this.#urls.delete(url);
      entry.used = false;
    }
    this.#full = this.#urls.size >= KNOWN_MAX;
  }
}
