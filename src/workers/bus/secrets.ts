/**
 * URLs, passwords and TLS files of a bus, read anew for every connection, so that changed ones are found. On
 * the thread of the bus.
 */
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { invalidOption } from '../source/option-checks.ts';
import { openRegularFile } from '../source/regular-file.ts';
import { BusError } from './bus.ts';
import type { BusOptions, BusTls } from './options.ts';

const LINE_BYTES_MAX = 4_096;
const PEM_BYTES_MAX = 1_048_576;

/** The URL as its option or file has it. */
export async function urlText(options: BusOptions): Promise<string> {
  return options.url ?? (await firstLine(options.urlFile!, 'urlFile'));
}

/** Throws CONFIG_INVALID; the URL is not shown, because it may hold a password. */
export function parseUrl(text: string, schemes: readonly string[], options: BusOptions): URL {
  const field = options.url === undefined ? 'urlFile' : 'url';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '' || !schemes.includes(url.protocol)) {
    throw invalidOption(field, `expected ${schemes.map(scheme => `${scheme}//host:port`).join(' or ')}`);
  }
  return url;
}

export async function passwordOf(options: BusOptions, url: URL): Promise<string | undefined> {
  if (options.passwordFile !== undefined) return await firstLine(options.passwordFile, 'passwordFile');
  return url.password === '' ? undefined : decodeURIComponent(url.password);
}

/** Throws BUS_DENIED when the file cannot be read. */
export async function firstLine(path: string, field: string): Promise<string> {
  const text = (await readSmall(path, field, LINE_BYTES_MAX)).toString('utf8');
  return text.split(/\r?\n/, 1)[0] ?? '';
}

/** What Node.js takes for TLS; `host` is whom the certificate must name. */
export async function tlsOptions(tls: BusTls, host: string): Promise<ConnectionOptions> {
  const file = async (key: 'caFile' | 'certFile' | 'keyFile') =>
    tls[key] === undefined ? undefined : await readSmall(tls[key], `tls.${key}`, PEM_BYTES_MAX);
  const [ca, cert, key] = [await file('caFile'), await file('certFile'), await file('keyFile')];
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    // Node.js takes no address for a name; that it finds in the certificate all the same.
    ...(tls.serverName === undefined && isIP(host) !== 0 ? {} : { servername: tls.serverName ?? host }),
  };
}

/** A whole file of secrets. Throws BUS_DENIED when it cannot be read. */
export async function readSecret(path: string, field: string): Promise<Buffer> {
  return await readSmall(path, field, PEM_BYTES_MAX);
}

async function readSmall(path: string, field: string, bytesMax: number): Promise<Buffer> {
  try {
    const file = await openRegularFile(path);
    try {
      const { size } = await file.stat();
      if (size > bytesMax) throw new Error(`is longer than ${bytesMax} bytes`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BusError('BUS_DENIED', `${field}: the file "${path}" cannot be read: ${reason}`, {
      cause: error,
    });
  }
}
