// The few shapes of a good answer: JSON, nothing, a redirect. Everything that may hold state or a credential is no-store.

const noSniff = { 'x-content-type-options': 'nosniff' } as const
const noStore = { 'cache-control': 'no-store', pragma: 'no-cache', ...noSniff } as const

/** A JSON answer that no cache keeps. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', ...noStore, ...headers },
  })
}

/** A public document that caches may keep for an hour. */
export function publicDocument(body: unknown): Response {
  return publicText(JSON.stringify(body))
}

/** The same of JSON that is written already. */
export function publicText(text: string): Response {
  return new Response(text, {
    headers: {
      'content-type': 'application/json',
      'cache-control': 'public, max-age=3600',
      ...noSniff,
    },
  })
}

/** An answer without a body. */
export function empty(status: 200 | 202 | 204): Response {
  return new Response(null, { status, headers: noStore })
}

/** Sends the browser on, to a path of the tenant or to a whole URL: 302 for a read, 303 after a form, never 307 (RFC 9700 §4.12). */
export function redirect(
  location: string,
  status: 302 | 303,
  cookies: readonly string[] = [],
): Response {
  const response = new Response(null, { status, headers: { location, ...noStore } })
  for (const cookie of cookies) response.headers.append('set-cookie', cookie)
  return response
}

/** Sends the browser to the sign-in, from where it goes on to this path. */
export function toSignIn(
  next: string,
  status: 302 | 303,
  cookies: readonly string[] = [],
): Response {
  return redirect(`/sign-in?next=${encodeURIComponent(next)}`, status, cookies)
}
