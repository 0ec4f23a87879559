import { HoldfastError } from '@holdfast/contract/errors';
import type { SessionParameters } from './negotiation.ts';
import { dataOut, garbled, NO_TAG, scsiCommand } from './pdu.ts';
import type { OutgoingPdu, SequenceNumbers, TargetPdu } from './pdu.ts';
import type { ScsiCommand, ScsiOutcome } from './scsi-command.ts';

type Of<Type extends TargetPdu['type']> = Extract<TargetPdu, { type: Type }>;

/** One SCSI command on its way: what has been sent and received of it. Without I/O: PDUs in, PDUs out. */
export class ScsiTask {
  readonly tag: number;
  readonly cmdSn: number;
  readonly command: ScsiCommand;
  readonly #lun: Uint8Array;
  readonly #parameters: SessionParameters;
  readonly #dataOut: Uint8Array;
  readonly #dataIn: Buffer;
  #received = 0;
  #dataSn = 0;
  #r2tSn = 0;

  constructor(
    command: ScsiCommand,
    task: { tag: number; cmdSn: number; lun: Uint8Array; parameters: SessionParameters },
  ) {
    this.command = command;
    this.tag = task.tag;
    this.cmdSn = task.cmdSn;
    this.#lun = task.lun;
    this.#parameters = task.parameters;
    this.#dataOut = command.dataOut ?? new Uint8Array(0);
    this.#dataIn = Buffer.allocUnsafeSlow(command.dataInBytes ?? 0);
  }

  /** The command itself with its immediate data, and the unsolicited data that may go with it (RFC 7143 §4.2.5.2). */
  *begin(sequence: SequenceNumbers): Generator<OutgoingPdu> {
    const { initialR2t, immediateData, firstBurstBytes, maxSendBytes } = this.#parameters;
    const total = this.#dataOut.byteLength;
    const burst = Math.min(total, firstBurstBytes);
    const immediate = immediateData ? Math.min(burst, maxSendBytes) : 0;
    const unsolicited = initialR2t ? immediate : burst;
    const direction = total > 0 ? 'write' : this.#dataIn.byteLength > 0 ? 'read' : 'none';
    yield scsiCommand({
      lun: this.#lun,
      tag: this.tag,
      direction,
      final: unsolicited === immediate,
      expectedLength: total > 0 ? total : this.#dataIn.byteLength,
      cdb: this.command.cdb,
      sequence,
      data: this.#dataOut.subarray(0, immediate),
    });
    yield* this.#sendData(immediate, unsolicited, NO_TAG, sequence.expStatSn);
  }

  /** The data that a ready-to-transfer asks for. @throws HoldfastError `backend_unavailable` when it asks for nonsense */
  *transfer(r2t: Of<'r2t'>, expStatSn: number): Generator<OutgoingPdu> {
    const { bufferOffset, desiredLength } = r2t;
    if (r2t.r2tSn !== this.#r2tSn) throw garbled('a request for data out of order');
    this.#r2tSn += 1;
    const end = bufferOffset + desiredLength;
    const isSound = desiredLength > 0 && desiredLength <= this.#parameters.maxBurstBytes;
    if (!isSound || end > this.#dataOut.byteLength || r2t.targetTag === NO_TAG) {
      throw garbled('a request for data that the command does not have');
    }
    yield* this.#sendData(bufferOffset, end, r2t.targetTag, expStatSn);
  }

  /** Takes data in; gives the outcome when the command ends with it. */
  receive(pdu: Of<'data-in'>): ScsiOutcome | undefined {
    // DataPDUInOrder and DataSequenceInOrder are Yes: data comes without gaps.
    if (pdu.dataSn !== this.#dataSn || pdu.bufferOffset !== this.#received)
      throw garbled('data out of order');
    this.#dataSn += 1;
    if (this.#received + pdu.data.byteLength > this.#dataIn.byteLength)
      throw garbled('more data than was asked for');
    pdu.data.copy(this.#dataIn, this.#received);
    this.#received += pdu.data.byteLength;
    if (pdu.status === undefined) return undefined;
    return this.#outcome(pdu.status, Buffer.alloc(0), pdu.residual);
  }

  /** The outcome by a response of its own. */
  end(pdu: Of<'scsi-response'>): ScsiOutcome {
    if (pdu.response !== 0) {
      throw new HoldfastError(
        'backend_unavailable',
        `${this.command.label} failed: the iSCSI target could not carry the command out (response ${pdu.response}).`,
      );
    }
    const senseBytes = pdu.data.byteLength >= 2 ? pdu.data.readUInt16BE(0) : 0;
    if (senseBytes > Math.max(0, pdu.data.byteLength - 2))
      throw garbled('sense data longer than its message');
    return this.#outcome(pdu.status, pdu.data.subarray(2, 2 + senseBytes), pdu.isOverflow ? 0 : pdu.residual);
  }

  #outcome(status: number, sense: Buffer, residual: number): ScsiOutcome {
    const isRead = this.#dataIn.byteLength > 0;
    if (status === 0 && isRead && this.#received + residual !== this.#dataIn.byteLength) {
      throw garbled(
        `${this.#received} bytes of data where ${this.#dataIn.byteLength - residual} were announced`,
      );
    }
    if (status === 0 && !isRead && residual > 0) throw garbled('a write that ended early and is called good');
    return { status, dataIn: this.#dataIn.subarray(0, this.#received), sense };
  }

  *#sendData(start: number, end: number, targetTag: number, expStatSn: number): Generator<OutgoingPdu> {
    const { maxSendBytes } = this.#parameters;
    for (let offset = start, dataSn = 0; offset < end; offset += maxSendBytes, dataSn += 1) {
      const stop = Math.min(offset + maxSendBytes, end);
      yield dataOut({
        lun: this.#lun,
        tag: this.tag,
        targetTag,
        final: stop === end,
        expStatSn,
        dataSn,
        bufferOffset: offset,
        data: this.#dataOut.subarray(offset, stop),
      });
    }
  }
}
