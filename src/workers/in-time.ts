/** Waiting with a limit. Any thread. */

/** True when `done` has settled within `limitMs`; false when it goes on. Rejects as it does. */
export async function inTime(done: Promise<unknown>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>(resolve => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  // Whoever has stopped waiting does not want to know.
  done.catch(() => undefined);
  try {
    return await Promise.race([done.then(() => true as const), late]);
  } finally {
    clearTimeout(timer);
  }
}
