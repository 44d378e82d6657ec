// The rules of the compiler and of the linter hold for the whole product: what they must refuse is given to them and
// refused, and nothing in the product asks to be excused.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { verifies } from './requirements.ts'

const root = join(import.meta.dirname, '..')
const tools = join(root, 'node_modules')

/** What a tool says of one file under the rules of this project. */
function judge(t: TestContext, text: string) {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-strict-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'probe.ts'), text)
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}')
  const project = { extends: join(root, 'tsconfig.json'), include: ['probe.ts'] }
  const options = { types: [], typeRoots: [] }
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ ...project, compilerOptions: options }),
  )
  const run = (...words: readonly string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' })
    return { status, said: stdout + stderr }
  }
  const compiler = join(tools, 'typescript-7', 'bin', 'tsc')
  const linter = join(tools, 'oxlint', 'bin', 'oxlint')
  return {
    compiled: run(compiler, '--noEmit', '-p', folder),
    linted: run(linter, '-c', join(root, '.oxlintrc.json'), join(folder, 'probe.ts')),
  }
}

test('what is fine passes, so that what is refused is refused for what it does', (t) => {
  const { compiled, linted } = judge(t, 'export const twice = (one: number): number => one * 2\n')
  assert.equal(compiled.status, 0, compiled.said)
  assert.equal(linted.status, 0, linted.said)
})

test('the compiler refuses what strict TypeScript refuses', (t) => {
  verifies(t, 'S1-80')
  const probes = {
    TS7006: 'export const twice = (one) => one\n',
    TS2322: 'export const name: string = undefined\n',
    TS2532: 'export const first = (all: string[]): number => all[0].length\n',
    TS1294: 'export enum Colour { red }\n',
  }
  for (const [error, text] of Object.entries(probes)) {
    const { status, said } = judge(t, text).compiled
    assert.notEqual(status, 0, error)
    assert.match(said, new RegExp(error))
  }
})

test('the linter refuses any, and nothing in the product is excused from it', (t) => {
  verifies(t, 'S1-80')
  for (const text of ['export const x: any = 1\n', 'export const x = 1 as any\n']) {
    const { status, said } = judge(t, text).linted
    assert.notEqual(status, 0, text)
    assert.match(said, /no-explicit-any/)
  }
  const files = globSync('src/**/*.ts', { cwd: root }).filter((file) => !file.endsWith('.rig.ts'))
  assert.ok(files.length > 100)
  const excused = files.filter((file) =>
    /oxlint-disable[^\n]*no-explicit-any|@ts-(?:ignore|nocheck)/.test(
      readFileSync(join(root, file), 'utf8'),
    ),
  )
  assert.deepEqual(excused, [])
})

test('it needs a Node that is kept, PKCE is made by node:crypto, and JWTs by jose', () => {
  const { engines, dependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as {
    engines: { node: string }
    dependencies: Record<string, string>
  }
  assert.equal(engines.node, '>=24.10')
  assert.ok('jose' in dependencies)
  assert.match(readFileSync(join(root, 'src/oauth/pkce.ts'), 'utf8'), /from 'node:crypto'/)
})

test('who calls is decided in one place of each kind, and everything asks there', (t) => {
  verifies(t, 'S4-6', 'S4-47')
  const sources = globSync('src/**/*.ts', { cwd: root }).filter(
    // What clears up after a run of `test-flow` reads for nobody.
    (file) => !/\.(?:test|rig)\.ts$|test-flow/.test(file),
  )
  const having = (pattern: RegExp) =>
    sources.filter((file) => pattern.test(readFileSync(join(root, file), 'utf8'))).toSorted()
  // A principal is made where a token, a session, a key or an app's word is verified, and at the machine; nowhere else.
  assert.deepEqual(having(/\bverifiedPrincipal</), [
    'src/issuer/verify.ts',
    'src/people/api-keys.ts',
    'src/people/app-people.ts',
    'src/people/principal.ts',
    'src/people/sessions.ts',
  ])
  // Who stands behind a name at a provider, or in an app's own word, is read in one place of each.
  const readers = ['src/people/app-people.ts', 'src/people/identities.ts']
  assert.deepEqual(having(/selectFrom\('identities'\)/), readers)
})
