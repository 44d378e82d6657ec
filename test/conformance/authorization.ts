// The suite's look at our authorization server: it prints an address, and the person with a browser is played here.
import { createCookieBrowser } from '../counterparts/cookie-browser.ts'
import { freePort, operator } from '../harness.ts'
import { readResult, runSuite } from './suite.ts'
import type { ScenarioResult } from './suite.ts'

const scenarios = ['authorization-server-metadata-endpoint', 'authorization-code-grant']

/** Runs it against this issuer, as a public client that registers itself. */
export async function runAuthorization(
  issuer: string,
  folder: string,
  signal: AbortSignal,
): Promise<readonly ScenarioResult[]> {
  const browserFailed = new AbortController()
  const port = await freePort()
  const clientId = await register(issuer, `http://127.0.0.1:${port}/callback`)
  const target = ['--url', issuer, '--resource', `${issuer}/mcp`]
  await runSuite({
    arguments: ['authorization', ...target, '--client-id', clientId, '--port', `${port}`],
    folder,
    // Without its browser the suite would wait for minutes.
    signal: AbortSignal.any([signal, browserFailed.signal]),
    onLine: (line) => {
      if (isAuthorizeUrl(line)) approve(line).catch((thrown) => browserFailed.abort(thrown))
    },
  })
  if (browserFailed.signal.aborted) console.error(browserFailed.signal.reason)
  return scenarios.map((name) => readResult(folder, name, 'authorization-server-'))
}

/** RFC 7591 §3.1. */
async function register(issuer: string, redirectUri: string): Promise<string> {
  const found = await fetch(`${issuer}/.well-known/oauth-authorization-server`)
  const { registration_endpoint: endpoint } = (await found.json()) as Record<string, string> // RFC 8414 §2
  const answer = await fetch(endpoint ?? '', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'The conformance suite',
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    }),
  })
  const { client_id: clientId } = (await answer.json()) as Record<string, string> // RFC 7591 §3.2.1
  if (clientId === undefined) throw new Error(`no client was registered: ${answer.status}`)
  return clientId
}

function isAuthorizeUrl(line: string): boolean {
  return /^http\S+response_type=\S+$/.test(line)
}

/** A person who is not signed in yet: sign-in page, consent page, and back. */
async function approve(url: string): Promise<void> {
  const browser = createCookieBrowser()
  await browser.open(url)
  await browser.submit({ fields: operator })
  const { status, url: end } = await browser.submit({
    button: { name: 'decision', value: 'approve' },
  })
  if (status !== 200) throw new Error(`the browser ended at ${end} with ${status}`)
}
