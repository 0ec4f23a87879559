import type { Connection } from './connection.ts';

/** A setting of a record of open-iscsi: its name and its value. */
export type RecordSetting = readonly [name: string, value: string];

/**
 * The settings of a node record for a connection. They are written into the record's file (0600), never given to
 * iscsiadm: its arguments are seen by every user of the machine.
 */
export function nodeSettings(connection: Connection): RecordSetting[] {
  const digest = connection.digests ? 'CRC32C,None' : 'None';
  const settings: RecordSetting[] = [
    // The hub logs in when it wants the LUN; nobody else is to, at boot least of all.
    ['node.startup', 'manual'],
    ['node.leading_login', 'No'],
    ['node.session.timeo.replacement_timeout', String(Math.ceil(connection.stallMs / 1000))],
    // The target has just let our own initiator in; the default of eight attempts takes two minutes.
    ['node.session.initial_login_retry_max', '2'],
    ['node.conn[0].iscsi.HeaderDigest', digest],
    ['node.conn[0].iscsi.DataDigest', digest],
    ['node.session.auth.authmethod', connection.chap === undefined ? 'None' : 'CHAP'],
  ];
  if (connection.chap !== undefined) {
    settings.push(['node.session.auth.username', connection.chap.username]);
    settings.push(['node.session.auth.password', connection.chap.password]);
  }
  return settings;
}

/**
 * A record's text with some settings changed, or added before its end.
 * @throws RangeError for a value that does not fit on a line
 */
export function applySettings(record: string, settings: readonly RecordSetting[]): string {
  const end = '# END RECORD';
  const lines = record.split('\n');
  for (const [name, value] of settings) {
    if (/[\n\0]/.test(value)) throw new RangeError(`The value of ${name} has a line break.`);
    const line = `${name} = ${value}`;
    const at = lines.findIndex((other) => other.split('=', 1)[0]?.trim() === name);
    const last = lines.indexOf(end);
    if (at >= 0) lines[at] = line;
    else lines.splice(last >= 0 ? last : lines.length, 0, line);
  }
  return lines.join('\n');
}
