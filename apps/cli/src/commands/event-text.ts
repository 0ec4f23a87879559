import type { Event } from '@holdfast/contract/events';
import type { Transfer } from '@holdfast/contract/transfers';
import { humanBytes, humanSeconds, localTime, printable } from '../output/format.ts';

/** An event as a line for a person: time, type, and what matters of it. */
export function eventLine(event: Event): string {
  return `${localTime(event.at)}  ${event.type.padEnd(18)}  ${printable(about(event))}`.trimEnd();
}

/** How far a transfer is. */
function transferText(transfer: Transfer): string {
  const { bytes, client, eta_seconds: eta, path, rate, size } = transfer;
  const total = size === null ? '' : ` of ${humanBytes(size)}`;
  const left = eta === null ? '' : `, ${humanSeconds(eta)} left`;
  return `${client} ${path} ${humanBytes(bytes)}${total}, ${humanBytes(rate)}/s${left}`;
}

function about(event: Event): string {
  switch (event.type) {
    case 'transfer.started':
    case 'transfer.progress':
      return transferText(event.transfer);
    case 'transfer.finished':
      return `${transferText({ ...event.transfer, eta_seconds: null })}, ${event.outcome}`;
    case 'upload.started':
      return uploadPlace(event);
    case 'upload.progress':
      return `${uploadPlace(event)} ${humanBytes(event.received_bytes)}, chunk ${event.uploaded_chunks} of ${event.total_chunks}`;
    case 'upload.completed':
      return `${uploadPlace(event)} ${event.sha256}${event.deduplicated ? ', was there already' : ''}`;
    case 'upload.failed':
      return `${uploadPlace(event)} ${event.error.message}`;
    case 'backend.status':
      return [event.name, event.status, event.status_message ?? ''].join(' ');
    case 'file.changed':
      return `${event.backend_id}:${event.path} ${humanBytes(event.size)}`;
    case 'file.deleted':
      return `${event.backend_id}:${event.path}`;
    case 'content.damaged':
      return `${event.sha256} ${event.problem}`;
    case 'node.seen':
      return `${event.mac} ${event.ip ?? ''}${event.created ? ' (new)' : ''}`;
    case 'node.booted':
      return `${event.mac} ${event.state}`;
    case 'node.installed':
      return event.mac;
    case 'operation.finished':
      return `${event.operation} ${event.file ?? ''} ${event.success ? 'done' : (event.error?.message ?? 'failed')}`;
    // The type is known to be the last one: the compiler says so when another comes.
    default:
      return event.fields.join(', ');
  }
}

function uploadPlace(event: Extract<Event, { upload_id: string }>): string {
  return event.destination_path ?? `hub:/${event.hostname ?? ''}${event.filepath ?? ''}`;
}
