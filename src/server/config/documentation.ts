/**
 * The configuration table as people read it: Markdown for the README, help groups for the flags, and what is
 * set.
 */
import type { Config } from '../config.ts';
import {
  CONFIG_KEY_NAMES,
  type ConfigKeyName,
  configKey,
  environmentName,
  faceName,
  flagName,
} from './table.ts';

/** The table of the README's configuration section; a test compares the two. */
export function configMarkdown(): string {
  const head = ['key (file)', 'environment', 'flag', 'accepts', 'default', 'what'];
  const rows = CONFIG_KEY_NAMES.map(markdownRow);
  return [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n');
}

function markdownRow(name: ConfigKeyName): string[] {
  const key = configKey(name);
  return [
    `\`${faceName(name)}\``,
    key.fileOnly ? '' : `\`${environmentName(name)}\``,
    key.fileOnly ? '' : `\`--${flagName(name)}\``,
    cell(key.accepts),
    `\`${defaultText(name)}\``,
    cell(key.description),
  ];
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

export function defaultText(name: ConfigKeyName): string {
  const key = configKey(name);
  if (key.defaultText !== undefined) return key.defaultText;
  if (key.default === undefined) return 'none';
  return typeof key.default === 'string' ? key.default : JSON.stringify(key.default);
}

const GROUPS: Readonly<Record<string, string>> = {
  source: 'Source',
  refresh: 'Refresh',
  capacity: 'Capacity',
  guard: 'Guards of a load',
  admin: 'Listeners',
  access: 'Access',
  tls: 'Access',
  host: 'Listeners',
  port: 'Listeners',
  limits: 'Limits of requests',
  workerPool: 'Where selections run',
  serveFrom: 'Where selections run',
  inPlaceLimitMicros: 'Where selections run',
  prepared: 'Where selections run',
  httpThreads: 'Where selections run',
  http: 'HTTP limits and timeouts',
  shutdown: 'Shutdown',
  fleet: 'Fleet',
  statsd: 'Metrics',
  log: 'Logs',
};

/** The heading under which `--help` shows a key. */
export function helpGroup(name: ConfigKeyName): string {
  return `${GROUPS[name.split('.', 1)[0]!] ?? 'Selection'}:`;
}

/** Every value that is in force, for `--print-config`; secrets are not among them. */
export function shownConfig(config: Config): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const name of CONFIG_KEY_NAMES) {
    const value = config.values[name];
    if (value !== undefined) shown[faceName(name)] = configKey(name).secret ? redact(name, value) : value;
  }
  return shown;
}

/** The location without its password; any other secret not at all. A path is no secret. */
function redact(name: ConfigKeyName, value: unknown): string {
  if (name !== 'source.location') return '***';
  const text = String(value);
  if (/^[a-z]+:\/\//i.test(text) && URL.canParse(text)) return redactUrl(new URL(text));
  return /^[^:]+\.(csv|jsonl|ndjson)$/i.test(text) ? text : '***';
}

function redactUrl(url: URL): string {
  if (url.password !== '') url.password = '***';
  if (url.searchParams.has('password')) url.searchParams.set('password', '***');
  return url.href;
}
