/** Work that an answer waits for, within the limit of such waits. */
import type { HttpOptions } from '../config/options.ts';
import { Refusal } from './problem.ts';

export interface TimeLimit {
  readonly options: { readonly http: Pick<HttpOptions, 'handlerTimeoutMs'> };
}

/** Throws HANDLER_TIMEOUT; `what` is late then. */
export async function inTime<T>(context: TimeLimit, what: string, work: Promise<T>): Promise<T> {
  const limitMs = context.options.http.handlerTimeoutMs;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const detail = `${what} took longer than ${limitMs} ms`;
    timer = setTimeout(() => reject(new Refusal({ code: 'HANDLER_TIMEOUT', detail })), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
