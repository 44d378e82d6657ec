// What a form of a page may not hold, whichever page it is of.
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { assertAnswer, openDoorsOn } from './doors.ts'
import { startFlows } from './flow-doors.ts'

onEveryDatabase('a NUL in a form is refused, also where it would name a row', async (t, store) => {
  verifies(t, 'X-33')
  const doors = await openDoorsOn(t, store)
  const { ada, browser, server } = await startFlows(t, doors)
  const { json } = await ada('POST', '/connections', { serverId: server.id })
  const path = `/connect/${json.id}`
  const page = await doors.ask({ path, browser })
  const token = /name="form_token" value="([^"]+)"/.exec(page.text)?.[1] ?? ''
  const form = { form_token: token, flow: 'flw_\u0000' }
  const headers = { origin: doors.origin }
  assertAnswer(await doors.ask({ method: 'POST', path, browser, form, headers }), { status: 422 })
})
