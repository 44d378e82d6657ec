// The pages of servers: the list, one server with what a test of it shows, and what each of its forms changes, ends or refuses.
import assert from 'node:assert/strict'
import { startLibraryServer } from '../counterparts/library-server.ts'
import { operator, signIn } from '../harness.ts'
import { onEveryDatabase } from '../on-every-database.ts'
import { verifies } from '../requirements.ts'
import { addPerson, callAs, fieldOn, openDoorsOn } from './doors.ts'
import type { Fields } from './doors.ts'
import { startFlows } from './flow-doors.ts'

onEveryDatabase(
  'an administrator adds a server, sees its tools, and says who may use which',
  async (t, store) => {
    verifies(t, 'S1-14', 'S1-26', 'S3-52')
    const doors = await openDoorsOn(t, store)
    const { origin } = doors
    const library = await startLibraryServer({ sdk: 2 })
    t.after(library.stop)
    const browser = await signIn(origin)
    const ada = callAs(doors, browser)
    const empty = await browser.open(`${origin}/console/servers`)
    assert.match(empty.html, /There is no server yet/)
    assert.match(empty.html, /Add Linear/)
    const added = await browser.submit({
      fields: { url: library.url, name: '<b>Books</b>' },
      button: 'Save connector',
    })
    assert.match(added.url, /\/console\/servers\/srv_/)
    assert.match(added.html, /&lt;b&gt;Books&lt;\/b&gt;/)
    assert.ok(!added.html.includes('<b>Books'))
    const id = added.url.split('/').at(-1) ?? ''
    const address = `${origin}/${(await ada('GET', `/servers/${id}`)).json.slug}/mcp`
    assert.ok(added.html.includes(address))
    const { html: list } = await browser.open(`${origin}/console/servers`)
    assert.match(list, /Open, without a key/)
    assert.ok(list.includes(address) && list.includes(library.url))

    const path = `/console/servers/${id}`
    const send = async (fields: Fields) => {
      const { html } = await browser.open(origin + path)
      const form = { form_token: fieldOn(html, 'form_token'), ...fields }
      return doors.ask({ path, browser, form, headers: { origin } })
    }
    const kept = async () => (await ada('GET', `/servers/${id}`)).json
    const tested = await send({ action: 'test' })
    assert.equal(tested.status, 200)
    assert.match(tested.text, /It answers\. You see \d+ tools/)
    assert.match(tested.text, /find<\/bdi>[\s\S]{0,80}Read-only/)
    assert.match(tested.text, /lend<\/bdi>[\s\S]{0,80}May change things/)
    assert.match(tested.text, /Streamable HTTP/)
    const { tools } = (await ada('POST', `/servers/${id}/test`)).json
    const find = tools.find(({ name }: { name: string }) => name === 'find')
    assert.deepEqual(find.annotations, { readOnlyHint: true })

    const policy = {
      action: 'policy',
      which: 'named',
      allow: 'find\r\n len* \r\n\r\n',
      deny: 'lend',
    }
    assert.match((await send(policy)).text, /Saved/)
    assert.deepEqual((await kept()).toolPolicy, { allow: ['find', 'len*'], deny: ['lend'] })
    const closed = await send({ action: 'test' })
    assert.match(closed.text, /lend<\/bdi>[\s\S]{0,160}Closed by the tool policy/)
    const odd = await send({ ...policy, allow: 'f*d' })
    assert.equal(odd.status, 422)
    assert.match(odd.text, /with \* at the end only/)
    assert.match(odd.text, />f\*d</, 'what was entered is still there')
    assert.match((await send({ ...policy, allow: '' })).text, /Saved/)
    assert.deepEqual((await kept()).toolPolicy, { allow: [], deny: ['lend'] }, 'none, and not all')
    const shut = (await browser.open(origin + path)).html
    assert.match(shut, /value="named"\s+checked/)
    await send({ action: 'policy', which: 'every', allow: 'find', deny: '', readOnly: 'on' })
    assert.deepEqual((await kept()).toolPolicy, { readOnly: true })
    await send({ action: 'policy', which: 'every', deny: '' })
    assert.equal((await kept()).toolPolicy, undefined)

    await ada('POST', '/scopes', { name: 'books', words: 'Read your books' })
    const scopes = { action: 'scopes', scope: ['books', ''], tools: ['find\nfail', 'lost'] }
    assert.match((await send(scopes)).text, /Saved/)
    assert.deepEqual((await kept()).toolScopes, [{ scope: 'books', tools: ['find', 'fail'] }])
    const scoped = await send({ action: 'test' })
    assert.match(scoped.text, /find<\/bdi>[\s\S]{0,160}Needs books/)
    assert.match(scoped.text, /lend<\/bdi>[\s\S]{0,160}No scope opens it/)
    assert.equal((await send({ ...scopes, scope: ['nosuch'] })).status, 422)
    await send({ action: 'scopes', scope: [''], tools: [''] })
    assert.equal((await kept()).toolScopes, undefined)

    const eve = await addPerson(doors, 'eve@example.com')
    const access = { action: 'access', who: 'named', people: 'EVE@example.com' }
    const named = await send({ ...access, identityHeaders: 'on' })
    assert.match(named.text, />eve@example\.com</)
    assert.deepEqual([(await kept()).mayUse, (await kept()).identityHeaders], [[eve], true])
    const nobody = await send({ ...access, people: 'who@example.com' })
    assert.equal(nobody.status, 422)
    assert.match(nobody.text, /nobody here by the name of “who@example\.com”/)
    const unnamed = await send({ ...access, people: ' ' })
    assert.equal(unnamed.status, 422, 'and is not for everybody now')
    assert.deepEqual((await kept()).mayUse, [eve])
    await send({ action: 'access', who: 'admins' })
    assert.deepEqual([(await kept()).mayUse, (await kept()).identityHeaders], [['admin'], false])
    await send({ action: 'access', who: 'everybody' })
    assert.equal((await kept()).mayUse, undefined)

    const eves = await signIn(origin, { ...operator, email: 'eve@example.com' })
    for (const place of ['/console/servers', path]) {
      assert.equal((await eves.open(origin + place)).status, 403)
    }
    assert.equal((await browser.open(`${origin}/console/servers/srv_x`)).status, 404)
    assert.equal((await send({ action: 'nothing' })).status, 403)
  },
)

onEveryDatabase(
  'a server that is changed says what ends with it, and one that is removed is gone',
  async (t, store) => {
    verifies(t, 'S1-37', 'S2-25')
    const doors = await openDoorsOn(t, store)
    const { origin } = doors
    const { ada, browser, begin, approve, open, server } = await startFlows(t, doors)
    const path = `/console/servers/${server.id}`
    const draw = async () => (await browser.open(origin + path)).html
    const send = async (fields: Fields) => {
      const form = { form_token: fieldOn(await draw(), 'form_token'), ...fields }
      return doors.ask({ path, browser, form, headers: { origin } })
    }
    const kept = async () => (await ada('GET', `/servers/${server.id}`)).json
    const before = await kept()
    const first = await draw()
    assert.ok(first.includes(before.redirectUri), 'for whoever makes a client there')
    assert.match(first, /Nobody is signed in there/)
    const unsigned = await send({ action: 'test' })
    assert.match(unsigned.text, /You are not connected to this server yet/)
    assert.match(unsigned.text, /Connect on your connections page, then test again/)
    assert.match(unsigned.text, /What was looked at/)

    await open(await approve(await begin()))
    assert.match(await draw(), /one sign-in there ends/)
    const shown = { name: before.name, slug: before.slug, url: before.url, auth: 'oauth' }
    const same = await send({ action: 'change', ...shown })
    assert.match(same.text, /There are no changes to save/)
    await send({ action: 'change', ...shown, name: 'Notes', scopes: '' })
    assert.equal((await kept()).name, 'Notes')
    assert.match(await draw(), /one sign-in there ends/, 'a name ends nothing')

    const secret = 'a secret of the client there'
    doors.alsoSecret([secret])
    const client = { clientId: 'us', clientSecret: secret }
    const given = await send({ action: 'change', ...shown, ...client })
    assert.equal(given.status, 200)
    assert.ok(!given.text.includes(secret))
    assert.deepEqual([(await kept()).clientId, (await kept()).hasClientSecret], ['us', true])
    assert.match(given.text, /Nobody is signed in there/, 'another client ends them')
    await send({ action: 'change', ...shown, clientId: 'us', clientSecret: '' })
    assert.equal((await kept()).hasClientSecret, true, 'an empty one is the old one')

    const emptied = await send({ action: 'change', ...shown, clientId: '' })
    assert.equal(emptied.status, 422)
    assert.match(emptied.text, /A client ID cannot be taken away/)
    const wrong = await send({ action: 'change', ...shown, ...client, slug: 'Not A Word' })
    assert.equal(wrong.status, 422)
    assert.match(wrong.text, /value="Not A Word"/)
    assert.ok(!wrong.text.includes(secret))
    const other = await ada('POST', '/servers', { url: before.url, slug: 'taken' })
    assert.equal(other.status, 201)
    const taken = await send({ action: 'change', ...shown, clientId: 'us', slug: 'taken' })
    assert.equal(taken.status, 409)
    assert.match(taken.text, /Another server has this slug/)

    const value = 'the key for the door'
    doors.alsoSecret([value])
    const byKey = { ...shown, auth: 'headers', header: 'X-Key' }
    const keyed = await send({ action: 'change', ...byKey, value })
    assert.ok(!keyed.text.includes(value))
    assert.deepEqual([(await kept()).auth, (await kept()).headerNames], ['headers', ['X-Key']])
    await send({ action: 'change', ...byKey, value: '' })
    assert.deepEqual((await kept()).headerNames, ['X-Key'], 'an empty one is the old one')

    const gone = await send({ action: 'remove' })
    assert.deepEqual([gone.status, gone.headers.get('location')], [303, '/console/servers'])
    assert.equal((await browser.open(origin + path)).status, 404)
  },
)
