import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { ChunkAdvice, ContentArea, PlaceOptions, StagedUpload } from '../contents.ts';

/** Runs one step of an area: whatever has to be there before it, and whatever is to be done when it fails. */
export type RunOnArea = <T>(step: (area: ContentArea) => Promise<T>) => Promise<T>;

/**
 * A vault behind something that has to be got ready first: every step of it, and of its uploads, goes through `run`.
 * @param advice of the area, which is not there yet
 */
export function contentsThrough(run: RunOnArea, advice: ChunkAdvice): ContentArea {
  return {
    staging: {
      advice,
      create: (upload) => run((area) => area.staging.create(upload)),
      resume: (key) => run(async (area) => uploadThrough(run, await area.staging.resume(key))),
      list: () => run((area) => area.staging.list()),
    },
    stat: (sha256, options) => run((area) => area.stat(sha256, options)),
    open: (sha256, options) => run((area) => area.open(sha256, options)),
    store: (source, options) => run((area) => area.store(source, options)),
    storeMany: (contents, options) => run((area) => area.storeMany(contents, options)),
    remove: (sha256) => run((area) => area.remove(sha256)),
    list: (options) => run((area) => area.list(options)),
  };
}

function uploadThrough(run: RunOnArea, upload: StagedUpload): StagedUpload {
  const place = upload.place?.bind(upload);
  return {
    receive: (position, source, options) => run(() => upload.receive(position, source, options)),
    prefixGrew: (end) => upload.prefixGrew(end),
    get hashed() {
      return upload.hashed;
    },
    seal: (size, pieces, options) => run(() => upload.seal(size, pieces, options)),
    publish: (sha256, size) => run(() => upload.publish(sha256, size)),
    ...(place === undefined
      ? {}
      : { place: (path: BackendPath, options: PlaceOptions) => run(() => place(path, options)) }),
    stream: (options) => upload.stream(options),
    discard: () => run(() => upload.discard()),
    [Symbol.asyncDispose]: () => upload[Symbol.asyncDispose](),
  };
}
