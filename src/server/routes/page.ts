/**
 * `/`: how the server is doing, for people with a browser. One document without scripts that loads itself
 * again; it says what `sortition status` and `sortition fleet` print.
 */
import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../app-context.ts';
import type { ServerStatus } from '../server-status.ts';
import { FLEET_COLUMNS, fleetRemarks, fleetRows } from '../summary/fleet-summary.ts';
import { statusSummary } from '../summary/status-summary.ts';
import { type FleetDocument, fleetDocument } from './fleet.ts';
import { inTime } from './in-time.ts';
import { COMMON_REFUSALS, NO_QUERY, problems } from './schemas.ts';

const REFRESH_S = 5;
const STYLE = `
:root { color-scheme: light dark; --text: #1c2733; --faint: #5d6b78; --line: #d5dce3; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #dce4ec; --faint: #93a1af; --line: #313b46; --page: #12181f; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); }
body { max-width: 62rem; margin: 3rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; }
h1 + p { margin: 0 0 2rem; color: var(--faint); }
h2 { font-size: 1.1rem; margin: 2.5rem 0 0.5rem; }
mark { padding: 0.1rem 0.6rem; border-radius: 1rem; font-size: 0.9rem; font-weight: 600; }
mark { vertical-align: middle; margin-left: 0.5rem; background: #f6d9d5; color: #7c1d11; }
mark.ready { background: #d2eedb; color: #0c5128; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 1rem 0.35rem 0; }
th, td { border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 400; color: var(--faint); white-space: nowrap; }
div { overflow-x: auto; }
nav { margin-top: 2.5rem; }
nav a { color: inherit; margin-right: 1.5rem; }
`;
/** Nothing but this style, which is known by its digest, and nothing from anywhere. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const LINKS = [
  ['docs/', 'API'],
  ['v1/selection?count=3', 'three nodes'],
  ['v1/status', 'status as JSON'],
  ['metrics', 'metrics'],
] as const;

export function pageRoutes(app: FastifyInstance, context: AppContext): void {
  const { whole } = context;
  app.get(
    '/',
    { schema: { hide: true, querystring: NO_QUERY, response: problems(COMMON_REFUSALS) } },
    async (_, reply) => {
      const status = await inTime(context, 'the page', whole.status());
      const fleet = status.loader.fleet === undefined ? undefined : await fleetOrProblem(context);
      return reply
        .header('content-security-policy', POLICY)
        .header('x-content-type-options', 'nosniff')
        .header('referrer-policy', 'no-referrer')
        .type('text/html; charset=utf-8')
        .serializer(String)
        .send(page(status, fleet));
    },
  );
}

/** The page is there when something is wrong, also with what it shows. */
async function fleetOrProblem(context: AppContext): Promise<FleetDocument | string | undefined> {
  try {
    const view = await inTime(context, 'the fleet', context.whole.fleet());
    return view && fleetDocument(view);
  } catch (error) {
    return (error as Error).message;
  }
}

function page(status: ServerStatus, fleet: FleetDocument | string | undefined): string {
  const state = status.ready ? 'ready' : status.draining ? 'stopping' : 'not ready';
  const rows = statusSummary(status).map(([name, value]) => `<tr><th>${text(name)}<td>${text(value)}`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="${REFRESH_S}">
<title>sortition: ${state}</title>
<style>${STYLE}</style>
<h1>sortition <mark class="${status.ready ? 'ready' : 'other'}">${state}</mark></h1>
<p>Picks random, healthy, well-spread storage nodes.</p>
<table>
${rows.join('\n')}
</table>
${fleet === undefined ? '' : fleetSection(fleet)}
<nav>${LINKS.map(([href, name]) => `<a href="${href}">${name}</a>`).join('')}</nav>
</html>
`;
}

function fleetSection(fleet: FleetDocument | string): string {
  if (typeof fleet === 'string') return `<h2>Fleet</h2>\n<p>${text(fleet)}</p>`;
  const cells = (tag: string, row: readonly string[]) => row.map(cell => `<${tag}>${text(cell)}`).join('');
  return `<h2>Fleet</h2>
${fleetRemarks(fleet)
  .map(remark => `<p>${text(remark)}</p>`)
  .join('\n')}
<div><table>
<tr>${cells('th', FLEET_COLUMNS)}
${fleetRows(fleet)
  .map(row => `<tr>${cells('td', row)}`)
  .join('\n')}
</table></div>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** What sources, buses and other servers say is text, whatever it looks like. */
function text(value: string): string {
  return value.replace(/[&<>"']/g, character => ENTITIES[character]!);
}
