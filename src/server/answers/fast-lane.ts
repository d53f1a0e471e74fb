/**
 * Requests that have been answered before, known again by their URL and the format that they ask for: they
 * have passed every check once, so they go from the parser to the answer without the framework, whose
 * routing, hooks and objects cost as much as a selection. Whatever is not exactly known, or does not come out
 * as a whole answer, takes the way through the framework. HTTP threads only.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EncodedFormat, SelectionRequest } from '../../engine/selection/selection-types.ts';
import { negotiate } from '../http/negotiation.ts';
import { coldest } from './coldest.ts';
import type { PreparedShape } from './prepared-answers.ts';

/** URLs that are known at once; when they are that many, the one asked for least makes room for a new one. */
export const KNOWN_MAX = 512;

/** A request that is known. */
export interface KnownRequest {
  readonly format: EncodedFormat;
  readonly request: SelectionRequest;
  /** Counts how often it is asked for; absent: its answers are never prepared. */
  shape: PreparedShape | undefined;
}

interface KnownUrl {
  readonly url: string;
  /** How often it was asked for, what is long ago counting less. */
  uses: number;
  json: KnownRequest | undefined;
  messagepack: KnownRequest | undefined;
}

/** Answers a known request; false when nothing was sent. */
export type AnswerKnown = (known: KnownRequest, raw: ServerResponse) => boolean;

export class FastLane {
  readonly #urls = new Map<string, KnownUrl>();
  readonly #answer: AnswerKnown;

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
    url.uses++;
    const format = negotiate(headers.accept);
    const known = format === undefined ? undefined : url[format];
    return known !== undefined && this.#answer(known, raw);
  }

  /** The request has been checked and answered; `request` does not change any more. */
  learn(url: string, known: KnownRequest): void {
    let entry = this.#urls.get(url);
    if (entry === undefined) {
      if (this.#urls.size >= KNOWN_MAX) {
        this.#urls.delete(coldest(this.#urls.values(), ({ uses }) => uses)!.url);
      }
      entry = { url, uses: 1, json: undefined, messagepack: undefined };
      this.#urls.set(url, entry);
    }
    entry[known.format] ??= known;
  }

  /** Lets what was asked for before count half; to be called about once a second. */
  cool(): void {
    for (const entry of this.#urls.values()) entry.uses /= 2;
  }
}
