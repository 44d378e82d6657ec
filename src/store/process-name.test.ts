import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { takeProcessName } from './process-name.ts'

test('one process has the name, and the next one inherits it', (t) => {
  const { file, newName } = place(t)
  const first = takeProcessName(file, newName)
  assert.equal(first?.name, 'name 1')
  assert.equal(takeProcessName(file, newName), undefined)
  first.release()
  const next = takeProcessName(file, newName)
  assert.equal(next?.name, 'name 1')
  next.release()
})

test('a process that is killed has it no more, at once', async (t) => {
  const { file, newName } = place(t)
  const module = join(import.meta.dirname, 'process-name.ts')
  const script = `
    const { takeProcessName } = await import(${JSON.stringify(module)})
    console.log(takeProcessName(${JSON.stringify(file)}, () => 'of the dead').name)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script])
  t.after(() => child.kill('SIGKILL'))
  const [said] = await once(child.stdout, 'data')
  assert.equal(String(said), 'of the dead\n')
  assert.equal(takeProcessName(file, newName), undefined)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const heir = takeProcessName(file, newName)
  assert.equal(heir?.name, 'of the dead')
  heir.release()
})

test('a copy of the file is another place, where the one before may be alive', (t) => {
  const { file, newName, folder } = place(t)
  takeProcessName(file, newName)?.release()
  const copy = join(folder, 'copy')
  copyFileSync(file, copy)
  const other = takeProcessName(copy, newName)
  assert.equal(other?.name, 'name 2')
  const here = takeProcessName(file, newName)
  assert.equal(here?.name, 'name 1')
  for (const { release } of [other, here]) release()
})

test('only its owner may read the file', { skip: process.platform === 'win32' }, (t) => {
  const { file, newName } = place(t)
  takeProcessName(file, newName)?.release()
  assert.equal(statSync(file).mode & 0o777, 0o600)
})

test('a folder that is not there is said', (t) => {
  const { folder, newName } = place(t)
  assert.throws(() => takeProcessName(join(folder, 'none', 'name'), newName), /ENOENT/)
})

function place(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-name-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  let names = 0
  return { folder, file: join(folder, 'process.lock'), newName: () => `name ${(names += 1)}` }
}
