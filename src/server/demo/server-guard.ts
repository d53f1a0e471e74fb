/**
 * The process that owns the embedded server: a shell that lives as long as a pipe from us is open. When the
 * pipe closes, because `stop()` closed it or because we died in whatever way, it ends the server and removes
 * the directory. So there is one way to end, no signal handler of ours, and nothing left behind by SIGKILL.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { type ServerUser, spawnAs } from './postgres-binaries.ts';

/** Fast shutdown may take this long, then an immediate one this long, then the server is killed. */
const FAST_SHUTDOWN_S = 5;
const IMMEDIATE_SHUTDOWN_S = 2;
/** The guard itself is given up only after it has had time for both. */
const GUARD_TIMEOUT_MS = (FAST_SHUTDOWN_S + IMMEDIATE_SHUTDOWN_S + 5) * 1_000;

/**
 * `$1` directory, then the server's arguments. The first line of standard input is the path of the program,
 * sent when the cluster is made; no line: nothing was ever started. Then descriptor 3 is the pipe, and `read`
 * on it returns at its end. The server is the shell's own child: its pid cannot be another's before `wait`
 * has returned.
 */
const SCRIPT = `
directory=$1; shift
if IFS= read -r program; then
  exec 3<&0 </dev/null
  "$program" "$@" >>"$directory/log" 2>&1 3<&- &
  server=$!
  (
    read -r end <&3
    left() {
      n=$(($1 * 20))
      while [ "$n" -gt 0 ] && kill -0 "$server"; do
        sleep 0.05
        n=$((n - 1))
      done
      kill -0 "$server"
    }
    kill -INT "$server"
    left ${FAST_SHUTDOWN_S} && kill -QUIT "$server"
    left ${IMMEDIATE_SHUTDOWN_S} && kill -KILL "$server"
  ) 2>/dev/null >/dev/null &
  watcher=$!
  exec 3<&-
  wait "$server"
  code=$?
  kill "$watcher" 2>/dev/null
  [ "$code" -eq 0 ] || tail -n 20 "$directory/log" >&2
fi
cd /
for attempt in 1 2 3 4 5; do
  rm -rf "$directory" 2>/dev/null
  [ -e "$directory" ] || break
  sleep 1
done
exit "\${code:-0}"
`;

export interface ServerGuard {
  /** Starts the server; until then only the directory is guarded. */
  startServer(program: string): void;
  /**
   * Resolves with what the server said when it ended in failure, or '', once server and directory are gone.
   */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
  /** From here on the server does not keep our process alive. */
  unref(): void;
}

export function guardServer(options: {
  directory: string;
  arguments: readonly string[];
  user: ServerUser | undefined;
  env: NodeJS.ProcessEnv;
}): ServerGuard {
  const { directory, user, env } = options;
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'sh', directory, ...options.arguments], {
    ...spawnAs(user),
    env,
    cwd: directory,
    // A session of its own: Ctrl-C in the terminal reaches us, and not the server before us.
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const ended = outcome(shell);
  // A guard that is gone cannot be written to; its exit tells what happened.
  shell.stdin?.on('error', () => undefined);
  return {
    ended,
    startServer: program => void shell.stdin?.write(`${program}\n`),
    unref: () => setReferenced(shell, false),
    stop: () => stop(shell, directory, ended),
  };
}

async function outcome(shell: ChildProcess): Promise<string> {
  let said = '';
  shell.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-8_192);
  });
  const exited = once(shell, 'exit').catch((error: Error) => {
    said = error.message;
  });
  await exited;
  return said;
}

async function stop(shell: ChildProcess, directory: string, ended: Promise<string>): Promise<void> {
  setReferenced(shell, true);
  const giveUp = setTimeout(() => {
    // The guard leads its group; the server dies with it, and with the server its backends.
    if (shell.pid !== undefined && shell.exitCode === null) process.kill(-shell.pid, 'SIGKILL');
  }, GUARD_TIMEOUT_MS);
  shell.stdin?.end();
  await ended;
  clearTimeout(giveUp);
  await rm(directory, { recursive: true, force: true });
}

function setReferenced(shell: ChildProcess, referenced: boolean): void {
  const handles = [shell, shell.stdin, shell.stderr] as unknown as { ref(): void; unref(): void }[];
  for (const handle of handles) referenced ? handle.ref() : handle.unref();
}
