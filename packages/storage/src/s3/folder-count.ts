/** Counts the folders that keys tell of. Keys must come in their order: then all keys of a folder are neighbours. */
export class FolderCount {
  count = 0;
  #open: string[] = [];

  /** @param name a key below the folder whose subfolders are counted */
  see(name: string): void {
    const folders = name.split('/').slice(0, -1);
    let shared = 0;
    while (shared < folders.length && folders[shared] === this.#open[shared]) shared += 1;
    this.count += folders.length - shared;
    this.#open = folders;
  }
}
