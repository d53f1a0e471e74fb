/** What codes of sockets say of a server that is not reached, after its name. Any thread. */

export const UNREACHABLE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refuses connections: nothing listens there',
  ENOTFOUND: 'has a host name that does not resolve',
  EAI_AGAIN: 'has a host name that cannot be resolved now',
  EHOSTUNREACH: 'cannot be reached: no route to the host',
  ENETUNREACH: 'cannot be reached: no route to the network',
  ETIMEDOUT: 'does not answer',
  ECONNRESET: 'closed the connection',
  EPIPE: 'closed the connection',
};
