/** The streams of the bus in NATS: names, subjects, settings, and that they exist. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream';
import { nanos, RequestError } from '@nats-io/transport-node';
import { pause, within } from '../deadline.ts';
import { LOG_RECORDS_MAX } from '../engine.ts';
import type { ResolvedNatsBus } from '../options.ts';

/** Streams by their purpose. */
export interface NatsStreams {
  /** Subject of a record: `prefix.log.epoch.seq`. */
  readonly log: string;
  /** Subject of a piece: `prefix.blob.name.piece`. */
  readonly blobs: string;
  readonly pointer: string;
  /** One message a replica, and one that tells the engine's time. */
  readonly beats: string;
}

/** Messages are not told apart by an id of ours, so the server need not remember any: the least it takes. */
const DUPLICATE_WINDOW_MS = 100;
/** What the stream of blobs or heartbeats begins with; it grows to the longest expiry that is asked for. */
const AGE_MS_MIN = 1_000;
/** A stream is created in a few milliseconds. */
const CREATION_POLL_MS = 10;
const CREATION_LOOKS_MAX = 20;
/** How long the first question to a new stream waits for an answer; after a silence the next waits longer. */
const FIRST_ANSWER_MS = 200;
const STREAM_NOT_FOUND = 10_059;
const STREAM_NAME_IN_USE = 10_058;
const SUBJECTS_OVERLAP = 10_065;

export function streamNames(prefix: string): NatsStreams {
  const name = (purpose: string) => `${prefix}-${purpose}`;
  return { log: name('log'), blobs: name('blobs'), pointer: name('pointer'), beats: name('beats') };
}

/** Creates what is missing. Streams that are there keep the settings that they have. */
export async function ensureStreams(
  manager: JetStreamManager,
  options: ResolvedNatsBus,
): Promise<ReadonlyMap<string, StreamInfo>> {
  const found = await Promise.all(streamConfigs(options).map(config => ensureStream(manager, config)));
  return new Map(found.map(info => [info.config.name, info]));
}

/**
 * Waits until the streams answer for themselves. A server of 2.9.10 ends with a panic when it is asked by
 * `STREAM.MSG.GET` for a message of a stream that somebody is just creating; a stream that answers a direct
 * read is complete. A direct read that comes while the stream is created may stay without an answer, so it
 * is asked for again.
 */
export async function untilStreamsAnswer(
  manager: JetStreamManager,
  options: ResolvedNatsBus,
  signal: AbortSignal,
): Promise<void> {
  const waits = streamConfigs(options).map(async ({ name, subjects }) => {
    // No such message is kept anywhere: the answer is always short.
    const query = { last_by_subj: subjects![0]!.replace(/[*>]$/, 'none') };
    let waitMs = FIRST_ANSWER_MS;
    for (;;) {
      const found = await askedForNothing(manager, name, query, waitMs);
      if (found === 'answered') return;
      if (found === 'silent') waitMs = Math.min(2 * waitMs, options.timeoutMs);
      await pause(CREATION_POLL_MS, signal);
      signal.throwIfAborted();
    }
  });
  await Promise.all(waits);
}

/** What becomes of a question to `stream` for a message that is not there. */
async function askedForNothing(
  manager: JetStreamManager,
  stream: string,
  query: { last_by_subj: string },
  waitMs: number,
): Promise<'answered' | 'nobody there' | 'silent'> {
  const silence = new Error(`stream ${stream} did not answer within ${waitMs} ms`);
  try {
    await within(waitMs, manager.direct.getMessage(stream, query), () => silence);
    return 'answered';
  } catch (error) {
    if (error === silence) return 'silent';
    if (error instanceof RequestError && error.isNoResponders()) return 'nobody there';
    throw error;
  }
}

/** Lets messages of a stream live as long as `expiresMs`; each says itself when it is to be forgotten. */
export async function raiseAge(
  manager: JetStreamManager,
  stream: string,
  expiresMs: number,
): Promise<StreamInfo> {
  const info = await manager.streams.info(stream);
  if (info.config.max_age >= nanos(expiresMs)) return info;
  return await manager.streams.update(stream, { max_age: nanos(expiresMs) });
}

export function isStreamMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND;
}

type NewStream = Partial<StreamConfig> & { readonly name: string };

function streamConfigs(options: ResolvedNatsBus): NewStream[] {
  const { prefix } = options;
  const names = streamNames(prefix);
  const common: Partial<StreamConfig> = {
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    storage: options.storage === 'memory' ? StorageType.Memory : StorageType.File,
    num_replicas: options.replicas,
    allow_direct: true,
    duplicate_window: nanos(DUPLICATE_WINDOW_MS),
  };
  const newest = { ...common, max_msgs_per_subject: 1 };
  return [
    { ...common, name: names.log, subjects: [`${prefix}.log.>`], max_msgs: LOG_RECORDS_MAX },
    { ...newest, name: names.blobs, subjects: [`${prefix}.blob.>`], max_age: nanos(AGE_MS_MIN) },
    { ...newest, name: names.pointer, subjects: [`${prefix}.pointer`] },
    {
      ...newest,
      name: names.beats,
      subjects: [`${prefix}.beat.*`, `${prefix}.clock`],
      max_age: nanos(AGE_MS_MIN),
    },
  ];
}

async function ensureStream(manager: JetStreamManager, config: NewStream): Promise<StreamInfo> {
  for (let look = 1; ; look++) {
    try {
      return await manager.streams.info(config.name);
    } catch (error) {
      if (!isStreamMissing(error)) throw error;
    }
    try {
      return await manager.streams.add(config);
    } catch (error) {
      if (!isTaken(error) || look === CREATION_LOOKS_MAX) throw error;
      if (await isOfStranger(manager, config)) throw error;
    }
    await delay(CREATION_POLL_MS);
  }
}

/**
 * Name or subjects belong to a stream already: to a stranger, or to the same one when another replica was
 * faster, which is told before the stream can be seen.
 */
function isTaken(error: unknown): boolean {
  if (!(error instanceof JetStreamApiError)) return false;
  return error.code === STREAM_NAME_IN_USE || error.code === SUBJECTS_OVERLAP;
}

/** True when the subjects are those of a stream with another name. */
async function isOfStranger(manager: JetStreamManager, { name, subjects }: NewStream): Promise<boolean> {
  try {
    return (await manager.streams.find(subjects![0]!)) !== name;
  } catch (error) {
    if (isStreamMissing(error)) return false;
    throw error;
  }
}
