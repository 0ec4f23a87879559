import type { HubClient } from '@holdfast/client/client';
import type { Backend } from '@holdfast/contract/backends';
import { Remote } from '../paths/remote.ts';

/** A backend by its name, then by its identifier. @throws HoldfastError `backend_not_found` */
export async function backendNamed(client: HubClient, name: string, signal: AbortSignal): Promise<Backend> {
  const id = await new Remote(client).backendId(name);
  return await client.call('getBackend', { params: { id }, signal });
}
