/**
 * Metrics to a statsd server, by option: every so often what `/metrics` says, as UDP text. Counters go as the
 * growth since the last time, gauges as they are. Main thread. A server that is not there costs nothing and
 * is said once.
 */
import { createSocket, type Socket } from 'node:dgram';
import type { Logger } from 'pino';
import type { MetricObjectWithValues, MetricValue } from 'prom-client';
import type { StatsdOptions } from './config/options.ts';

/** What fits into one packet of an Ethernet without being split. */
const PACKET_BYTES_MAX = 1_432;
/** Characters that mean something in the protocol, or in the paths that servers make of names. */
const RESERVED = /[^A-Za-z0-9_-]/g;

export type MetricSamples = readonly MetricObjectWithValues<MetricValue<string>>[];

/** Metrics as packets of lines. Remembers what counters were, so that only their growth is said. */
export class StatsdText {
  readonly #options: Pick<StatsdOptions, 'prefix' | 'tags'>;
  readonly #counted = new Map<string, number>();

  constructor(options: Pick<StatsdOptions, 'prefix' | 'tags'>) {
    this.#options = options;
  }

  packets(metrics: MetricSamples): string[] {
    const packets: string[] = [];
    let packet = '';
    for (const line of this.#lines(metrics)) {
      if (packet !== '' && packet.length + 1 + line.length > PACKET_BYTES_MAX) {
        packets.push(packet);
        packet = '';
      }
      packet = packet === '' ? line : `${packet}\n${line}`;
    }
    return packet === '' ? packets : [...packets, packet];
  }

  *#lines(metrics: MetricSamples): Generator<string> {
    for (const metric of metrics) {
      // The type is said as a text, or as its number, by the two ways of making a metric.
      const counter = String(metric.type) === 'counter';
      for (const { value, labels, metricName } of metric.values as readonly NamedValue[]) {
        const name = this.#name(metricName ?? metric.name, labels);
        if (!Number.isFinite(value)) continue;
        if (!counter) yield* this.#gauge(name, value);
        else yield* this.#growth(name, value);
      }
    }
  }

  /** A gauge with a sign in front would be a change of it: below zero, it is set to zero first. */
  *#gauge({ path, tags }: Name, value: number): Generator<string> {
    if (value < 0) yield `${path}:0|g${tags}`;
    yield `${path}:${value}|g${tags}`;
  }

  *#growth({ path, tags }: Name, value: number): Generator<string> {
    const key = path + tags;
    const before = this.#counted.get(key) ?? 0;
    this.#counted.set(key, value);
    // Below what it was: it has begun anew.
    const growth = value < before ? value : value - before;
    if (growth > 0) yield `${path}:${growth}|c${tags}`;
  }

  #name(name: string, labels: Labels): Name {
    const plain = name.replace(/^sortition_/, '').replace(RESERVED, '_');
    const parts = Object.entries(labels).map(([label, value]) => [
      label,
      String(value).replace(RESERVED, '_'),
    ]);
    const path = [this.#options.prefix, plain];
    if (!this.#options.tags)
      return { path: [...path, ...parts.map(([, value]) => value)].join('.'), tags: '' };
    const tags = parts.map(([label, value]) => `${label}:${value}`).join(',');
    return { path: path.join('.'), tags: tags === '' ? '' : `|#${tags}` };
  }
}

type Labels = Readonly<Partial<Record<string, string | number>>>;

interface NamedValue {
  readonly value: number;
  readonly labels: Labels;
  /** Of a histogram's or summary's parts. */
  readonly metricName?: string;
}

interface Name {
  readonly path: string;
  readonly tags: string;
}

/** Sends until `stop`. */
export class StatsdReporter {
  readonly #socket: Socket;
  readonly #text: StatsdText;
  readonly #options: StatsdOptions;
  readonly #metrics: () => Promise<MetricSamples>;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #failed = false;
  #sending: Promise<void> | undefined;

  constructor(options: StatsdOptions, metrics: () => Promise<MetricSamples>, log: Logger) {
    this.#options = options;
    this.#metrics = metrics;
    this.#log = log;
    this.#text = new StatsdText(options);
    this.#socket = createSocket(options.host.includes(':') ? 'udp6' : 'udp4');
    this.#socket.on('error', error => this.#fail(error));
    this.#socket.unref();
    this.#timer = setInterval(() => void this.#send(), options.everyMs);
    this.#timer.unref();
  }

  /** What has been counted since the last time is said before the end. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sending;
    await this.#send();
    this.#socket.close();
  }

  /** One at a time: nothing is gathered behind a collection that takes long. */
  #send(): Promise<void> {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #sendAll(): Promise<void> {
    try {
      const { host, port } = this.#options;
      for (const packet of this.#text.packets(await this.#metrics())) {
        await new Promise<void>((resolve, reject) => {
          this.#socket.send(packet, port, host, error => (error ? reject(error) : resolve()));
        });
      }
      this.#failed = false;
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    if (this.#failed) return;
    this.#failed = true;
    const { host, port } = this.#options;
    this.#log.warn({ host, port, problem: error.message }, 'statsd cannot be reached; it is tried again');
  }
}
