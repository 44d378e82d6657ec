// Draws every page, in the light, in the dark and on a phone, into docs/screenshots: the pictures that the test of every page
// takes.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const to = join(root, 'docs', 'screenshots')
const run = mkdtempSync(join(tmpdir(), 'latchkey-screenshots-'))
const prefix = 'page-'

try {
  const { status } = spawnSync(process.execPath, ['--test', 'test/browser/every-page.test.ts'], {
    cwd: root,
    env: { ...process.env, LATCHKEY_TEST_RUN: run },
    stdio: 'inherit',
  })
  if (status !== 0) throw new Error('a page is not as it should be: no picture is kept')
  rmSync(to, { recursive: true, force: true })
  mkdirSync(to, { recursive: true })
  const pictures = readdirSync(join(run, 'pictures')).filter((file) => file.startsWith(prefix))
  for (const file of pictures) {
    cpSync(join(run, 'pictures', file), join(to, file.slice(prefix.length)))
  }
  console.log(`${pictures.length} pictures are in docs/screenshots`)
} finally {
  rmSync(run, { recursive: true, force: true })
}
