/** What is wrong with how a Redis is set up, as far as it says. */
import { errorText } from '../failures.ts';

/** XTRIM by MINID came with this version. */
const VERSION_MIN = [6, 2] as const;

export async function redisAdvice(
  text: (args: readonly string[]) => Promise<string>,
  list: (args: readonly string[]) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const info = fields(await text(['INFO']));
  const advice: string[] = [];
  const version = info.get('redis_version') ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < VERSION_MIN[0] || (major === VERSION_MIN[0] && minor < VERSION_MIN[1])) {
    advice.push(`Redis ${version} is too old: the bus needs ${VERSION_MIN.join('.')} or later`);
  }
  if (info.get('role') === 'slave') {
    advice.push('this Redis is a replica and refuses to be written to: name the primary');
  }
  if (info.get('cluster_enabled') === '1') {
    advice.push('this Redis is part of a cluster, whose redirections the bus does not follow: use one alone');
  }
  return [...advice, ...(await settingsAdvice(list))];
}

async function settingsAdvice(
  list: (args: readonly string[]) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const setting = async (name: string) => (await list(['CONFIG', 'GET', name]))[1] ?? '';
  const advice: string[] = [];
  try {
    const policy = await setting('maxmemory-policy');
    const limited = Number(await setting('maxmemory')) > 0;
    if (policy.startsWith('allkeys-')) {
      const when = limited ? 'when its memory is full' : 'once a maxmemory is set';
      advice.push(
        `maxmemory-policy ${policy} may throw away the log or a snapshot ${when}: set it to noeviction`,
      );
    } else if (limited && policy.startsWith('volatile-')) {
      advice.push(
        `maxmemory-policy ${policy} may throw away a snapshot or heartbeats when the memory is full: ` +
          'set it to noeviction, or give it more memory',
      );
    }
    if ((await setting('save')) === '' && (await setting('appendonly')) === 'no') {
      advice.push(
        'Redis keeps nothing on disk: after a restart of it every replica takes a whole snapshot anew; ' +
          'appendonly yes avoids that',
      );
    }
  } catch (error) {
    // Managed engines often forbid CONFIG, whatever the user may do.
    advice.push(`the settings of this Redis cannot be read, so nobody has checked them: ${errorText(error)}`);
  }
  return advice;
}

function fields(info: string): Map<string, string> {
  const lines = info.split('\r\n').filter(line => line.includes(':'));
  return new Map(lines.map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}
