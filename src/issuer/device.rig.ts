// The steps of a device and of its person against the rig's authorization server. For tests only.
import assert from 'node:assert/strict'
import { Secret } from '../base/secret.ts'
import type { SessionPrincipal } from '../people/principal.ts'
import type { DeviceAnswer } from './device-authorization.ts'
import type { DeviceStep, Entered } from './device.ts'
import type { FormRequest } from './form-request.ts'
import { form, register } from './issuer.rig.ts'
import type { Changes, Rig, RigClient } from './issuer.rig.ts'
import { deviceCodeGrant } from './metadata.ts'

/** Registers a client for devices; public unless said otherwise. */
export function registerForDevices(
  rig: Rig,
  metadata: Readonly<Record<string, unknown>> = {},
): Promise<RigClient> {
  return register(rig, {
    client_name: 'A television',
    redirect_uris: [],
    grant_types: [deviceCodeGrant, 'refresh_token'],
    ...metadata,
  })
}

/** Begins on a device. */
export function start(
  { issuer, tenant }: Rig,
  client: RigClient,
  changes: Changes = {},
): Promise<DeviceAnswer> {
  const fields = { client_id: client.id, client_secret: client.secret, ...changes }
  const caller = { address: '203.0.113.9', agent: 'television/1.0' }
  return issuer.startDevice(tenant, form(fields), caller)
}

/** The form by which a device asks for its tokens. */
export function pollForm(
  client: RigClient,
  { device_code }: Pick<DeviceAnswer, 'device_code'>,
  changes: Changes = {},
): FormRequest {
  return form({
    grant_type: deviceCodeGrant,
    client_id: client.id,
    client_secret: client.secret,
    device_code,
    ...changes,
  })
}

/** One browser of the person who is signed in with this session. */
export function browserOf({ sessionDigest }: SessionPrincipal): Secret {
  return new Secret(`browser of ${sessionDigest}`)
}

/** Types a code, in the session's own browser and from nowhere in particular unless said otherwise. */
export function enter(
  { issuer }: Rig,
  session: SessionPrincipal,
  typed: string,
  { browser = browserOf(session), address }: { browser?: Secret; address?: string } = {},
): Promise<Entered> {
  return issuer.devices.enter(session, { typed, browser, address })
}

/** Types the right code and gives the question. */
export async function ask(
  rig: Rig,
  session: SessionPrincipal,
  { user_code }: DeviceAnswer,
): Promise<Extract<DeviceStep, { kind: 'question' }>> {
  const entered = await enter(rig, session, user_code)
  assert.ok(entered.kind === 'taken', JSON.stringify(entered))
  const step = await rig.issuer.devices.look(session, entered.id)
  assert.ok(step?.kind === 'question')
  return step
}

/** Types the right code and decides. */
export async function decide(
  rig: Rig,
  session: SessionPrincipal,
  answer: DeviceAnswer,
  decision = 'approve',
): Promise<void> {
  const { view, formToken } = await ask(rig, session, answer)
  await rig.issuer.devices.decide(session, view.requestId, { decision, formToken })
}
