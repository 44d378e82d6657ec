// Owns starting a real browser for the tests that need one: the Chromium that comes with
// @sparticuz/chromium, unpacked once per machine, or the machine's own. Nothing is downloaded and
// nothing but loopback is reached. Where no browser can run, it says why.
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { inflate } from '@sparticuz/chromium'
import { chromium, type Browser } from 'playwright-core'

/** A browser, or why there is none. */
export type LaunchedBrowser =
  | { readonly browser: Browser; readonly close: () => Promise<void> }
  | { readonly skip: string }

/** Starts headless Chromium; a test that gets `skip` passes it on to `t.skip`. */
export async function launchBrowser(): Promise<LaunchedBrowser> {
  const reasons: string[] = []
  for (const candidate of await findCandidates(reasons)) {
    try {
      const browser = await launch(candidate)
      return { browser, close: () => browser.close() }
    } catch (error) {
      reasons.push(`${candidate.name}: ${firstLines(error)}`)
    }
  }
  return { skip: `no browser can run here: ${reasons.join('; ')}` }
}

interface Candidate {
  readonly name: string
  readonly executablePath: string
  readonly env: Readonly<Record<string, string>>
}

async function findCandidates(reasons: string[]): Promise<readonly Candidate[]> {
  const own = hostBrowsers.filter((path) => existsSync(path))
  const fromHost = own.map((path) => ({ name: path, executablePath: path, env: {} }))
  try {
    return [...bundledCandidates(await unpackOnce()), ...fromHost]
  } catch (error) {
    reasons.push(`bundled: ${firstLines(error)}`)
    return fromHost
  }
}

const hostBrowsers = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

// First with the machine's libraries, then with those in the package: a slim machine lacks nss.
function bundledCandidates(directory: string): readonly Candidate[] {
  const executablePath = join(directory, 'chromium')
  const fonts = { FONTCONFIG_FILE: join(directory, 'latchkey-fonts.conf') }
  const libraries = { LD_LIBRARY_PATH: join(directory, 'al2023', 'lib') }
  return [
    { name: 'bundled', executablePath, env: fonts },
    { name: 'bundled with its own libraries', executablePath, env: { ...fonts, ...libraries } },
  ]
}

// The package's own flags turn web security and site isolation off; a browser in these tests has to
// be as strict as the ones people use, so none of them are taken over.
const flags = [
  '--disable-gpu',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]',
]

function launch({ executablePath, env }: Candidate): Promise<Browser> {
  return chromium.launch({
    executablePath,
    headless: true,
    chromiumSandbox: process.getuid?.() !== 0, // root has no sandbox to put it in
    args: flags,
    env: { ...process.env, ...env },
    timeout: 30_000,
  })
}

const packed = ['chromium.br', 'fonts.tar.br', 'al2023.tar.br']

// Unpacked aside and put in place by one rename, because test files run side by side and a
// half-written browser looks like a whole one to the next process.
async function unpackOnce(): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`the package has none for ${process.platform} on ${process.arch}`)
  }
  const { bin, version } = findPackage()
  const place = join(tmpdir(), `latchkey-chromium-${version}-${process.getuid?.() ?? 0}`)
  if (existsSync(join(place, 'chromium'))) return place
  const aside = await mkdtemp(`${place}-`)
  await unpackInto(aside, bin)
  await writeFile(join(aside, 'latchkey-fonts.conf'), fontsConfiguration(place))
  await rename(aside, place).catch(async (error: unknown) => {
    await rm(aside, { recursive: true, force: true })
    if (!existsSync(join(place, 'chromium'))) throw error // else another process was faster
  })
  return place
}

function findPackage(): { bin: string; version: string } {
  const main = createRequire(import.meta.url).resolve('@sparticuz/chromium')
  const root = dirname(dirname(main))
  const manifest: unknown = createRequire(import.meta.url)(join(root, 'package.json'))
  const { version } = manifest as { version: string } // npm requires it
  return { bin: join(root, 'bin'), version }
}

// The package unpacks to the temporary directory and cannot be told another place.
async function unpackInto(directory: string, bin: string): Promise<void> {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = directory
  try {
    await Promise.all(packed.map((name) => inflate(join(bin, name))))
  } finally {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  }
  await mkdir(join(directory, 'fonts'), { recursive: true })
}

function fontsConfiguration(place: string): string {
  const directories = ['/usr/share/fonts', join(place, 'fonts')].map((path) => `<dir>${path}</dir>`)
  const cache = `<cachedir>${join(place, 'fonts-cache')}</cachedir>`
  return `<?xml version="1.0"?><fontconfig>${directories.join('')}${cache}</fontconfig>\n`
}

function firstLines(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const missing = /error while loading shared libraries: \S+/.exec(message)
  return missing?.[0] ?? message.split('\n').slice(0, 2).join(' ')
}
