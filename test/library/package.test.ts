// The package as others install it: packed by npm, unpacked below node_modules with nothing but what its manifest names,
// and used by an app of its own on every Node here that is new enough.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..', '..')

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly engines: { readonly node: string }
}

const app = `
import { createConnectors, isFault, toolNameFor } from 'latchkey/client'
import type { Connectors, Credential } from 'latchkey/client'

const connectors: Connectors = await createConnectors({
  database: 'data/connectors.db',
  key: 'A'.repeat(43),
  publicUrl: 'http://localhost:3000',
})
const refused: unknown = await connectors.begin('ada', 'http://10.0.0.1/mcp').catch((error: unknown) => error)
// @ts-expect-error: the codes are those of the catalogue, so the types of the package were found
if (isFault(refused) && refused.code === 'no_such_code') throw refused
const credential: Promise<Credential> = connectors.credentialFor('ada', 'con_0')
const missing: unknown = await credential.catch((error: unknown) => error)
console.log(
  JSON.stringify({
    refused: isFault(refused) && refused.code,
    missing: isFault(missing) && missing.code,
    servers: await connectors.servers.list(),
    page: (await connectors.handle(new Request('http://localhost:3000/connect/con_0'), { user: 'ada' }))?.status,
    document: (await connectors.handle(new Request('http://localhost:3000/connect/client-metadata.json'), { user: undefined }))?.status,
    name: toolNameFor('notes', 'search'),
  }),
)
await connectors.close()
`

test('an app imports the packed client half, with its types, and runs it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-package-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const installed = install(folder)
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(join(folder, 'app.ts'), app)
  writeFileSync(join(folder, 'documented.ts'), documented())
  for (const [index, code] of documentedProtect().entries()) {
    writeFileSync(join(folder, `documented-protect-${index}.ts`), code)
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))

  const compiler = join(root, 'node_modules', 'typescript-7', 'bin', 'tsc')
  execFileSync(process.execPath, [compiler, '-p', folder], { stdio: 'inherit' })
  for (const node of nodesHere()) {
    const { stdout, stderr } = spawnSync(node, ['app.js'], { cwd: folder, encoding: 'utf8' })
    assert.notEqual(stdout, '', stderr)
    assert.deepEqual(JSON.parse(stdout), {
      refused: 'discovery_blocked',
      missing: 'not_found',
      servers: [],
      page: 404,
      document: 200,
      name: 'mcp__notes__search',
    })
  }

  const command = join(installed, 'bin', 'latchkey.cjs')
  const help = execFileSync(process.execPath, [command, '--help'], { encoding: 'utf8' })
  assert.match(help, /start/)
  const version = execFileSync(process.execPath, [command, '--version'], { encoding: 'utf8' })
  const manifest = readFileSync(join(installed, 'package.json'), 'utf8')
  assert.equal(version.trim(), (JSON.parse(manifest) as { readonly version: string }).version)

  // `latchkey/protect` loads no package but jose: with every other one gone it still verifies.
  const modules = join(folder, 'node_modules')
  for (const entry of globSync(['*', '@*/*'], { cwd: modules })) {
    const isKept = ['latchkey', 'jose'].includes(entry) || /^@[^/]*$/.test(entry)
    if (!isKept) unlinkSync(join(modules, entry))
  }
  writeFileSync(join(folder, 'server.mjs'), protectedServer)
  for (const node of nodesHere()) {
    const { stdout, stderr } = spawnSync(node, ['server.mjs'], { cwd: folder, encoding: 'utf8' })
    assert.equal(stdout, '401 503 401 jose\n', stderr)
  }
})

/** Asks with no token, with an opaque one while nobody can be asked, and with one that no key of the issuer made. */
const protectedServer = `
import { registerHooks } from 'node:module'

const loaded = new Set()
registerHooks({
  resolve: (specifier, context, next) => {
    const found = next(specifier, context)
    const [, name] = /node_modules\\/((?:@[^/]+\\/)?[^/]+)\\/(?!.*node_modules)/.exec(found.url) ?? []
    if (name !== undefined && name !== 'latchkey') loaded.add(name)
    return found
  },
})
const { forFetch, introspection, jwks, protectMcpServer } = await import('latchkey/protect')
const issuer = 'http://localhost:1'
const keys = async () => Response.json({ issuer, jwks_uri: issuer + '/jwks', keys: [] })
const ask = async (verify, headers = {}) => {
  const protection = protectMcpServer({ resource: 'http://localhost:2/mcp', issuer, scopes: ['a'], verify })
  const { response } = await forFetch(protection)(new Request('http://localhost:2/mcp', { headers }))
  return response.status
}
const asking = introspection({ issuer, clientId: 'a', clientSecret: 'b' })
const opaque = { authorization: 'Bearer mcp_at_x' }
const header = Buffer.from('{"alg":"ES256","typ":"at+jwt","kid":"x"}').toString('base64url')
const signed = { authorization: 'Bearer ' + header + '.e30.AAAA' }
const statuses = [await ask(asking), await ask(asking, opaque), await ask(jwks({ issuer, fetch: keys }), signed)]
console.log([...statuses, ...loaded].join(' '))
`

/** The code in docs/library.md, with what it takes from its surroundings. */
function documented(): string {
  const text = readFileSync(join(root, 'docs', 'library.md'), 'utf8')
  const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(text) ?? []
  assert.match(code, /createConnectors/)
  return `import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { Client } from '@modelcontextprotocol/client'
${code}
declare const request: Request
declare const session: { readonly userId: string } | undefined
declare const userId: string
declare const client: Client
console.log(answer, begun, credential)
`
}

/** The code in docs/protect.md, each block with what it takes from its surroundings. */
function documentedProtect(): readonly string[] {
  const text = readFileSync(join(root, 'docs', 'protect.md'), 'utf8')
  const blocks = Array.from(text.matchAll(/```ts\n([\s\S]*?)```/g), ([, block = '']) => block)
  assert.equal(blocks.length, 2)
  return blocks.map(
    (block) => `${block}
import type { IncomingMessage, ServerResponse } from 'node:http'
type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void
declare const app: { readonly use: (middleware: Middleware) => void }
declare const mcp: { readonly fetch: (request: Request, caller: { readonly authInfo: object }) => Promise<Response> }
declare const request: Request
declare const secret: string
`,
  )
}

const compilerOptions = {
  target: 'es2024',
  lib: ['es2024', 'esnext.disposable'],
  module: 'nodenext',
  strict: true,
  exactOptionalPropertyTypes: true,
  types: ['node'],
  // As an app would have it: only its own code is checked.
  skipLibCheck: true,
}

/** Builds, packs and unpacks the package, and links what its manifest asks for. */
function install(folder: string): string {
  const built = join(folder, 'built')
  execFileSync(process.execPath, [join(root, 'tools', 'build.ts'), built], { stdio: 'inherit' })
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  execFileSync(npm, ['pack', '--silent', '--offline', '--pack-destination', folder, built])
  const modules = join(folder, 'node_modules')
  const installed = join(modules, 'latchkey')
  mkdirSync(installed, { recursive: true })
  const { name, version } = JSON.parse(readFileSync(join(built, 'package.json'), 'utf8')) as {
    name: string
    version: string
  }
  const tarball = join(folder, `${name}-${version}.tgz`)
  execFileSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
  rmSync(built, { recursive: true })

  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest
  const needed = { ...manifest.dependencies, ...manifest.peerDependencies }
  for (const name of [...Object.keys(needed), '@types/node']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }
  return installed
}

/** The Node of this run, and others on the path that the package says it runs on. */
function nodesHere(): readonly string[] {
  const oldest = 24
  const paths = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'node'))
  const others = paths.filter((node) => {
    const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
    return Number(/^v(\d+)/.exec(stdout ?? '')?.[1] ?? 0) >= oldest
  })
  return [...new Set([process.execPath, ...others])]
}
