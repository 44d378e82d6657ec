// Does the time of an answer tell what its words do not? Asks in turn, over one connection, what must look alike from outside:
// a token that is unknown, somebody else's or dead; a client or a person that does not exist, and one with a wrong secret.
// Prints the median of each and its ratio to the first of its group, with the spread over blocks; the first is also measured a
// second time, and what that differs by is noise.
import { randomBytes } from 'node:crypto'
import { Client } from 'undici'
import type { Dispatcher } from 'undici'
import { createCookieBrowser } from '../test/counterparts/cookie-browser.ts'
import { operator } from '../test/harness.ts'
import { startPostgres } from '../test/postgres-server.ts'
import { startSubject } from './subjects.ts'
import type { Running } from './subjects.ts'

const blocks = 10
const warmUps = 50

interface Question {
  readonly what: string
  readonly path: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What must look alike, the same status included. */
interface Group {
  readonly name: string
  readonly status: number
  /** How often each is asked in a block. */
  readonly times: number
  readonly questions: readonly Question[]
}

const wantsPostgres = process.argv.includes('--postgres')
const postgres = wantsPostgres ? await startPostgres({ isDurable: true }) : undefined
if (postgres?.kind === 'none') throw new Error(`no Postgres: ${postgres.because}`)
const running = await startSubject(
  {
    name: 'Latchkey',
    keeps: '',
    script: 'latchkey.ts',
    ...(postgres === undefined ? {} : { more: async () => [postgres.url] }),
  },
  1,
)
try {
  const client = new Client(running.origin)
  console.log('| asked | what | median ms | × the first | over the blocks |')
  console.log('| --- | --- | ---: | ---: | ---: |')
  for (const group of await makeGroups(running)) await measureGroup(client, group)
  await client.close()
} finally {
  await running.stop()
  await postgres?.stop()
}

async function makeGroups({ origin, machine, app, refreshTokens }: Running): Promise<Group[]> {
  const asApp = { client_id: app.id, client_secret: app.secret }
  const own = await obtain(origin, {
    ...asApp,
    grant_type: 'refresh_token',
    refresh_token: refreshTokens[0] ?? '',
  })
  await post(origin, '/oauth/revoke', { ...asApp, token: own })
  const foreign = await obtain(origin, {
    client_id: machine.id,
    client_secret: machine.secret,
    grant_type: 'client_credentials',
    scope: 'mcp',
  })
  const about = (path: string) => (what: string, token: string) => ({
    what,
    path,
    body: form({ ...asApp, token }),
  })
  const [introspect, revoke] = [about('/oauth/introspect'), about('/oauth/revoke')]
  const unknown = `mcp_at_${secretText()}`
  const knock = (what: string, client: Readonly<Record<string, string>>) => ({
    what,
    path: '/oauth/token',
    body: form({ grant_type: 'client_credentials', ...client }),
  })
  const refresh = (what: string, client: Running['app'], token: string) => ({
    what,
    path: '/oauth/token',
    body: form({
      grant_type: 'refresh_token',
      refresh_token: token,
      client_id: client.id,
      client_secret: client.secret,
    }),
  })
  return [
    {
      name: 'introspection',
      status: 200,
      times: 150,
      questions: [
        introspect('an unknown token', unknown),
        introspect('another client’s token', foreign),
        introspect('its own, revoked', own),
      ],
    },
    {
      name: 'revocation',
      status: 200,
      times: 150,
      questions: [revoke('an unknown token', unknown), revoke('its own, revoked', own)],
    },
    {
      name: 'token, the client',
      status: 401,
      times: 150,
      questions: [
        knock('no such client', { client_id: `mcp_oauth_${'0'.repeat(26)}`, client_secret: 'x' }),
        knock('a wrong secret', { client_id: machine.id, client_secret: 'x' }),
      ],
    },
    {
      name: 'token, the refresh token',
      status: 400,
      times: 150,
      questions: [
        refresh('an unknown token', app, `mcp_rt_${secretText()}`),
        refresh('an access token', app, own),
      ],
    },
    { name: 'sign-in', status: 401, times: 12, questions: await signIns(origin) },
  ]
}

/** The sign-in form as one browser posts it. */
async function signIns(origin: string): Promise<readonly Question[]> {
  const browser = createCookieBrowser()
  const { html } = await browser.open(`${origin}/sign-in`)
  const token = /name="form_token" value="([^"]*)"/.exec(html)?.[1] ?? ''
  const cookie = browser
    .cookies()
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ')
  const question = (what: string, email: string) => ({
    what,
    path: '/sign-in',
    body: form({ email, password: 'a wrong password', form_token: token }),
    headers: { cookie, origin },
  })
  return [
    question('no such person', 'nobody@example.com'),
    question('a wrong password', operator.email),
  ]
}

async function measureGroup(client: Client, { name, status, times, questions }: Group) {
  const [first] = questions
  if (first === undefined) return
  const asked = [...questions, { ...first, what: `${first.what}, again` }]
  const rounds = Math.ceil(warmUps / times)
  await measureBlock(client, asked, { status, times: rounds })
  const medians: number[][] = []
  const all: number[][] = asked.map(() => [])
  for (let block = 0; block < blocks; block += 1) {
    const took = await measureBlock(client, asked, { status, times })
    medians.push(took.map(median))
    took.forEach((list, index) => all[index]?.push(...list))
  }
  asked.forEach(({ what }, index) => {
    const ratios = medians.map((block) => (block[index] ?? 0) / (block[0] ?? 1)).toSorted(ascending)
    const [low = 0, high = 0] = [ratios[0], ratios.at(-1)]
    const own = median(all[index] ?? [])
    const ratio = own / median(all[0] ?? [])
    const spread = `${low.toFixed(2)} to ${high.toFixed(2)}`
    console.log(`| ${name} | ${what} | ${own.toFixed(3)} | ${ratio.toFixed(3)} | ${spread} |`)
  })
}

/** How long each question took, each time; all are asked in turn, beginning with another one each time. */
async function measureBlock(
  client: Client,
  questions: readonly Question[],
  { status, times }: Pick<Group, 'status' | 'times'>,
): Promise<readonly number[][]> {
  const took: number[][] = questions.map(() => [])
  for (let time = 0; time < times; time += 1) {
    for (let step = 0; step < questions.length; step += 1) {
      const index = (time + step) % questions.length
      const question = questions[index]
      if (question === undefined) continue
      const startedMs = performance.now()
      const found = await ask(client, question)
      took[index]?.push(performance.now() - startedMs)
      if (found !== status) throw new Error(`${question.what}: ${found} instead of ${status}`)
    }
  }
  return took
}

// `dispatch` without streams around it, so that the measuring does not become what is measured.
function ask(client: Client, { path, body, headers }: Question): Promise<number> {
  return new Promise((resolve, reject) => {
    let status = 0
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => {},
      onResponseStart: (_controller, statusCode) => {
        status = statusCode
      },
      onResponseData: () => {},
      onResponseEnd: () => resolve(status),
      onResponseError: (_controller, error) => reject(error),
    }
    const type = { 'content-type': 'application/x-www-form-urlencoded' }
    client.dispatch({ path, method: 'POST', headers: { ...type, ...headers }, body }, handler)
  })
}

async function obtain(origin: string, fields: Readonly<Record<string, string>>): Promise<string> {
  const answer = await post(origin, '/oauth/token', fields)
  const { access_token: token } = (await answer.json()) as { readonly access_token: unknown } // RFC 6749 §5.1
  if (typeof token !== 'string') throw new Error(`no access token: ${answer.status}`)
  return token
}

function post(origin: string, path: string, fields: Readonly<Record<string, string>>) {
  return fetch(origin + path, { method: 'POST', body: new URLSearchParams(fields) })
}

function form(fields: Readonly<Record<string, string>>): string {
  return new URLSearchParams(fields).toString()
}

function secretText(): string {
  return randomBytes(32).toString('base64url')
}

function median(list: readonly number[]): number {
  const sorted = list.toSorted(ascending)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function ascending(one: number, other: number): number {
  return one - other
}
