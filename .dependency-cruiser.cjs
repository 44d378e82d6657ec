// The room table of docs/architecture.md as rules: who may use whom, and no circles.
const rooms = {
  base: [],
  oauth: ['base'],
  store: [],
  protect: ['base', 'oauth'],
  journal: ['base', 'store'],
  upstream: ['base', 'oauth', 'store', 'journal'],
  people: ['base', 'store', 'journal', 'upstream'],
  issuer: ['base', 'oauth', 'store', 'journal', 'upstream', 'people'],
  connectors: ['base', 'store', 'journal', 'upstream', 'people'],
  gateway: ['base', 'oauth', 'store', 'protect', 'journal', 'people', 'issuer', 'connectors'],
  http: [
    'base',
    'oauth',
    'store',
    'journal',
    'upstream',
    'people',
    'issuer',
    'connectors',
    'gateway',
  ],
}
const rootFilesForCli = '^src/(platform|workshop|configured-store|client|index|testing|config|housekeeping)\\.ts$'

const roomRules = Object.entries(rooms).map(([room, uses]) => ({
  name: `${room}-uses-only-its-floor`,
  severity: 'error',
  from: { path: `^src/${room}/`, pathNot: '\\.(test|rig)\\.ts$' },
  to: { path: '^src/', pathNot: `^src/(${[room, ...uses].join('|')})/` },
}))

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    ...roomRules,
    {
      name: 'cli-uses-parts-and-root-files',
      severity: 'error',
      from: { path: '^src/cli/', pathNot: '\\.(test|rig)\\.ts$' },
      to: {
        path: '^src/',
        pathNot: ['^src/(cli|base|store|upstream|people|issuer)/', rootFilesForCli],
      },
    },
    {
      name: 'product-does-not-use-tests',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.(test|rig)\\.ts$' },
      to: { path: '^(test|tools)/' },
    },
    {
      name: 'not-to-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
}
