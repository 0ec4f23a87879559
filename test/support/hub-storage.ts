import { request } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { text } from 'node:stream/consumers';
import { type Backend, backend, localConfig } from '@holdfast/contract/backends';
import { type StorageFile, storageFile } from '@holdfast/contract/files';
import { type Problem, problem } from '@holdfast/contract/problem';
import { type SettingsPatch, settings } from '@holdfast/contract/settings';
import type { HubUnderTest } from './hub.ts';

/** The local backend that boot files come from, and the folder where it keeps them. */
export async function bootBackend(hub: HubUnderTest): Promise<{ id: string; root: string }> {
  const id = await bootBackendId(hub);
  const { config } = await hub.data(backend, `/api/v1/storage/backends/${id}`);
  return { id, root: localConfig.parse(config).root };
}

/** The id of the boot backend, of whatever type. */
export async function bootBackendId(hub: HubUnderTest): Promise<string> {
  const { default_boot_backend_id: id } = await hub.data(settings, '/api/v1/system/settings');
  if (id === null) throw new Error('The hub has no boot backend.');
  return id;
}

/** Makes a local backend on an existing folder. */
export async function createLocalBackend(hub: HubUnderTest, name: string, root: string): Promise<Backend> {
  const body = { name, type: 'local', config: { root } };
  return await hub.data(backend, '/api/v1/storage/backends', json('POST', body));
}

/** Changes settings of the hub. */
export async function changeSettings(hub: HubUnderTest, changes: SettingsPatch): Promise<void> {
  await hub.data(settings, '/api/v1/system/settings', json('PATCH', changes));
}

/** A request with a JSON body. */
export function json(method: string, body: unknown): RequestInit {
  return { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

/** The URL path of a backend's files, with the file's path as its query. */
export function filesPath(backendId: string, filePath: string): string {
  return `/api/v1/storage/backends/${backendId}/files?path=${encodeURIComponent(filePath)}`;
}

/** Uploads a small body and resolves to the answer, whatever its status. */
export async function upload(
  hub: HubUnderTest,
  backendId: string,
  filePath: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Response> {
  return await hub.api(filesPath(backendId, filePath), {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream', ...headers },
    body,
  });
}

/** Uploads a small body and throws unless the hub stored it. */
export async function store(
  hub: HubUnderTest,
  backendId: string,
  filePath: string,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<StorageFile> {
  const init = { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body };
  return await hub.data(storageFile, filesPath(backendId, filePath), init);
}

/**
 * Uploads a stream of known size in one request, with backpressure from the hub up to the source.
 * Resolves to status and body of the answer, also of one that comes early. Throws when the connection breaks without one.
 */
export async function uploadStream(
  hub: HubUnderTest,
  backendId: string,
  filePath: string,
  source: Readable,
  size: number,
): Promise<{ status: number; body: string }> {
  const outgoing = request(hub.url + filesPath(backendId, filePath), {
    method: 'POST',
    agent: false,
    headers: {
      authorization: `Bearer ${hub.adminKey}`,
      'content-type': 'application/octet-stream',
      'content-length': size,
    },
  });
  const answer = new Promise<{ status: number; body: string }>((resolve, reject) => {
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      // A hub that refuses a body does not take the rest of it: the answer counts, and not that sending breaks.
      outgoing.off('error', reject).on('error', () => {});
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
  });
  const sending = pipeline(source, outgoing).catch(async (error: unknown) => {
    await answer.catch(() => {
      throw error;
    });
  });
  const [result] = await Promise.all([answer, sending]);
  return result;
}

/** Parses an error answer; throws when it is none or not of the problem+json type. */
export function parseProblem(contentType: string | null | undefined, body: string): Problem {
  if (!contentType?.startsWith('application/problem+json')) {
    throw new Error(
      `Expected application/problem+json, got ${contentType ?? 'no type'}: ${body.slice(0, 500)}`,
    );
  }
  return problem.parse(JSON.parse(body));
}

/** The problem of an error response. */
export async function problemOf(response: Response): Promise<Problem> {
  return parseProblem(response.headers.get('content-type'), await response.text());
}
