// A real browser on a platform of its own, for the tests of pages: what went wrong in the console is kept, and pictures
// of the pages are taken for people to look at.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { launchBrowser } from '../counterparts/browser.ts'
import { operator } from '../harness.ts'
import type { TestPlatform } from '../harness.ts'
import { openDoors } from '../http/doors.ts'

export interface InABrowser extends TestPlatform {
  readonly context: BrowserContext
  readonly page: Page
  /** What the console complained about. */
  readonly problems: readonly string[]
  readonly picture: (page: Page, name: string) => Promise<void>
}

interface Options {
  readonly settings?: Readonly<Record<string, string>>
  readonly browser?: BrowserContextOptions
}

/** Opens a browser; undefined, with the test marked as skipped, when none can run here. */
export async function openBrowser(
  t: TestContext,
  { settings = {}, browser: browserOptions = {} }: Options = {},
): Promise<InABrowser | undefined> {
  const launched = await launchBrowser()
  if ('skip' in launched) {
    t.skip(launched.skip)
    return undefined
  }
  const platform = await openDoors(t, { settings })
  const context = await launched.browser.newContext(browserOptions)
  const problems: string[] = []
  context.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text())
  })
  context.on('weberror', (error) => problems.push(String(error.error())))
  t.after(() => launched.close())
  return { ...platform, context, page: await context.newPage(), problems, picture }
}

/** Signs the operator in, from nowhere. */
export async function signIn({ page, origin }: InABrowser): Promise<void> {
  await page.goto(`${origin}/sign-in`)
  await giveCredentials(page)
  await page.waitForURL('**/console/connections')
}

/** Fills the sign-in form that the page shows. */
export async function giveCredentials(page: Page): Promise<void> {
  await page.getByLabel('E-mail').fill(operator.email)
  await page.getByLabel('Password').fill(operator.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

/** Our page that starts the sign-in at a server, which the signed-in administrator adds. */
export async function connectPageOf({ context, origin }: InABrowser, url: string): Promise<string> {
  const post = async (path: string, data: unknown) => {
    const request = { headers: { origin }, data }
    const answer = await context.request.post(`${origin}/api/v1${path}`, request)
    assert.equal(answer.status(), 201, await answer.text())
    return (await answer.json()) as { readonly id: string } // what was just made
  }
  const { id: serverId } = await post('/servers', { url })
  return `${origin}/connect/${(await post('/connections', { serverId })).id}`
}

/** A server with the two scopes of a memory, added by the signed-in administrator. */
export async function addMemories({ context, origin }: InABrowser, url: string): Promise<void> {
  const scope = {
    name: 'memories:all',
    words: 'Do everything with your memories, and with whatever else has to do with them',
    icon: 'M',
    includes: ['memories:read', 'memories:write'],
  }
  const made = await context.request.post(`${origin}/api/v1/scopes`, {
    headers: { origin },
    data: scope,
  })
  assert.equal(made.status(), 201, await made.text())
  const answer = await context.request.post(`${origin}/api/v1/servers`, {
    headers: { origin },
    data: {
      url,
      slug: 'memories',
      name: 'Memories',
      toolScopes: [
        { scope: 'memories:read', tools: ['echo'] },
        { scope: 'memories:write', tools: ['slow_count'] },
        { scope: 'memories:all', tools: ['*'] },
      ],
    },
  })
  assert.equal(answer.status(), 201, await answer.text())
}

/** A program that people let in, and where its answers go. */
export interface Program {
  readonly id: string
  readonly redirectUri: string
}

/** Registers a program of this name. */
export async function registerProgram(
  origin: string,
  {
    name,
    redirectUri,
    agent,
  }: { readonly name: string; readonly agent?: string } & Pick<Program, 'redirectUri'>,
): Promise<Program> {
  const answer = await fetch(`${origin}/oauth/register`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(agent === undefined ? {} : { 'user-agent': agent }),
    },
    body: JSON.stringify({
      client_name: name,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    }),
  })
  assert.equal(answer.status, 201)
  const { client_id: id } = (await answer.json()) as { client_id: string } // RFC 7591 §3.2.1
  return { id, redirectUri }
}

/** Nothing on the page sticks out of it. */
export async function fits(page: Page): Promise<void> {
  const [wide, room] = (await page.evaluate(
    '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
  )) as [number, number] // two numbers of the browser
  assert.ok(wide <= room, `the page is ${wide} wide in ${room}`)
}

async function picture(page: Page, name: string): Promise<void> {
  const run = process.env['LATCHKEY_TEST_RUN']
  if (run === undefined || run === '') return
  const folder = join(run, 'pictures')
  mkdirSync(folder, { recursive: true })
  const bytes = await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
  assert.ok(bytes.length > 0)
}
