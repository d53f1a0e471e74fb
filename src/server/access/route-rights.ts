/** Which right each data route needs, and which routes may be opened. What is not named needs `status`. */
import type { Right } from './identity.ts';

/** Routes that may be answered to everybody, by configuration. Probes always are: they say yes or no. */
export const PUBLIC_GROUPS = ['metrics', 'status', 'documentation'] as const;
export type PublicGroup = (typeof PUBLIC_GROUPS)[number];

const PROBES: readonly string[] = ['/livez', '/readyz'];

const RIGHT_OF: ReadonlyMap<string, Right> = new Map([
  ['/v1/selection', 'select'],
  ['/v1/selections', 'select'],
  ['/v1/lookup', 'lookup'],
]);

/** The right that the route with this pattern needs. */
export function rightOfRoute(route: string): Right {
  return RIGHT_OF.get(route) ?? 'status';
}

export function isOpenRoute(route: string, groups: readonly PublicGroup[]): boolean {
  if (PROBES.includes(route)) return true;
  if (groups.length === 0) return false;
  const group = groupOf(route);
  return group !== undefined && groups.includes(group);
}

function groupOf(route: string): PublicGroup | undefined {
  if (route === '/metrics') return 'metrics';
  if (['/', '/v1/status', '/v1/fleet'].includes(route)) return 'status';
  if (route === '/openapi.json' || route === '/docs' || route.startsWith('/docs/')) return 'documentation';
  return undefined;
}
