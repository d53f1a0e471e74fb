/**
 * Requests by GET past the framework, whose routing, hooks and objects cost as much as a selection. They are
 * known by their URL, because the framework or this lane has answered it before; or their URL is spelled as
 * `selection-url.ts` reads it. Whatever does not come out as a whole answer takes the way through the
 * framework. HTTP threads only.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SelectionRequest } from '../../engine/selection/selection-types.ts';
import { negotiate } from '../http/negotiation.ts';
import type { AnswerRead, KnownRequest } from './selection-answers.ts';

/** URLs that are known at once, at most. */
export const KNOWN_MAX = 512;

interface KnownUrl {
  readonly url: string;
  readonly request: SelectionRequest;
  /** By the formats that it was asked for in. */
  json: KnownRequest | undefined;
  messagepack: KnownRequest | undefined;
}

export interface UrlLaneOptions {
  /** The request that a URL spells, checked; undefined when that is for the framework to say. */
  readonly read: (url: string) => SelectionRequest | undefined;
  /** Answers a request that was asked for before; false when nothing was sent. */
  readonly answerKnown: (known: KnownRequest, raw: ServerResponse) => boolean;
  /** Answers a request that was just read; false when nothing was sent. */
  readonly answerRead: AnswerRead;
}

export class UrlLane {
  readonly #options: UrlLaneOptions;
  /**
   * In two halves: what is asked for comes into the newer one, and when that is full it becomes the older
   * one, whose rest is forgotten. So what is asked for once among as many others stays known.
   */
  #newer = new Map<string, KnownUrl>();
  #older = new Map<string, KnownUrl>();

  constructor(options: UrlLaneOptions) {
    this.#options = options;
  }

  /** URLs that are remembered; some of them may be in both halves. */
  get size(): number {
    return this.#newer.size + this.#older.size;
  }

  /** True when `raw` has been answered. */
  take(incoming: IncomingMessage, raw: ServerResponse): boolean {
    if (incoming.method !== 'GET') return false;
    const { headers } = incoming;
    // A body is for the framework to refuse.
    if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return false;
    const url = incoming.url!;
    const entry = this.#find(url);
    return entry === undefined
      ? this.#answerNew(url, headers.accept, raw)
      : this.#answerKnown(entry, headers.accept, raw);
  }

  /** Remembers what `url` spells. It has been checked and answered, and does not change any more. */
  learn(url: string, request: SelectionRequest): void {
    if (this.#find(url) === undefined) this.#remember(knownUrl(url, request));
  }

  #answerKnown(entry: KnownUrl, accept: string | undefined, raw: ServerResponse): boolean {
    const format = negotiate(accept);
    if (format === undefined) return false;
    entry[format] ??= { format, request: entry.request, shape: undefined };
    return this.#options.answerKnown(entry[format], raw);
  }

  #answerNew(url: string, accept: string | undefined, raw: ServerResponse): boolean {
    const request = this.#options.read(url);
    const format = request === undefined ? undefined : negotiate(accept);
    if (request === undefined || format === undefined) return false;
    if (!this.#options.answerRead(format, request, raw)) return false;
    this.#remember(knownUrl(url, request));
    return true;
  }

  #find(url: string): KnownUrl | undefined {
    const newer = this.#newer.get(url);
    if (newer !== undefined) return newer;
    const older = this.#older.get(url);
    if (older !== undefined) this.#remember(older);
    return older;
  }

  #remember(entry: KnownUrl): void {
    if (this.#newer.size === KNOWN_MAX / 2) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(entry.url, entry);
  }
}

function knownUrl(url: string, request: SelectionRequest): KnownUrl {
  return { url, request, json: undefined, messagepack: undefined };
}
