/**
 * `/openapi.json` and `/docs`: the OpenAPI 3.1 document of the routes' own schemas, and a page that renders
 * it offline.
 */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';

/** The page loads nothing from elsewhere, and works over plain HTTP. */
const PAGE_POLICY =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self'; " +
  "object-src 'none'; base-uri 'self'; frame-ancestors 'self'";

/** Before the routes: it collects their schemas as they are added. */
export async function addDocumentation(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'sortition',
        version,
        description:
          'Picks random, healthy, well-spread storage nodes from a cache of a `nodes` table. Answers are ' +
          'JSON or MessagePack, by `Accept`; refusals are RFC 9457 problem documents with a stable `code`.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      components: {
        securitySchemes: {
          apiKey: { type: 'http', scheme: 'bearer', description: 'Where `access.mode` is `keys`.' },
        },
      },
      security: [{}, { apiKey: [] }],
      tags: [
        { name: 'selection', description: 'Random nodes.' },
        { name: 'lookup', description: 'Addresses by id.' },
        { name: 'status', description: 'How the server is doing.' },
        { name: 'probes', description: 'For whoever runs it.' },
      ],
    },
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: PAGE_POLICY,
    theme: { title: 'sortition' },
    // Without the bar on top, which asks for the address of another document.
    uiConfig: { layout: 'BaseLayout', docExpansion: 'list', deepLinking: true, tryItOutEnabled: true },
  });
}

export function documentationRoutes(app: FastifyInstance): void {
  app.get('/openapi.json', { schema: { hide: true } }, (_, reply) => reply.send(app.swagger()));
}
