import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { Node } from '@holdfast/catalog/nodes';
import type { Operation } from '@holdfast/catalog/operations';
import { HoldfastError } from '@holdfast/contract/errors';
import type { BootLunReport, BootLunRequest } from '@holdfast/contract/luns';
import type { Jobs } from '../jobs/jobs.ts';
import type { Library } from '../library/library.ts';
import type { Operations, RunningOperation } from '../operations.ts';

const PROGRESS_EVERY_MS = 1000;

export interface BootLunWrite {
  node: Node;
  backendId: string;
  path: BackendPath;
  request: BootLunRequest;
  actor: string;
}

/** Images on raw LUNs that nodes boot from. */
export class BootLuns {
  readonly #catalog: Catalog;
  readonly #library: Library;
  readonly #operations: Operations;
  readonly #jobs: Jobs;
  readonly #hubId: string;

  constructor(options: {
    catalog: Catalog;
    library: Library;
    operations: Operations;
    jobs: Jobs;
    hubId: string;
  }) {
    this.#catalog = options.catalog;
    this.#library = options.library;
    this.#operations = options.operations;
    this.#jobs = options.jobs;
    this.#hubId = options.hubId;
  }

  /** Starts writing; the operation's details become the report. @throws HoldfastError when the image is not there */
  async start(write: BootLunWrite): Promise<Operation> {
    const { backendId, path, request, actor, node } = write;
    const { entry } = await this.#library.describe(backendId, path);
    if (entry.type !== 'file')
      throw new HoldfastError('is_a_directory', `${path} is a folder, and this needs an image.`);
    const report: BootLunReport = {
      kind: 'boot_lun',
      node_id: node.id,
      target: request.target,
      lun: request.lun,
      bytes_total: entry.size,
      bytes_written: 0,
      bytes_verified: 0,
      sha256: null,
      sanboot_uri: null,
    };
    const running = await this.#operations.start({
      operation: 'sync',
      actor,
      backendId,
      file: path,
      details: { ...report },
    });
    this.#jobs.spawn(`image of ${path}`, (signal) => this.#run(running, write, report, signal));
    return running.row;
  }

  async #run(
    running: RunningOperation,
    write: BootLunWrite,
    report: BootLunReport,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.#write(running, write, report, signal);
    } catch (error) {
      await running.finish({ bytes: report.bytes_written, details: { ...report }, error });
      return;
    }
    await running.finish({ bytes: report.bytes_written, details: { ...report } });
  }

  async #write(
    running: RunningOperation,
    { node, backendId, path, request }: BootLunWrite,
    report: BootLunReport,
    signal: AbortSignal,
  ): Promise<void> {
    const { file, sha256 } = await this.#library.open(backendId, path, signal);
    await using image = file;
    let notedAt = Date.now();
    const { backend_id: _backend, image_path: _path, ...access } = request;
    const { writeLunImage } = await import('@holdfast/storage/iscsi');
    const written = await writeLunImage(image.stream(undefined, { signal }), {
      ...access,
      ownerId: this.#hubId,
      sizeBytes: image.entry.size,
      signal,
      ...(sha256 === null ? {} : { expectedSha256: sha256 }),
      onProgress: (step, bytes) => {
        report[step === 'written' ? 'bytes_written' : 'bytes_verified'] = bytes;
        if (Date.now() - notedAt < PROGRESS_EVERY_MS) return;
        notedAt = Date.now();
        void running.progress({ bytes: report.bytes_written, details: { ...report } });
      },
    });
    report.sha256 = written.sha256;
    report.bytes_verified = written.bytes;
    report.sanboot_uri = written.sanbootUri;
    await this.#assign(node, written.sanbootUri);
  }

  /** The node boots the LUN from now on. */
  async #assign(node: Node, bootUrl: string): Promise<void> {
    const name = `boot LUN of ${node.name ?? node.mac}`.slice(0, 100);
    const known = (await this.#catalog.workflows.list()).find((workflow) => workflow.name === name);
    const workflow =
      known === undefined
        ? await this.#catalog.workflows.insert({
            name,
            installMethod: 'sanboot',
            bootUrl,
            architecture: 'x86_64',
            bootMode: 'uefi',
          })
        : await this.#catalog.workflows.update(known.id, { installMethod: 'sanboot', bootUrl });
    await this.#catalog.nodes.update(node.id, { workflowId: workflow?.id ?? null, state: 'pending' });
  }
}
