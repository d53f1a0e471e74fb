/** One HTTP request and its whole answer. */
import { type Agent, type IncomingHttpHeaders, request } from 'node:http';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  json<T>(): T;
}

export interface CallOptions {
  readonly timeoutMs: number;
  readonly method?: string;
  readonly agent?: Agent;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export function ask(url: string, path: string, options: CallOptions): Promise<HttpAnswer> {
  const { agent, body, timeoutMs } = options;
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    ...options.headers,
    ...(sent === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(sent)) }),
  };
  const method = options.method ?? (sent === undefined ? 'GET' : 'POST');
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const outgoing = request({
      hostname,
      port,
      path,
      method,
      headers,
      ...(agent === undefined ? {} : { agent }),
    });
    const timer = setTimeout(() => outgoing.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    outgoing.once('error', error => {
      clearTimeout(timer);
      reject(error);
    });
    outgoing.once('response', response => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        clearTimeout(timer);
        const text = Buffer.concat(chunks).toString();
        const json = <T>() => JSON.parse(text) as T;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
      });
    });
    outgoing.end(sent);
  });
}
