/** What a metric is, before it is registered. Types only. */

export type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [labels: Labels, value: number];

export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  samples(): Iterable<Sample>;
}
