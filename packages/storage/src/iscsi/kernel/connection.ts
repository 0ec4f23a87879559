import type { ExporterStart } from '../stack/exporter-messages.ts';

/** What a session with a LUN needs. */
export type Connection = Omit<ExporterStart, 'socketPath'>;
