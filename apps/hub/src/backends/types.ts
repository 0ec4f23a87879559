import { localConfig } from '@holdfast/contract/backends';
import type { JsonObject } from '@holdfast/contract/json';
import { HoldfastError } from '@holdfast/contract/errors';
import { createLocalBackend, prepareLocalRoot } from '@holdfast/storage/local';
import type { StorageBackend } from '@holdfast/storage/backend';

/** What a backend type needs to come to life from its row. */
export interface BackendMaterial {
  config: JsonObject;
  /** Secret fields, opened; never logged. */
  secrets: Record<string, string>;
  volumeId: string;
  /** This hub's id: marks what it stages. */
  hubId: string;
}

export interface BackendTypeDefinition {
  /** Fields of `config` that are sealed in the catalog and shown only as `has_<field>`. */
  secretFields: readonly string[];
  /** Checks a new or changed configuration against the world and marks the volume; resolves to its id. */
  prepare(config: JsonObject, options: { create: boolean }): Promise<{ volumeId: string }>;
  open(material: BackendMaterial): StorageBackend;
}

const local: BackendTypeDefinition = {
  secretFields: [],
  prepare: (config, options) =>
    prepareLocalRoot({ root: localConfig.parse(config).root, create: options.create }),
  open: ({ config, volumeId, hubId }) =>
    createLocalBackend({ root: localConfig.parse(config).root, volumeId, ownerId: hubId }),
};

const definitions: Partial<Record<string, BackendTypeDefinition>> = { local };

/** @throws HoldfastError `validation_failed` for a type that this version does not have */
export function definitionOf(type: string): BackendTypeDefinition {
  const definition = definitions[type];
  if (definition !== undefined) return definition;
  throw new HoldfastError(
    'validation_failed',
    `This hub has no backends of type ${type}; it has ${Object.keys(definitions).join(', ')}.`,
    {
      errors: [{ field: 'type', message: 'unknown' }],
    },
  );
}
