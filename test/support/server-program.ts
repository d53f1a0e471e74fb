/**
 * What tests need to start a server of another project: its program on this machine. A missing one
 * is brought in where that is possible without asking; else the error says what to install.
 */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { platform } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const INSTALL_TIMEOUT_MS = 300_000;
/** Two test files may want to install at once. */
const INSTALL_LOCK_S = 120;

/** The first of `names` that can be run; also from `folders`, where PATH of a user may not look. */
export async function findProgram(
  names: readonly string[],
  folders: readonly string[] = [],
): Promise<string | undefined> {
  const path = (process.env.PATH ?? '').split(delimiter).filter(folder => folder !== '');
  // Where distributions put servers, and where PATH of an ordinary user does not look.
  for (const name of names) {
    for (const folder of [...path, '/usr/sbin', '/usr/local/sbin', ...folders]) {
      const file = join(folder, name);
      const found = await access(file, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return file;
    }
  }
  return undefined;
}

/** Packages are only installed by a superuser of a Linux, such as in a container. */
export function mayInstall(): boolean {
  return platform() === 'linux' && process.getuid?.() === 0;
}

/** Runs `apt-get` in `directory`; when that fails, once more with fresh package lists. */
export async function aptGet(args: readonly string[], directory = '/'): Promise<void> {
  try {
    await runAptGet(args, directory);
  } catch {
    await runAptGet(['update'], directory);
    await runAptGet(args, directory);
  }
}

async function runAptGet(args: readonly string[], directory: string): Promise<void> {
  await promisify(execFile)('apt-get', ['-y', '-o', `DPkg::Lock::Timeout=${INSTALL_LOCK_S}`, ...args], {
    cwd: directory,
    env: { PATH: process.env.PATH, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: INSTALL_TIMEOUT_MS,
  });
}
