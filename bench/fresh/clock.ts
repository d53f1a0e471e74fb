/** One clock for all threads and processes of the machine, and waits that end. */

const NS_PER_US = 1_000;

/** Microseconds, monotonic, the same for every process of this machine. */
export function nowUs(): number {
  return Number(process.hrtime.bigint()) / NS_PER_US;
}

/** Rejects when `promise` is not there in time. */
export async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
