import { HoldfastError } from '@holdfast/contract/errors';
import { counted } from '../output/format.ts';

/** What is known before the first change. */
export interface DeletePlan {
  /** Files that the source has. */
  sourceFiles: number;
  /** Files that the destination has. */
  destinationFiles: number;
  /** Files that would be removed from the destination. */
  removals: number;
}

/**
 * Refuses what looks like a mistake rather than a wish: an empty source (an unmounted disk), or the removal of more than
 * `maxDelete` files (without it: of more than half of the destination).
 * @throws HoldfastError `conflict` saying what would have happened and how to mean it
 */
export function requireSaneRemoval(plan: DeletePlan, maxDelete: number | undefined): void {
  const { sourceFiles, destinationFiles, removals } = plan;
  if (removals === 0) return;
  const how = 'Nothing was changed. Look at it by --dry-run; give --force when it is meant.';
  if (sourceFiles === 0) {
    throw new HoldfastError(
      'conflict',
      `The source has no files, and --delete would remove all ${counted(removals, 'file')} of the destination. ${how}`,
    );
  }
  if (maxDelete !== undefined && removals > maxDelete) {
    throw new HoldfastError(
      'conflict',
      `--delete would remove ${counted(removals, 'file')}, more than the ${maxDelete} of --max-delete. ${how}`,
    );
  }
  if (maxDelete === undefined && removals * 2 > destinationFiles) {
    throw new HoldfastError(
      'conflict',
      `--delete would remove ${removals} of the ${counted(destinationFiles, 'file')} of the destination, more than half. ${how}`,
    );
  }
}
