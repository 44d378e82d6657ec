// Turns the compile cache on before anything else is loaded, so that the second start is quick.
import module from 'node:module'

module.enableCompileCache()
await import('./main.ts')
