/** What is allowed and yet should be said when the server starts. */
import { isIPv4 } from 'node:net';
import type { ServerOptions } from './options.ts';

export function accessWarnings({ access, admin, host, tls, watchdog }: ServerOptions): string[] {
  const warnings: string[] = [];
  if (!isLoopback(host)) {
    if (access.mode === 'open') {
      warnings.push('the data routes are open to everybody who reaches this host: see access.mode');
    }
    if (access.mode === 'keys' && tls === undefined) {
      warnings.push(
        'API keys cross the network in the clear, unless TLS ends in front: see tls.certificateFile',
      );
    }
  }
  const adminOn = admin.token !== undefined || admin.tokensFile !== undefined;
  if (adminOn && !isLoopback(admin.host) && admin.tls === undefined) {
    warnings.push('admin tokens cross the network in the clear, unless TLS ends in front: see admin.tls');
  }
  const areMetricsOpen = access.mode === 'open' || access.publicGroups.includes('metrics');
  const { probes } = watchdog;
  if (probes !== undefined && !isLoopback(probes.host) && !(areMetricsOpen && !isLoopback(host)))
    warnings.push('the metrics at probes.address are open to everybody who reaches that host');
  return warnings;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
