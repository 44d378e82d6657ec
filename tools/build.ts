// Makes the package: compiled sources with their types and the files that they read, under a manifest of its own. What only
// building and testing needs stays out, and so does the Node that comes with a checkout: whoever installs this has one.
import { execFileSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const out = process.argv[2] ?? join(root, 'dist')

rmSync(out, { recursive: true, force: true })
const compiler = join(root, 'node_modules', 'typescript-7', 'bin', 'tsc')
const project = join(root, 'tsconfig.build.json')
execFileSync(process.execPath, [compiler, '-p', project, '--outDir', out], { stdio: 'inherit' })
for (const file of globSync('src/**/*.{sql,css,svg,js}', { cwd: root })) {
  copy(file, file.replace(/^src./, ''))
}
for (const file of ['bin/latchkey.cjs', 'README.md', 'LICENSE']) copy(file, file)
writeFileSync(join(out, 'package.json'), `${JSON.stringify(manifest(), null, 2)}\n`)

function copy(file: string, to: string): void {
  mkdirSync(dirname(join(out, to)), { recursive: true })
  cpSync(join(root, file), join(out, to))
}

function manifest(): object {
  const {
    scripts: _scripts,
    devDependencies: _devDependencies,
    optionalDependencies: _optionalDependencies,
    overrides: _overrides,
    exports,
    ...kept
  } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest // npm's shape
  return { ...kept, exports: compiledExports(exports) }
}

interface Manifest {
  readonly exports: Readonly<Record<string, string>>
  readonly [name: string]: unknown
}

/** In a checkout the names lead to sources; Node runs none of those below node_modules. */
function compiledExports(exports: Manifest['exports']): object {
  const compiled = Object.entries(exports).map(([name, source]) => {
    const file = source.replace(/^\.\/src\//, './')
    const [types, code] = ['.d.ts', '.js'].map((ending) => file.replace(/\.ts$/, ending))
    return [name, { types, default: code }]
  })
  return { ...Object.fromEntries(compiled), './package.json': './package.json' }
}
