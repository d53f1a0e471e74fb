/** What is wrong with how a Postgres is set up for the bus, as far as it can be seen. Pure; any thread. */

/** Two sessions for each replica, and each wakes at every record: beyond this another engine is better. */
const REPLICAS_MAX = 50;

export interface PostgresFacts {
  readonly isStandby: boolean;
  /** Do announcements reach another session? */
  readonly isHeard: boolean;
  readonly replicaCount: number;
}

export function postgresAdvice({ isStandby, isHeard, replicaCount }: PostgresFacts): readonly string[] {
  if (isStandby) return ['this PostgreSQL is a standby and refuses to be written to: name the primary'];
  const advice: string[] = [];
  if (!isHeard) {
    advice.push(
      'LISTEN brings nothing, as through a pooler that shares its sessions: replicas look for news only ' +
        'now and then (pingEveryMs); give the bus the address of PostgreSQL itself, or of a pool in ' +
        'session mode',
    );
  }
  if (replicaCount > REPLICAS_MAX) {
    advice.push(
      `${replicaCount} replicas share the bus of PostgreSQL, which is meant for up to ${REPLICAS_MAX}: ` +
        'use Redis or NATS',
    );
  }
  return advice;
}
