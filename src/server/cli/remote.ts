/** Asks a running server; its problems, and its silence, become one line. */
import { KEY_PATTERN } from '../access/identity.ts';
import { readSmallInput } from '../access/read-file.ts';
import { EXIT_USAGE, ExitError } from './exit.ts';

export const DEFAULT_URL = 'http://127.0.0.1:8117';
const TIMEOUT_MS = 10_000;

export interface Answered<T> {
  readonly status: number;
  readonly body: T;
}

/** `keyFile`: whose first line is an API key. Throws `ExitError` when there is no answer, or none in JSON. */
export async function ask<T>(
  url: string,
  path: string,
  { body, keyFile }: { readonly body?: unknown; readonly keyFile?: string | undefined } = {},
): Promise<Answered<T>> {
  const address = resolveUrl(url, path);
  const authorization = keyFile === undefined ? {} : { authorization: `Bearer ${readKey(keyFile)}` };
  let response: Response;
  try {
    response = await fetch(address, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        ...authorization,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
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

/** Throws `ExitError`, which never holds the key. */
function readKey(path: string): string {
  let key: string;
  try {
    key = readSmallInput(path).split(/\r?\n/, 1)[0]!.trim();
  } catch (error) {
    throw new ExitError(`--key-file ${path}: ${(error as Error).message}`, EXIT_USAGE);
  }
  if (!KEY_PATTERN.test(key)) throw new ExitError(`--key-file ${path}: its first line is no key`, EXIT_USAGE);
  return key;
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
