// What tests of the gateway read out of an answer.

/** What is said in it; it is JSON that the test itself looks through. */
// oxlint-disable-next-line typescript/no-explicit-any -- each test says which members it expects
export async function said(response: Promise<Response> | Response): Promise<any> {
  return (await response).json()
}
