import { get, type IncomingMessage } from 'node:http';

/**
 * GETs a URL on a connection of its own and resolves when the header is there; the body flows only as it is read.
 * Throws when the connection breaks before that.
 */
export async function openResponse(
  url: string,
  headers: Record<string, string> = {},
): Promise<IncomingMessage> {
  return await new Promise((resolve, reject) => {
    get(url, { agent: false, headers }, resolve).once('error', reject);
  });
}
