// The page of requests for help: whether people can ask, what they asked, and how far each request is.
import assert from 'node:assert/strict'
import { operator, restAs, signIn } from '../harness.ts'
import { signInClient } from '../flows/signed-in-client.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, openDoorsOn } from './doors.ts'

onEveryDatabase(
  'an administrator reads what people asked for help with, and says how far it is',
  async (t, store) => {
    verifies(t, 'S4-34', 'S4-35')
    const doors = await openDoorsOn(t, store)
    const { origin } = doors
    const browser = await signIn(origin)
    const at = `${origin}/console/support`
    const off = await browser.open(at)
    assert.match(off.html, /Nobody has asked yet/)
    const on = await browser.submit({ button: 'Switch on' })
    assert.match(on.html, /Switch off/)

    const { client } = await signInClient({ origin, url: `${origin}/mcp`, browser })
    t.after(() => client.close())
    const title = '<b>No notes</b>'
    const asked = { title, problemDescription: 'They are gone.', problemContext: 'I looked twice.' }
    await client.callTool({ name: 'get_support', arguments: asked })

    const page = await browser.open(at)
    assert.match(page.html, /&lt;b&gt;No notes&lt;\/b&gt;/)
    assert.ok(!page.html.includes(title))
    for (const words of ['They are gone.', 'I looked twice.', operator.email, 'not proven']) {
      assert.ok(page.html.includes(words), words)
    }
    await browser.submit({ fields: { status: 'resolved', priority: 'high' }, button: 'Save' })
    const rest = restAs(browser, origin)
    const [{ status, priority }] = (await rest('GET', '/support-requests')).body.items
    assert.deepEqual([status, priority], ['resolved', 'high'])
    assert.match(
      (await browser.open(`${at}?status=pending`)).html,
      /Nobody has asked that stands so/,
    )
    assert.match((await browser.open(`${at}?status=resolved`)).html, /They are gone/)

    await addPerson(doors, 'eve@example.com')
    const eve = await signIn(origin, { ...operator, email: 'eve@example.com' })
    for (const path of ['/console/support', '/console/providers']) {
      assert.equal((await eve.open(origin + path)).status, 403)
    }
  },
)
