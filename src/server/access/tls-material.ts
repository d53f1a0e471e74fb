/** Certificate, key and authority of a TLS listener, from their files. */
import { constants } from 'node:crypto';
import type { ServerOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { TlsOptions } from '../config/options.ts';
import { readSmallFile } from './read-file.ts';

/** As threads are given it. */
export interface TlsMaterial {
  readonly certificate: string;
  readonly key: string;
  /** Signs the certificates of clients; absent: they are asked for none. */
  readonly clientAuthority: string | undefined;
}

/** Throws with the name of the key at fault: a file that cannot be read, or does not fit the others. */
export function readTlsMaterial(options: TlsOptions): TlsMaterial {
  const { certificateFile, keyFile, clientCaFile } = options;
  const material = {
    certificate: readPem(certificateFile, 'CERTIFICATE'),
    key: readPem(keyFile, 'PRIVATE KEY'),
    clientAuthority: clientCaFile === undefined ? undefined : readPem(clientCaFile, 'CERTIFICATE'),
  };
  try {
    createSecureContext(tlsServerOptions(material));
  } catch (error) {
    // The library's own words name neither key nor certificate.
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw new Error(`${certificateFile} and ${keyFile} do not make a TLS listener: ${code}`);
  }
  return material;
}

function readPem(path: string, kind: string): string {
  let text: string;
  try {
    text = readSmallFile(path);
  } catch (cause) {
    throw new Error(`${path}: ${(cause as Error).message}`, { cause });
  }
  if (!new RegExp(`-----BEGIN [A-Z ]*${kind}-----`).test(text)) {
    throw new Error(`${path}: holds no ${kind.toLowerCase()} in PEM form`);
  }
  return text;
}

/**
 * Certificates of clients are looked at when they ask (`certificate-name.ts`), so the handshake lets all in.
 * Sessions are not resumed (there are no tickets, and none is kept): each connection shows its certificate.
 */
export function tlsServerOptions({ certificate, key, clientAuthority }: TlsMaterial): ServerOptions {
  return {
    cert: certificate,
    key,
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_TICKET,
    ...(clientAuthority === undefined
      ? {}
      : { ca: clientAuthority, requestCert: true, rejectUnauthorized: false }),
  };
}
