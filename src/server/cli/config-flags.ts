/**
 * Configuration keys as flags of a command, made from the table, and the configuration that they amount to.
 */
import { type Command, Option } from 'commander';
import { defaultText, helpGroup } from '../config/documentation.ts';
import {
  CONFIG_KEY_NAMES,
  type ConfigKeyName,
  configKey,
  environmentName,
  flagName,
} from '../config/table.ts';
import { type Config, loadConfig } from '../config.ts';

/** Adds `--config` and a flag for each key that `wanted` lets pass. */
export function addConfigFlags(
  command: Command,
  wanted: (name: ConfigKeyName) => boolean = () => true,
): void {
  command.addOption(
    new Option('--config <file>', 'Configuration as JSON (environment: SORTITION_CONFIG).').helpGroup(
      'Configuration:',
    ),
  );
  for (const name of CONFIG_KEY_NAMES) {
    if (wanted(name) && !configKey(name).fileOnly) command.addOption(keyOption(name));
  }
}

const SERVER_GROUPS = [
  'host',
  'port',
  'admin',
  'access',
  'tls',
  'httpThreads',
  'serveFrom',
  'prepared',
  'inPlaceLimitMicros',
  'workerPool',
  'http',
  'shutdown',
  'log',
];

/** Keys that only a listening server uses. */
export function isServerKey(name: ConfigKeyName): boolean {
  return SERVER_GROUPS.includes(name.split('.', 1)[0]!);
}

function keyOption(name: ConfigKeyName): Option {
  const key = configKey(name);
  const value = key.kind === 'boolean' ? '[boolean]' : `<${key.kind}>`;
  const option = new Option(
    `--${flagName(name)} ${value}`,
    `${key.description} [${key.accepts}; default ${defaultText(name)}; ${environmentName(name)}]`,
  );
  // `--flag` alone means that it is so.
  if (key.kind === 'boolean') option.preset('true');
  return option.helpGroup(helpGroup(name));
}

/** The configuration of file, environment and this command's flags. Throws CONFIG_INVALID. */
export function commandConfig(command: Command): Config {
  const { config } = command.opts<{ config?: string }>();
  return loadConfig({ file: config, environment: process.env, flags: givenFlags(command) });
}

/** True when any face says where the source is. */
export function hasSource(command: Command): boolean {
  const { config } = command.opts<{ config?: string }>();
  const variables = ['source.location', 'source.urlFile'] as const;
  return (
    config !== undefined ||
    process.env.SORTITION_CONFIG !== undefined ||
    variables.some(name => process.env[environmentName(name)] !== undefined || givenFlags(command).has(name))
  );
}

function givenFlags(command: Command): Map<ConfigKeyName, string> {
  const names = new Map<string, ConfigKeyName>(
    CONFIG_KEY_NAMES.map(name => [`--${flagName(name)}`, name] as const),
  );
  const flags = new Map<ConfigKeyName, string>();
  for (const option of command.options) {
    const name = option.long === undefined || option.long === null ? undefined : names.get(option.long);
    const value = command.opts<Record<string, unknown>>()[option.attributeName()];
    if (name !== undefined && value !== undefined) flags.set(name, String(value));
  }
  return flags;
}
