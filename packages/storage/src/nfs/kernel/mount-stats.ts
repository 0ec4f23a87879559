/** Where the kernel counts the answers of a connection, after the kind of transport (xs_tcp_print_stats). */
const tcpReceives = 7;

/**
 * How many answers the kernel has had from the server of a mount, over all its connections by TCP; undefined when there
 * is no such mount, or it is none of NFS over TCP. Reading it never waits for the server.
 * @param mountStats the text of /proc/self/mountstats
 */
export function answersOfMount(mountStats: string, mountPoint: string): number | undefined {
  const entries = mountStats.split(/^device /m).filter((entry) => mountPointOf(entry) === mountPoint);
  const connections = [...(entries.at(-1) ?? '').matchAll(/^\s*xprt:\s+(tcp .*)$/gm)];
  const counts = connections.map(([, fields = '']) => Number(fields.split(' ')[tcpReceives]));
  return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0);
}

/** From `server:/path mounted on /mnt/x with fstype nfs4 …`; spaces and the like are written as octal numbers. */
function mountPointOf(entry: string): string | undefined {
  const [, escaped] = / mounted on (\S+) with fstype /.exec(entry) ?? [];
  return escaped?.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
