// The few files that pages load: read once at start, served with a tag of their content.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { route } from '../route.ts'
import { brandRoute } from './brand.ts'
import type { Route } from '../route.ts'

const files = [
  { path: '/assets/console.css', file: './console.css', type: 'text/css; charset=utf-8' },
  { path: '/assets/icon.svg', file: './icon.svg', type: 'image/svg+xml' },
  {
    path: '/assets/callback.js',
    file: './browser/callback.js',
    type: 'text/javascript; charset=utf-8',
  },
  {
    path: '/assets/connections.js',
    file: './browser/connections.js',
    type: 'text/javascript; charset=utf-8',
  },
  { path: '/assets/copy.js', file: './browser/copy.js', type: 'text/javascript; charset=utf-8' },
  {
    path: '/assets/providers.js',
    file: './browser/providers.js',
    type: 'text/javascript; charset=utf-8',
  },
] as const

/** The rows of the assets. */
export function assetRoutes(): readonly Route[] {
  const own = files.map(({ path, file, type }) => {
    const content = readFileSync(new URL(file, import.meta.url))
    const tag = `"${createHash('sha256').update(content).digest('base64url').slice(0, 16)}"`
    const headers = {
      'content-type': type,
      etag: tag,
      'cache-control': 'public, max-age=300',
      'x-content-type-options': 'nosniff',
    }
    return route({
      method: 'GET',
      path,
      guard: 'open',
      surface: 'page',
      words: 'A file that pages load.',
      run: async ({ request }) =>
        request.headers.get('if-none-match') === tag
          ? new Response(null, { status: 304, headers })
          : new Response(content, { headers }),
    })
  })
  return [...own, brandRoute]
}
