import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { downloadFile } from '@holdfast/client/node/download-file';
import { uploadFile } from '@holdfast/client/node/upload-file';
import type { CommandContext } from '../context.ts';
import { Progress } from '../output/progress.ts';
import { backendLocation, remoteLocation } from '../paths/expand.ts';
import { lastSegment, locationText } from '../paths/location.ts';
import { destinationPath, downloadOf, Remote } from '../paths/remote.ts';
import { TransferReport } from '../transfer/report.ts';
import { uploadDestination } from '../transfer/send-file.ts';

/** Copies a file: on the hub within a backend, else through this machine, verified on both ways. */
export async function run(context: CommandContext): Promise<void> {
  const { args, options, signal, stateDir } = context;
  const source = remoteLocation(args[0] ?? '');
  const given = backendLocation(args[1] ?? '');
  const to = { ...given, path: destinationPath(given.path, lastSegment(source.path)) };
  const client = await context.hub();
  const remote = new Remote(client);
  const entry = await remote.stat(source);
  const what = downloadOf(entry);
  const id = await remote.backendId(to.backend);
  const isDryRun = options.flag('dryRun');
  const overwrite = options.flag('overwrite');
  const report = new TransferReport(context, isDryRun);
  const names = { source: locationText(source), destination: locationText(to) };
  if (isDryRun)
    report.add({ ...names, bytes: entry.size, sha256: entry.sha256, status: 'planned', verified: false });
  else if (entry.backendId === id) {
    const body = { source_path: source.path, destination_path: to.path, overwrite };
    const copy = await client.call('copyFile', { params: { id }, body });
    report.add({
      ...names,
      bytes: copy.size,
      sha256: copy.checksum_sha256,
      status: 'stored',
      verified: true,
    });
  } else {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const folder = await mkdtemp(join(stateDir, 'copy-'));
    try {
      using progress = new Progress(context.output);
      const label = lastSegment(source.path);
      const local = join(folder, 'file');
      const fetched = await downloadFile(client, what, local, {
        signal,
        onProgress: (state) => progress.update({ label, ...state, phase: 'fetching' }),
      });
      const sent = await uploadFile(client, local, {
        to: await uploadDestination(remote, to, overwrite),
        stateDir: folder,
        sha256: fetched.sha256,
        signal,
        onProgress: (state) => progress.update({ label, ...state, phase: 'sending' }),
      });
      report.add({
        ...names,
        bytes: sent.file_size,
        sha256: sent.sha256,
        status: 'stored',
        verified: fetched.verified,
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  report.tell('cp', 'copied');
}
