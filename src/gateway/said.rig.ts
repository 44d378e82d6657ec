// What tests of the gateway read out of an answer.

/** What is said in it, alone or as the one message of a stream; it is JSON that the test itself looks through. */
// oxlint-disable-next-line typescript/no-explicit-any -- each test says which members it expects
export async function said(response: Promise<Response> | Response): Promise<any> {
  const text = await (await response).text()
  const event = /^data: (?<json>\{.*)$/m.exec(text)?.groups?.['json']
  return JSON.parse(event ?? text)
}
