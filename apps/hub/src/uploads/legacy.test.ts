import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { endpoints } from '@holdfast/contract/endpoints';
import { problemOf, startTestHub, targetOf, type TestHub } from '../testing/test-hub.ts';
import { refusalOf, sampleFile, UploadClient, type SampleFile } from '../testing/upload-client.ts';

const announcementSchema = z.object({
  upload_required: z.boolean(),
  upload_url: z.string().nullable(),
  id: z.string().nullable(),
});

async function announcement(answer: Response): Promise<z.output<typeof announcementSchema>> {
  return announcementSchema.parse(await answer.json());
}

describe('the older pair', () => {
  let hub: TestHub;
  let client: UploadClient;
  beforeAll(async () => {
    hub = await startTestHub();
    client = new UploadClient(hub);
  });
  afterAll(() => hub[Symbol.asyncDispose]());

  const announce = (
    file: SampleFile,
    fields: Record<string, unknown> = {},
    key?: string,
  ): Promise<Response> =>
    hub.response(endpoints.putFile, {
      body: {
        filepath: file.filepath,
        hostname: file.hostname,
        ip_address: '192.0.2.7',
        sha256: file.sha256,
        file_size: file.bytes.length,
        ...fields,
      },
      ...(key === undefined ? {} : { key }),
    });
  const target = (file: SampleFile): string =>
    targetOf(
      endpoints.uploadLegacyFile,
      { sha256: file.sha256 },
      { hostname: file.hostname, filepath: file.filepath },
    );
  const send = (file: SampleFile, body: RequestInit['body'] = file.bytes): Promise<Response> =>
    hub.request(target(file), { method: 'POST', body, duplex: 'half' });
  const staged = (): Promise<string[]> => readdir(join(hub.root, '.holdfast/uploads'));

  it('announces, then sends raw bytes to the URL that it is told', async () => {
    const file = sampleFile(100_000, { filepath: '/etc/ü & co?.conf' });
    const announced = await announce(file, { file_mode: 0o100644, file_mtime: 1_700_000_000.25 });
    expect(announced.status).toBe(200);
    const told = await announcement(announced);
    expect(told).toMatchObject({ upload_required: true, id: null });
    expect(told.upload_url).toContain(`/api/upload_file/${file.sha256}?hostname=`);
    const answer = await hub.request(told.upload_url ?? '', { method: 'POST', body: file.bytes });
    expect(await answer.json()).toMatchObject({
      sha256: file.sha256,
      file_size: 100_000,
      status: 'uploaded',
    });
    expect(await client.content(file.sha256)).toEqual(file.bytes);
    const { files } = await hub.call(endpoints.listHostFiles, { query: { sha256: file.sha256 } });
    expect(files).toMatchObject([
      { filepath: file.filepath, mode: 0o644, mtime: '2023-11-14T22:13:20.250Z' },
    ]);
    expect(await staged()).toEqual([]);
  });

  it('sends a form whose length nobody knows', async () => {
    const file = sampleFile(200_000);
    const form = new FormData();
    form.set('file', new Blob([file.bytes]), 'whatever');
    expect((await send(file, form)).status).toBe(200);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it.each([0, 1])('sends %i bytes', async (size) => {
    const file = sampleFile(size, { filepath: `/of-${size}-bytes` });
    expect((await send(file)).status).toBe(200);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('needs no bytes for content within reach, and asks for them otherwise', async () => {
    const file = sampleFile(5000);
    expect((await send(file)).status).toBe(200);
    const copy = { ...file, hostname: 'build-8' };
    const known = await announcement(await announce(copy));
    expect(known).toMatchObject({ upload_required: false, upload_url: null });
    expect(known.id).toEqual(expect.any(String));
    const { token } = await hub.issueKey({ scopes: ['files:write'] });
    const unknown = await announcement(await announce(copy, {}, token));
    expect(unknown).toMatchObject({ upload_required: true, id: null });
  });

  it('keeps nothing of bytes that are not the announced ones', async () => {
    const file = sampleFile(5000);
    const refused = await send(file, Buffer.alloc(5000, 'other'));
    expect(await refusalOf(refused)).toEqual({ status: 422, code: 'checksum_mismatch', fields: [] });
    expect(await staged()).toEqual([]);
    const read = hub.response(endpoints.downloadContent, { params: { sha256: file.sha256 } });
    expect((await read).status).toBe(404);
  });

  it('keeps nothing of a form that is cut', async () => {
    const file = sampleFile(5000);
    const body = '--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of the byt';
    const cut = await hub.request(target(file), {
      method: 'POST',
      body,
      headers: { 'content-type': 'multipart/form-data; boundary=edge' },
    });
    expect(await refusalOf(cut)).toMatchObject({ status: 400, code: 'incomplete_body' });
    expect(await staged()).toEqual([]);
    expect((await hub.call(endpoints.listUploads, { query: { status: 'initiated' } })).total).toBe(0);
  });

  it('refuses what the quota has no room for when it is announced', async () => {
    const body = { name: crypto.randomUUID(), scopes: ['files:write'], quota_bytes: 10, quota_files: 1 };
    const { data } = await hub.call(endpoints.createKey, { body });
    const refused = await refusalOf(announce(sampleFile(11), {}, data.token));
    expect(refused).toEqual({ status: 413, code: 'quota_exceeded', fields: ['file_size'] });
    await new UploadClient(hub, data.token).upload(sampleFile(10), 10);
    expect(await refusalOf(announce(sampleFile(10), {}, data.token))).toMatchObject({ status: 413 });
    const huge = await refusalOf(announce(sampleFile(10), { file_size: 5 * 1024 ** 4 }));
    expect(huge).toEqual({ status: 507, code: 'storage_full', fields: ['file_size'] });
  });

  it('says that it is deprecated and what follows it, on refusals too', async () => {
    const answers = [
      await announce(sampleFile(1)),
      await send(sampleFile(1)),
      await send({ ...sampleFile(1), sha256: '0'.repeat(64) }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 422]);
    for (const answer of answers) {
      expect(answer.headers.get('deprecation')).toMatch(/^@\d+$/);
      expect(answer.headers.get('link')).toContain('rel="successor-version"');
      expect(answer.headers.get('link')).toContain('</docs#initiateUpload>; rel="deprecation"');
    }
    const page = await (await hub.request('/docs', { key: null })).text();
    expect(page).toContain('id="initiateUpload"');
  });

  it.each([
    ['no hostname', { hostname: undefined }, 'hostname'],
    ['a path with NUL', { filepath: 'a\0' }, 'filepath'],
    ['a time that no calendar has', { file_mtime: 1e300 }, 'file_mtime'],
  ])('refuses %s, naming the field', async (_, fields, field) => {
    const { status, errors = [] } = await problemOf(await announce(sampleFile(1), fields));
    expect(status).toBe(422);
    expect(errors.map((problem) => problem.field)).toContain(field);
  });
});
