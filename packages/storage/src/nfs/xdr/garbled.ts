/**
 * Bytes from the wire that do not say what the protocol allows: damaged on the way, or sent by something else than an
 * NFS server. Never shown to a person; whoever asked asks again over a new connection, and gives up after a few times.
 */
export class GarbledReply extends Error {
  override readonly name = 'GarbledReply';
}
