import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { vaultStats } from '@holdfast/contract/host-files';
import { upload } from '@holdfast/contract/uploads';
import { z } from 'zod';
import { filesWith, parsed } from './chunked-uploads.ts';
import type { HubUnderTest } from './hub.ts';
import { bootBackend } from './hub-storage.ts';

const uploadPage = z.object({ uploads: z.array(upload) });
const openStates = new Set(['initiated', 'uploading', 'completing']);

/**
 * What lies around although nothing needs it, each in a sentence: staged bytes without a session, half files, and differences
 * between the vault and the catalog. For a hub with one local backend, at a moment when it does nothing.
 */
export async function leftovers(hub: HubUnderTest): Promise<string[]> {
  const { root } = await bootBackend(hub);
  // The folder as the hub sees it, which may have mounts of its own.
  const reserved = path.join('/proc', String(hub.pid), 'root', root, '.holdfast');
  const entries = await readdir(reserved, { recursive: true, withFileTypes: true });
  const filesIn = (folder: string): string[] => {
    const within = path.join(reserved, folder);
    return entries
      .filter((entry) => entry.isFile() && `${entry.parentPath}/`.startsWith(`${within}/`))
      .map(({ name }) => name);
  };
  const open = await openUploads(hub);
  const vault = await hub.data(vaultStats, '/api/v1/vault');
  const kept = filesIn('vault');

  const found = filesIn('uploads')
    .filter((id) => !open.has(id))
    .map((id) => `${id} is staged without a session`);
  found.push(...filesIn('staging').map((name) => `${name} is a half file`));
  if (vault.contents !== kept.length)
    found.push(`the vault has ${kept.length} files, the catalog ${vault.contents} contents`);
  for (const sha256 of kept)
    if ((await filesWith(hub, sha256)).total === 0) found.push(`nothing refers to ${sha256} in the vault`);
  return found;
}

/** The ids of all sessions that have not ended. */
async function openUploads(hub: HubUnderTest): Promise<Set<string>> {
  const { uploads } = await parsed(uploadPage, hub.api('/api/uploads?limit=1000'));
  return new Set(uploads.filter(({ status }) => openStates.has(status)).map(({ upload_id }) => upload_id));
}
