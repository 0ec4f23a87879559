import { createClient } from '../client.ts';
import { sha256Of } from '../digest.ts';
import { upload } from '../upload.ts';
import { blobSource } from '../upload-source.ts';

/** What a browser does with the client: sends a file, reads it back, and tells what the hub said and what came back. */
export async function uploadAndReadBack(url: string, apiKey: string, size: number): Promise<string> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >>> 8) * 17 + (at >>> 16)) & 255;
  const client = createClient({ url, apiKey });
  let phases = '';
  const { sha256 } = await upload(client, blobSource(new File([bytes], 'from-a-browser.bin')), {
    to: { hostname: 'browser', filepath: '/from-a-browser.bin' },
    onProgress: ({ phase, chunks }) => {
      phases = `${phase} ${chunks}`;
    },
  });
  const answer = await client.raw('downloadContent', { params: { sha256 } });
  const back = await sha256Of(new Uint8Array(await answer.arrayBuffer()));
  return JSON.stringify({ sha256, back: back.hex, phases });
}
