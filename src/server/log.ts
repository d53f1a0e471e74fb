/**
 * Structured logs to stderr: JSON lines, or lines for people where stderr is a terminal. A slow sink never
 * blocks.
 */
import { stripVTControlCharacters, styleText } from 'node:util';
import { type Logger, pino } from 'pino';
import type { Config } from './config.ts';

const STDERR = 2;
/** What a sink that does not read may leave waiting; more is dropped. */
const LOG_BUFFER_BYTES_MAX = 1_048_576;

export interface LogOptions {
  readonly level: Config['values']['log.level'];
  readonly isPretty: boolean;
}

/** On the main thread: no other one knows what stderr is. */
export function logOptions({ values }: Pick<Config, 'values'>): LogOptions {
  const { 'log.level': level, 'log.format': format } = values;
  return { level, isPretty: format === 'pretty' || (format === 'auto' && process.stderr.isTTY) };
}

/** On any thread. */
export function openLog({ level, isPretty }: LogOptions): Logger {
  const options = { level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime };
  // Every line at once; with 0, the same, nobody could wait for what is not written yet. Not the stream of
  // the process: what other threads write to that goes through the main one.
  const sink = pino.destination({
    dest: STDERR,
    sync: false,
    minLength: 1,
    maxLength: LOG_BUFFER_BYTES_MAX,
  });
  if (!isPretty) return pino(options, sink);
  const prettySink = {
    write: (line: string) => void sink.write(prettyLine(line)),
    flush: (done: (error?: Error) => void) => sink.flush(done),
  };
  return pino(options, prettySink);
}

const LEVEL_NAMES: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info ',
  40: 'warn ',
  50: 'error',
  60: 'fatal',
};
const WARN = 40;

/** `20:15:03 info  loaded  generation=7 vetted=5838`. */
function prettyLine(line: string): string {
  const { level, time, msg, pid, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const name = LEVEL_NAMES[Number(level)] ?? String(level);
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${fieldText(value)}`);
  const text = [String(time).slice(11, 19), name, String(msg), ...rest].join(' ');
  // What a source or a client sent must not steer the terminal.
  const clean = stripVTControlCharacters(text);
  return `${Number(level) >= WARN ? styleText('yellow', clean) : clean}\n`;
}

function fieldText(value: unknown): string {
  return typeof value === 'string' && !/\s/.test(value) ? value : JSON.stringify(value);
}
