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

export function openLog({ values }: Pick<Config, 'values'>): Logger {
  const { 'log.level': level, 'log.format': format } = values;
  const options = { level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime };
  const pretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY);
  if (!pretty)
    return pino(
      options,
      pino.destination({ dest: STDERR, sync: false, minLength: 0, maxLength: LOG_BUFFER_BYTES_MAX }),
    );
  return pino(options, { write: line => void process.stderr.write(prettyLine(line)) });
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
