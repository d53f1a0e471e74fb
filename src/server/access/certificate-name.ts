/** What a client certificate says: whether it is good, and the name that it carries. HTTP threads. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { forbidden, type Problem } from '../routes/problem.ts';
import { isName, NAME_RULE } from './identity-file.ts';

/**
 * The common name of the peer's certificate, where our authority has signed it; else why nobody is known by
 * it. Asked at a request and not in the handshake, so that probes need no certificate, and others are told.
 * It is a name that a file of identities can hold, whether there is such a file or not.
 */
export function certificateName(socket: Socket): string | Problem {
  const refusal = certificateRefusal(socket);
  if (refusal !== undefined) return refusal;
  // Node types it as a text, and gives a list where the certificate has several.
  const name: unknown = (socket as TLSSocket).getPeerCertificate().subject.CN;
  if (typeof name !== 'string') return forbidden('the client certificate has no common name, or several');
  if (isName(name)) return name;
  return forbidden(`the common name of the client certificate cannot be listed: expected ${NAME_RULE}`);
}

/** Why the peer's certificate is not good enough; undefined when our authority has signed it. */
export function certificateRefusal(socket: Socket): Problem | undefined {
  if (!(socket instanceof TLSSocket)) return forbidden('this listener speaks no TLS');
  if (socket.getPeerCertificate().subject === undefined) {
    return forbidden('a client certificate is needed, and none was sent');
  }
  if (socket.authorized) return undefined;
  return forbidden('the client certificate is not valid: another authority, expired, or for another use');
}
