/**
 * The log in NATS. JetStream numbers messages itself and knows nothing of positions, so the fence is made of
 * two facts: each publish names the last message that its writer has seen, and the server refuses it when
 * another one has come since; and the writer compares positions with that last message. Of two that write at
 * once one is refused, looks again, and finds itself fenced.
 *
 * An empty stream has no last message, and a server may take the number 0 for no condition at all (2.9.10
 * does). So the first message of a stream is a start without content, at LOG_START, of which there is only
 * one: that the server does guarantee of a subject. A start that comes late, from somebody who was paused
 * since the stream was empty, is not the first message, and is passed over.
 */
import {
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  type StoredMsg,
} from '@nats-io/jetstream';
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import { BusError, comparePositions, LOG_START, type LogPosition, type LogRecord } from '../bus.ts';
import { type ChainedRecord, FOLLOW_RECORDS_MAX } from '../engine.ts';
import { isStart, parsePosition, positionText } from '../position.ts';
import { isStreamMissing } from './streams.ts';

/** Writers that came between are each a failed attempt; a log has one writer, or for a moment two. */
const APPEND_ATTEMPTS_MAX = 5;
const START_SEQUENCE = 1;
const WRONG_LAST_SEQUENCE = 10_071;
const AFTER_HEADER = 'Sortition-After';
/** Requests for more records are renewed so often; in between the server says that it is there. */
const PULL_EXPIRES_MS = 30_000;
const PULL_HEARTBEAT_MS = 5_000;
/** The server forgets a follower that was not heard of for so long. */
const CONSUMER_IDLE_MS = 60_000;

/** The end of the stream: the number of its last message, and the last record with its own number. */
interface Tail {
  readonly sequence: number;
  readonly recordSequence: number;
  readonly position: LogPosition;
}

export class NatsLog {
  readonly #manager: JetStreamManager;
  readonly #client: JetStreamClient;
  readonly #stream: string;
  readonly #subject: string;
  /** As this connection knows it: others may have written since, which the server finds out. */
  #tail: Tail | undefined;
  /** Appends go one after the other: each names the message before it. */
  #appending: Promise<unknown> = Promise.resolve();
  #consumer: Consumer | undefined;
  #messages: ConsumerMessages | undefined;
  #iterator: AsyncIterator<JsMsg> | undefined;
  #next: Promise<IteratorResult<JsMsg>> | undefined;

  constructor(manager: JetStreamManager, client: JetStreamClient, stream: string, prefix: string) {
    this.#manager = manager;
    this.#client = client;
    this.#stream = stream;
    this.#subject = `${prefix}.log`;
  }

  append(record: LogRecord): Promise<void> {
    const appended = this.#appending.then(() => this.#append(record));
    this.#appending = appended.catch(() => undefined);
    return appended;
  }

  async last(): Promise<LogPosition | undefined> {
    const message = await this.#lastMessage();
    if (message === undefined) return undefined;
    const { position } = await this.#tailAt(message);
    return isStart(position) ? undefined : position;
  }

  async recordsAfter(after: LogPosition, waitMs: number): Promise<readonly ChainedRecord[]> {
    this.#iterator ??= await this.#consume(after);
    const first = await this.#received(waitMs);
    if (first === undefined) return [];
    const messages = [first];
    while (messages.length < FOLLOW_RECORDS_MAX) {
      const more = await this.#received(0);
      if (more === undefined) break;
      messages.push(more);
    }
    const records = messages.filter(message => message.subject !== this.#subjectOf(LOG_START));
    return records.map(message => this.#recordOf(message));
  }

  async trim(before: LogPosition): Promise<void> {
    const last = await this.#lastMessage();
    if (last === undefined) return;
    const { recordSequence } = await this.#tailAt(last);
    const { state } = await this.#manager.streams.info(this.#stream);
    const found = await this.#sequenceAtOrAfter(before, state.first_seq, recordSequence);
    // The last record stays: it is what tells the newest position.
    const sequence = Math.min(found, recordSequence);
    // A server asked to keep all from the first one on would take that for no limit, and keep none.
    if (sequence > state.first_seq) await this.#manager.streams.purge(this.#stream, { seq: sequence });
  }

  /** Tells the server that nobody follows any more. */
  async endFollow(): Promise<void> {
    await this.#messages?.close();
    await this.#consumer?.delete();
  }

  async #append({ position, bytes }: LogRecord): Promise<void> {
    for (let attempt = 1; attempt <= APPEND_ATTEMPTS_MAX; attempt++) {
      const known = this.#tail;
      this.#tail = undefined;
      const tail = known ?? (await this.#readTail());
      if (comparePositions(position, tail.position) > 0) {
        const sequence = await this.#publish(position, bytes, tail);
        if (sequence !== undefined) {
          this.#tail = { sequence, recordSequence: sequence, position };
          return;
        }
      } else if (known === undefined) {
        const [newest, given] = [positionText(tail.position), positionText(position)];
        throw new BusError('BUS_FENCED', `the log is at ${newest} already, at or above ${given}`);
      }
      // What was known is not what is there any more, or was not enough to refuse: look again.
    }
    throw new BusError('BUS_UNAVAILABLE', `stream ${this.#stream}: too many others write at the same time`);
  }

  /** The number of the new message; `undefined` when `tail` is not the last one any more. */
  async #publish(position: LogPosition, bytes: Uint8Array, tail: Tail): Promise<number | undefined> {
    const head = headers();
    head.set(AFTER_HEADER, positionText(tail.position));
    try {
      const { seq } = await this.#client.publish(this.#subjectOf(position), bytes, {
        headers: head,
        expect: { streamName: this.#stream, lastSequence: tail.sequence },
      });
      return seq;
    } catch (error) {
      if (isWrongSequence(error)) return undefined;
      throw error;
    }
  }

  async #readTail(): Promise<Tail> {
    for (let attempt = 1; attempt <= APPEND_ATTEMPTS_MAX; attempt++) {
      const message = await this.#lastMessage();
      if (message !== undefined) return await this.#tailAt(message);
      await this.#writeStart();
    }
    throw new BusError('BUS_UNAVAILABLE', `stream ${this.#stream} stays empty`);
  }

  async #tailAt(last: StoredMsg): Promise<Tail> {
    let message: StoredMsg | null = last;
    while (message !== null && this.#isLateStart(message)) {
      message = await this.#manager.streams.getMessage(this.#stream, { seq: message.seq - 1 });
    }
    const sequence = last.seq;
    if (message === null) return { sequence, recordSequence: sequence, position: LOG_START };
    return { sequence, recordSequence: message.seq, position: this.#positionOf(message) };
  }

  async #writeStart(): Promise<void> {
    try {
      const expect = { streamName: this.#stream, lastSubjectSequence: 0 };
      await this.#client.publish(this.#subjectOf(LOG_START), undefined, { expect });
    } catch (error) {
      // Somebody else has written it.
      if (!isWrongSequence(error)) throw error;
    }
  }

  #isLateStart(message: { readonly subject: string; readonly seq: number }): boolean {
    return message.seq > START_SEQUENCE && message.subject === this.#subjectOf(LOG_START);
  }

  /** From the stream's leader: copies may lag behind. */
  async #lastMessage(): Promise<StoredMsg | undefined> {
    try {
      const query = { last_by_subj: `${this.#subject}.>` };
      return (await this.#manager.streams.getMessage(this.#stream, query)) ?? undefined;
    } catch (error) {
      if (isStreamMissing(error)) return undefined;
      throw error;
    }
  }

  /**
   * Messages from the one after `after`. Where that one is gone, from the first there is: the chain tells
   * whether anything is missing. The driver makes a new consumer when the server has lost this one, from the
   * last message that it gave.
   */
  async #consume(after: LogPosition): Promise<AsyncIterator<JsMsg>> {
    const found = await this.#manager.streams.getMessage(this.#stream, {
      last_by_subj: this.#subjectOf(after),
    });
    this.#consumer = await this.#client.consumers.get(this.#stream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: found === null ? 1 : found.seq + 1,
      inactive_threshold: CONSUMER_IDLE_MS,
    });
    this.#messages = await this.#consumer.consume({
      max_messages: FOLLOW_RECORDS_MAX,
      expires: PULL_EXPIRES_MS,
      idle_heartbeat: PULL_HEARTBEAT_MS,
    });
    return this.#messages[Symbol.asyncIterator]();
  }

  /** The next message, or `undefined` when there is none within `waitMs`; 0: none that has come already. */
  async #received(waitMs: number): Promise<JsMsg | undefined> {
    this.#next ??= this.#iterator!.next();
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<undefined>(resolve => {
      if (waitMs === 0) setImmediate(resolve, undefined);
      else timer = setTimeout(resolve, waitMs, undefined);
    });
    const result = await Promise.race([this.#next, silence]);
    clearTimeout(timer);
    if (result === undefined) return undefined;
    this.#next = undefined;
    if (result.done === true)
      throw new BusError('BUS_UNAVAILABLE', `stream ${this.#stream} is followed no more`);
    return result.value;
  }

  /** By halving: needed only when there is no record at exactly that position. */
  async #sequenceAtOrAfter(position: LogPosition, first: number, last: number): Promise<number> {
    const query = { last_by_subj: this.#subjectOf(position) };
    const exact = await this.#manager.streams.getMessage(this.#stream, query);
    if (exact !== null) return exact.seq;
    let [low, high] = [first, last + 1];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const message = await this.#manager.streams.getMessage(this.#stream, { seq: middle });
      // Trimmed by somebody else meanwhile: it was an old one.
      const isBefore = message === null || comparePositions(this.#positionOf(message), position) < 0;
      if (isBefore) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #subjectOf({ epoch, seq }: LogPosition): string {
    return `${this.#subject}.${epoch}.${seq}`;
  }

  #positionOf({ subject }: { readonly subject: string }): LogPosition {
    const text = subject.slice(this.#subject.length + 1).replace('.', '-');
    return parsePosition(text, `stream ${this.#stream}`);
  }

  #recordOf(message: { subject: string; headers: MsgHdrs | undefined; data: Uint8Array }): ChainedRecord {
    const previous = message.headers?.get(AFTER_HEADER) ?? '';
    return {
      position: this.#positionOf(message),
      previous: parsePosition(previous, `stream ${this.#stream}`),
      bytes: message.data,
    };
  }
}

/** The server has another last message than the one that was named. */
export function isWrongSequence(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE;
}
