// A real browser on a platform of its own, for the tests of pages: what went wrong in the console is kept, and pictures
// of the pages are taken for people to look at.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { openStore } from '../../src/store/database.ts'
import { launchBrowser } from '../counterparts/browser.ts'
import { startTestPlatform } from '../harness.ts'
import type { TestPlatform } from '../harness.ts'

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
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-browser-'))
  const store = await openStore({ kind: 'sqlite', file: join(folder, 'test.db') })
  const platform = await startTestPlatform(t, store, { settings })
  const context = await launched.browser.newContext(browserOptions)
  const problems: string[] = []
  context.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text())
  })
  context.on('weberror', (error) => problems.push(String(error.error())))
  t.after(async () => {
    await launched.close()
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return { ...platform, context, page: await context.newPage(), problems, picture }
}

async function picture(page: Page, name: string): Promise<void> {
  const run = process.env['LATCHKEY_TEST_RUN']
  if (run === undefined || run === '') return
  const folder = join(run, 'pictures')
  mkdirSync(folder, { recursive: true })
  const bytes = await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
  assert.ok(bytes.length > 0)
}
