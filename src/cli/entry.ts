// Turns the compile cache on before anything else is loaded, so that the second start is quick, and keeps the heap tight.
import module from 'node:module'
import { keepHeapTight } from './heap.ts'

module.enableCompileCache()
keepHeapTight()
await import('./main.ts')
