import { HoldfastError } from '@holdfast/contract/errors';
import { connectionSettings, lunKey, mountConnection } from './config.ts';
import type { ConnectionSettings, IscsiConfig, IscsiSurroundings } from './config.ts';
import { chooseMode } from './kernel/choose-mode.ts';
import { randomIsid } from './initiator/isid.ts';
import { LogicalUnit } from './initiator/logical-unit.ts';
import { IscsiSession } from './initiator/session.ts';
import { DEFAULT_STALL_MS } from './config.ts';
import type { StackOptions } from './stack/live-stack.ts';
import { shareStack } from './stack/shared-stacks.ts';

export interface PrepareIscsiOptions extends IscsiSurroundings {
  /** Makes a file system on the LUN, which must be blank. Default false: a blank LUN is refused. */
  format?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** What a stack for a configuration is made with. */
export async function stackOptions(
  config: IscsiConfig,
  settings: ConnectionSettings,
  surroundings: IscsiSurroundings,
): Promise<StackOptions> {
  return {
    stateDir: surroundings.stateDir,
    name: `iscsi-${lunKey(settings)}`,
    start: {
      mode: await chooseMode(config.mode),
      filesystem: config.filesystem ?? 'ext4',
      connection: mountConnection(settings, surroundings),
    },
    ...(surroundings.logger === undefined ? {} : { logger: surroundings.logger }),
  };
}

/**
 * Checks a new configuration: logs in with it, mounts the LUN (or takes part in the mount of this process), and adopts
 * the volume marker on it, or writes one.
 *
 * @returns the id of the volume, to be kept with the backend
 * @throws HoldfastError `validation_failed` with the field of the configuration that is at fault; `backend_unavailable`,
 *   `storage_full`, `read_only`, `cancelled`
 */
export async function prepareIscsi(
  config: IscsiConfig,
  options: PrepareIscsiOptions,
): Promise<{ volumeId: string }> {
  const { signal, format = false } = options;
  const settings = connectionSettings(config, options);
  try {
    // By a session of its own: where the LUN is mounted already, the new credentials would never be tried.
    await tryLogin(settings, options);
    const stack = await stackOptions(config, settings, options);
    await using share = await shareStack(`${options.ownerId} ${stack.name}`, stack);
    const caller = await share.stack.caller({ signal, format });
    return await caller.call('prepare', {}, { signal, label: 'Marking the volume' });
  } catch (error) {
    throw asValidation(error);
  }
}

async function tryLogin(settings: ConnectionSettings, options: PrepareIscsiOptions): Promise<void> {
  const { signal, stallMs = DEFAULT_STALL_MS } = options;
  await using session = await IscsiSession.open({
    ...settings,
    isid: randomIsid(),
    timeoutMs: stallMs,
    signal,
  });
  await new LogicalUnit(session, settings.lun).describe(signal);
}

/** What the user can mend in the configuration is a matter of validation. */
function asValidation(error: unknown): unknown {
  if (!(error instanceof HoldfastError) || error.errors === undefined) return error;
  if (error.code === 'validation_failed') return error;
  return new HoldfastError('validation_failed', error.message, { errors: error.errors });
}
