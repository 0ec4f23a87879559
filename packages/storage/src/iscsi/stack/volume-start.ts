import { z } from 'zod';
import { exporterStart } from './exporter-messages.ts';

/** What it takes to bring the file system of a LUN up. */
export const volumeStart = z.object({
  mode: z.enum(['kernel', 'direct']),
  filesystem: z.enum(['ext4', 'xfs']),
  /** Make a file system on a blank LUN. */
  format: z.boolean(),
  connection: exporterStart.omit({ socketPath: true }),
});
export type VolumeStart = z.output<typeof volumeStart>;
