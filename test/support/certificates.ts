/** A certificate of our own for 127.0.0.1 and localhost, made by OpenSSL, in a folder of the caller's. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from './server-program.ts';

const OPENSSL_TIMEOUT_MS = 30_000;

export interface TestCertificate {
  /** Signed by itself: it is its own authority. */
  readonly certFile: string;
  readonly keyFile: string;
}

export async function makeCertificate(directory: string): Promise<TestCertificate> {
  const openssl = await findProgram(['openssl']);
  if (openssl === undefined) {
    throw new Error(
      'there is no openssl on the PATH: install OpenSSL (Debian, Ubuntu: apt-get install openssl)',
    );
  }
  const certFile = join(directory, 'certificate.pem');
  const keyFile = join(directory, 'key.pem');
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = ['-keyout', keyFile, '-out', certFile];
  await promisify(execFile)(
    openssl,
    [...request, ...files, '-days', '2', '-subj', '/CN=localhost', '-addext', names],
    { timeout: OPENSSL_TIMEOUT_MS },
  );
  return { certFile, keyFile };
}
