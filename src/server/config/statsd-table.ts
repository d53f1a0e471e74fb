/** The keys of metrics by statsd. */
import { address, boolean, integer, text } from './key.ts';

export const STATSD_KEYS = {
  'statsd.address': address({
    description: 'Where metrics are sent by the statsd protocol (UDP), beside `/metrics`; off when absent.',
  }),
  'statsd.prefix': text({
    default: 'sortition',
    accepts: '1 to 100 letters, digits, dots, dashes, underscores',
    pattern: /^[A-Za-z0-9._-]{1,100}$/,
    description: 'What the names of metrics begin with.',
  }),
  'statsd.everyMs': integer({
    default: 10_000,
    min: 100,
    max: 3_600_000,
    unit: 'ms',
    description: 'How often metrics are sent.',
  }),
  'statsd.tags': boolean({
    default: false,
    description: 'Labels as tags, which Datadog and Telegraf read; else as parts of the name.',
  }),
};
