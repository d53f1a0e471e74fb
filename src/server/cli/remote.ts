/** Asks a running server; its problems, and its silence, become one line. */
import { ExitError } from './exit.ts';

export const DEFAULT_URL = 'http://127.0.0.1:8117';
const TIMEOUT_MS = 10_000;

export interface Answered<T> {
  readonly status: number;
  readonly body: T;
}

/** Throws `ExitError` when there is no answer, or one that is not JSON. */
export async function ask<T>(url: string, path: string, body?: unknown): Promise<Answered<T>> {
  const address = resolveUrl(url, path);
  let response: Response;
  try {
    response = await fetch(address, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined
        ? {}
        : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
  } catch (error) {
    throw new ExitError(
      `no answer from ${url}: ${reason(error)}; is a server running there? (sortition serve)`,
    );
  }
  try {
    return { status: response.status, body: (await response.json()) as T };
  } catch {
    throw new ExitError(
      `${address} answered ${response.status} with something that is not JSON: is it sortition?`,
    );
  }
}

function resolveUrl(url: string, path: string): string {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new ExitError(`--url ${url}: expected http://host:port`, 2);
  }
  return new URL(path, url).href;
}

/** `fetch` hides what happened in its cause. */
function reason(error: unknown): string {
  const { cause, message } = error as Error;
  const { code, message: deeper } = (cause ?? {}) as { readonly code?: string; readonly message?: string };
  if (code === 'ECONNREFUSED') return 'the connection was refused';
  if (code === 'ENOTFOUND') return 'the host is not known';
  return deeper || code || message;
}
