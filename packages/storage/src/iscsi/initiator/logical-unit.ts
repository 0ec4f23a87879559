import type { HoldfastError } from '@holdfast/contract/errors';
import { setTimeout as delay } from 'node:timers/promises';
import {
  blockLimitsPage,
  deviceIdentificationPage,
  inquiry,
  modeSense,
  parseBlockLimits,
  parseCapacity,
  parseDeviceIdentification,
  parseInquiry,
  parseWriteProtection,
  readCapacity,
  testUnitReady,
} from './block-commands.ts';
import type { Capacity, Inquiry } from './block-commands.ts';
import { misconfigured } from './login-failure.ts';
import { encodeLun } from './scsi-command.ts';
import type { ScsiCommand } from './scsi-command.ts';
import { isUnsupported, parseSense, remedyFor, scsiFailure, scsiStatus, senseKey } from './sense.ts';
import type { Sense } from './sense.ts';
import type { IscsiSession } from './session.ts';

const immediateRetries = 8;
const delayedRetries = 40;
const retryDelayMs = 250;
const defaultTimeoutMs = 30_000;
/** Making gigabytes durable takes longer than moving one block. */
const slowFactor = 4;
const diskType = 0;
const noDeviceType = 0x1f;

/** What a LUN says about itself. */
export interface LunFacts extends Inquiry, Capacity {
  /** Designators of VPD page 0x83: the same text for the same LUN, whoever asks. Empty when it has none. */
  identity: string;
  /** Most blocks of one command, when there is a limit. */
  maxBlocks: number | undefined;
}

/** The result of a command that a target may not know. */
export type Maybe<T> = { known: true; value: T } | { known: false };

/** A LUN behind one session. */
export class LogicalUnit {
  readonly session: IscsiSession;
  readonly #lun: number;
  readonly #address: Buffer;
  readonly #timeoutMs: number;
  /**
   * Called when the target reports that the device was reset or its reservation changed hands (SPC-4 annex D, 29 and
   * 2A): what was agreed on before may not hold any more.
   */
  onUpheaval: (() => void) | undefined;

  /** @param commandTimeoutMs after which a command is aborted */
  constructor(session: IscsiSession, lun: number, commandTimeoutMs = defaultTimeoutMs) {
    this.session = session;
    this.#timeoutMs = commandTimeoutMs;
    this.#lun = lun;
    this.#address = encodeLun(lun);
  }

  /**
   * Runs a command to its good end; tries again where the target only asks for patience.
   * @returns the data that came in
   * @throws HoldfastError `backend_unavailable`, `read_only`, `storage_full`, `not_supported`, `cancelled`
   */
  async run(command: ScsiCommand, signal?: AbortSignal): Promise<Buffer> {
    const result = await this.#attempt(command, signal);
    if ('dataIn' in result) return result.dataIn;
    throw scsiFailure(command.label, result.status, result.sense);
  }

  /** As `run`, but a command or a page that the target does not know is no failure. */
  async ask<T>(command: ScsiCommand, parse: (data: Buffer) => T, signal?: AbortSignal): Promise<Maybe<T>> {
    const result = await this.#attempt(command, signal);
    if ('dataIn' in result) return { known: true, value: parse(result.dataIn) };
    if (isUnsupported(result.sense)) return { known: false };
    throw scsiFailure(command.label, result.status, result.sense);
  }

  async #attempt(
    command: ScsiCommand,
    signal: AbortSignal | undefined,
  ): Promise<{ dataIn: Buffer } | { status: number; sense: Sense | undefined }> {
    const timeoutMs = this.#timeoutMs * (command.isSlow === true ? slowFactor : 1);
    for (let soon = 0, later = 0; ;) {
      const outcome = await this.session.execute(this.#address, command, { signal, timeoutMs });
      if (outcome.status === scsiStatus.good) return { dataIn: outcome.dataIn };
      const sense = parseSense(outcome.sense);
      if (sense?.key === senseKey.recovered) return { dataIn: outcome.dataIn };
      if (sense?.key === senseKey.unitAttention && isUpheaval(sense.code)) this.onUpheaval?.();
      const remedy = remedyFor(outcome.status, sense);
      if (remedy === 'again' && soon < immediateRetries) soon += 1;
      else if (remedy === 'later' && later < delayedRetries) {
        later += 1;
        await delay(retryDelayMs, undefined, { signal }).catch(() => undefined);
      } else return { status: outcome.status, sense };
    }
  }

  /**
   * Asks the LUN what it is.
   * @throws HoldfastError `backend_unavailable` with the field `config.lun` when there is none, or it is no disk
   */
  async describe(signal?: AbortSignal): Promise<LunFacts> {
    const about = parseInquiry(await this.run(inquiry(), signal));
    if (about.deviceType === noDeviceType) {
      throw misconfigured('config.lun', `The iSCSI target has no LUN ${this.#lun}. Check the field lun.`);
    }
    if (about.deviceType !== diskType) {
      const text = `LUN ${this.#lun} of the iSCSI target is no disk (device type ${about.deviceType}). Check the field lun.`;
      throw misconfigured('config.lun', text);
    }
    await this.run(testUnitReady(), signal);
    const identity = await this.ask(inquiry(deviceIdentificationPage), parseDeviceIdentification, signal);
    const limit = await this.ask(inquiry(blockLimitsPage), parseBlockLimits, signal);
    const capacity = parseCapacity(await this.run(readCapacity(), signal));
    return {
      ...about,
      ...capacity,
      identity: identity.known ? identity.value : '',
      maxBlocks: limit.known ? limit.value : undefined,
    };
  }

  /** Whether the LUN takes no writes. To be asked under the reservation, if there is one: others get a conflict. */
  async isWriteProtected(signal?: AbortSignal): Promise<boolean> {
    const protection = await this.ask(modeSense(), parseWriteProtection, signal);
    return protection.known && protection.value;
  }
}

function isUpheaval(code: number): boolean {
  return code >> 8 === 0x29 || code === 0x2a_03 || code === 0x2a_04 || code === 0x2a_05;
}

/** The error for a target that cannot keep a second hub off. */
export function noReservations(): HoldfastError {
  return misconfigured(
    'config.target',
    'The iSCSI target knows no persistent reservations, so nothing would keep a second hub from corrupting the LUN. ' +
      'Use a target that has them (LIO, tgt, SCST and storage arrays do).',
  );
}
