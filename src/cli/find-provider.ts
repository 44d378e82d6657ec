// A provider of a tenant as somebody at the machine calls it.
import { operatorAtTheMachine } from '../people/principal.ts'
import type { Provider } from '../people/providers.ts'
import type { Tenant } from '../people/tenants.ts'
import type { Workshop } from '../workshop.ts'

/** All of a tenant: it has no more than a page of them. */
export async function listProviders(
  { providers }: Pick<Workshop, 'providers'>,
  tenant: Tenant,
): Promise<readonly Provider[]> {
  return (await providers.list(operatorAtTheMachine(tenant))).items
}

/** By slug, id or name. Throws an Error in plain words for one that is not there. */
export async function findProvider(
  workshop: Pick<Workshop, 'providers'>,
  tenant: Tenant,
  which: string,
): Promise<Provider> {
  const all = await listProviders(workshop, tenant)
  const found =
    all.find(({ slug, id }) => slug === which || id === which) ??
    all.find(({ name }) => name === which)
  if (found !== undefined) return found
  throw new Error(`There is no provider ${which} in ${tenant.slug}.`)
}
