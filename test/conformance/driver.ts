// The client that the conformance suite starts once for each scenario. Signing in is Latchkey's part, over its REST API;
// the MCP messages are the SDK's. Its last line says how it went.
import { isFault } from '../../src/base/fault.ts'
import { playPlain } from './plain.ts'
import { readScenario } from './scenario.ts'
import type { Outcome } from './scenario.ts'
import { playSignedIn } from './signed-in.ts'

const outcome = await play()
console.log(outcome)
process.exitCode = outcome === 'completed' ? 0 : 1

async function play(): Promise<Outcome> {
  try {
    const scenario = readScenario(process.env, process.argv.at(-1))
    const playIt = scenario.name.startsWith('auth/') ? playSignedIn : playPlain
    await playIt(scenario)
    return 'completed'
  } catch (thrown) {
    console.error(thrown)
    return isFault(thrown) ? `refused: ${thrown.code}` : 'broken'
  }
}
