// Proves the browser without scripts: forms, redirects, and the cookie rules it must keep.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createCookieBrowser } from './cookie-browser.ts'
import { createCookieJar } from './cookie-jar.ts'
import { readPage } from './html-forms.ts'
import { listenOnLoopback } from './loopback.ts'

const signInPage = `<!doctype html><script>"<form action='/evil'>"</script><!-- <form> -->
<form method="post" action='/sign-in?next=%2F&amp;a=1'><input type=hidden name=token value="a&quot;b&#39;c">
<input name="email" type="email"><input type="checkbox" name="stay" checked>
<textarea name=note>x &lt; y</textarea><select name=role><option value=a>A<option value=b selected>B</select>
<input name=gone value=1 disabled><button name="decision" value="deny">No</button>
<button name="decision" value="approve"><b>Sign</b> in</button></form><a href="/help?x=1&amp;y=2">Help</a>`

test('a page is read into forms, fields, buttons and links', () => {
  const { forms, links } = readPage(signInPage, 'http://127.0.0.1:1/sign-in')
  assert.equal(forms.length, 1)
  assert.equal(forms[0]?.action, 'http://127.0.0.1:1/sign-in?next=%2F&a=1')
  const values = forms[0]?.fields.map(({ name, value }) => [name, value])
  const expected = [
    ['token', 'a"b\'c'],
    ['email', ''],
    ['stay', 'on'],
    ['note', 'x < y'],
    ['role', 'b'],
  ]
  assert.deepEqual(values, expected)
  assert.deepEqual(
    forms[0]?.buttons.map(({ text }) => text),
    ['No', 'Sign in'],
  )
  assert.deepEqual(links, [{ href: 'http://127.0.0.1:1/help?x=1&y=2', text: 'Help' }])
})

test('a form is filled in and sent with cookies, and a redirect to a callback is captured', async (t) => {
  const seen: { body: string; cookie: string | undefined; mode: string; origin: string }[] = []
  const { origin, stop } = await listenOnLoopback(() => (request, response) => {
    if (request.method === 'GET') {
      response.setHeader('set-cookie', [
        '__Host-lk=1; Path=/; Secure; HttpOnly',
        'p=2; Path=/other',
      ])
      return void response.end(signInPage)
    }
    let body = ''
    request.on('data', (chunk) => (body += String(chunk)))
    request.on('end', () => {
      const { cookie, origin = '' } = request.headers
      seen.push({ body, cookie, origin, mode: String(request.headers['sec-fetch-mode']) })
      response.writeHead(302, { location: 'http://127.0.0.1:9/callback?code=1' }).end()
    })
  })
  t.after(stop)
  const browser = createCookieBrowser(undefined, { stopAt: (url) => url.pathname === '/callback' })

  await browser.open(`${origin}/sign-in`)
  const page = await browser.submit({ fields: { email: 'a@b.c', stay: false }, button: 'approve' })

  assert.equal(page.url, 'http://127.0.0.1:9/callback?code=1')
  assert.equal(page.isStopped, true)
  const body = 'token=a%22b%27c&email=a%40b.c&note=x+%3C+y&role=b&decision=approve'
  assert.deepEqual(seen, [{ body, cookie: '__Host-lk=1', mode: 'navigate', origin }])
})

test('the jar keeps to the rules of browsers', () => {
  const kept = (url: string, line: string) => {
    const jar = createCookieJar()
    jar.store(new URL(url), [line])
    return jar.all().length
  }
  assert.equal(kept('http://shop.example/', 'a=1; Secure'), 0)
  assert.equal(kept('http://localhost:1/', 'a=1; Secure'), 1)
  assert.equal(kept('https://a.example/', '__Host-a=1; Secure; Path=/x'), 0)
  assert.equal(kept('https://a.example/', '__Host-a=1; Secure; Path=/; Domain=a.example'), 0)
  assert.equal(kept('https://a.example/', '__Host-a=1; Secure; Path=/'), 1)
  assert.equal(kept('https://a.example/', 'a=1; Domain=b.example'), 0)
  assert.equal(kept('https://a.example/', 'a=1; Max-Age=0'), 0)
  assert.equal(kept('https://a.example/', 'a=1; SameSite=None'), 0)
})

test('strict and lax cookies stay at home on a cross-site navigation', () => {
  const jar = createCookieJar()
  const url = new URL('https://a.example/x/y')
  jar.store(url, ['s=1; SameSite=Strict; Path=/', 'l=2; SameSite=Lax; Path=/x'])
  assert.equal(jar.headerFor(url, { method: 'GET', isCrossSite: false }), 'l=2; s=1')
  assert.equal(jar.headerFor(url, { method: 'GET', isCrossSite: true }), 'l=2')
  assert.equal(jar.headerFor(url, { method: 'POST', isCrossSite: true }), undefined)
  const elsewhere = new URL('https://a.example/xy')
  assert.equal(jar.headerFor(elsewhere, { method: 'GET', isCrossSite: false }), 's=1')
})
