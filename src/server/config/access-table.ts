/** The keys of access: who may ask the data routes and the admin routes, and TLS on both listeners. */
import { ACCESS_MODES } from '../access/identity.ts';
import { PUBLIC_GROUPS } from '../access/route-rights.ts';
import { choice, list, text } from './key.ts';

const path = (description: string, accepts = 'the path of a file') =>
  text<string | undefined>({ default: undefined, accepts, description });

export const ACCESS_KEYS = {
  'access.mode': choice({
    default: 'open',
    choices: ACCESS_MODES,
    description:
      'Who may ask the data routes: everybody; whoever sends an API key that `access.file` knows; or ' +
      'whoever has a client certificate that `tls.clientCaFile` has signed. Probes are always open.',
  }),
  'access.file': path(
    'Those who may ask, a line each: a name, the SHA-256 of the key (`sortition keys` makes both), ' +
      'then `count=`, `rate=`, `may=`. With certificates: their common name, and no SHA-256; no file at ' +
      'all lets every signed one in. Read again when it changes; a wrong one is refused by line, and ' +
      'what was known stays.',
  ),
  'access.public': list({
    default: [],
    choices: PUBLIC_GROUPS,
    description:
      'Routes that stay open to everybody all the same; `status` also opens /v1/fleet and the page at /.',
  }),
  'tls.certificateFile': path('Data listener: its certificate chain (PEM). With a key, it speaks TLS only.'),
  'tls.keyFile': path('Data listener: the private key of that certificate (PEM).'),
  'tls.clientCaFile': path('Data listener: authorities that sign certificates of clients (PEM).'),
};

export const ADMIN_ACCESS_KEYS = {
  'admin.tokensFile': path(
    'Several admin tokens, a line each: a name, the SHA-256 of the token, `role=read`, `operate` ' +
      '(refresh, revoke, restore) or `override` (all). Read at the start. The token of `admin.token` has ' +
      'the last role.',
  ),
  'admin.auditFile': path(
    'File that gets a JSON line for each admin call, beside the log; made with mode 0600.',
  ),
  'admin.tls.certificateFile': path('Admin listener: its certificate chain (PEM).'),
  'admin.tls.keyFile': path('Admin listener: the private key of that certificate (PEM).'),
  'admin.tls.clientCaFile': path(
    'Admin listener: authorities that sign certificates of clients (PEM); then one is needed beside a ' +
      'token.',
  ),
};
