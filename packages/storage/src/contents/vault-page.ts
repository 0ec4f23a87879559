import type { ContentPage, StoredContent } from '../contents.ts';
import { isContentOf, isVaultFolder, vaultFolderOf } from './content-names.ts';

/** How the folders of a vault are read. */
export interface VaultFolders {
  /** Names in the vault itself; none when it was never used. */
  folders(): Promise<string[]>;
  /** Names in one of its folders; none when that is gone. */
  names(folder: string): Promise<string[]>;
  /** Null for what is gone by now, or is no file. */
  look(sha256: string): Promise<StoredContent | null>;
}

/** One page of a vault in the order of the digests; names that are no contents are passed over. */
export async function readVaultPage(
  vault: VaultFolders,
  { after = '', limit }: { after?: string; limit: number },
): Promise<ContentPage> {
  const contents: StoredContent[] = [];
  const first = vaultFolderOf(after);
  const folders = (await vault.folders()).filter((name) => isVaultFolder(name) && name >= first).toSorted();
  for (const folder of folders) {
    const names = (await vault.names(folder)).filter((name) => isContentOf(folder, name) && name > after);
    for (const sha256 of names.toSorted()) {
      const content = await vault.look(sha256);
      if (content === null) continue;
      const last = contents.at(-1);
      if (contents.length === limit && last !== undefined) return { contents, next: last.sha256 };
      contents.push(content);
    }
  }
  return { contents };
}
