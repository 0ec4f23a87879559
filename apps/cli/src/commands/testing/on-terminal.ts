import path from 'node:path';
import { startProcess } from '@holdfast/test-support/process';

const repository = path.resolve(import.meta.dirname, '../../../../..');
const nodeBinary = path.join(repository, 'node_modules/node/bin/node');
const cliMain = path.join(repository, 'apps/cli/src/main.ts');

/** Types each answer when the text before it has appeared; prints what was on the screen; ends as the command does. */
const typist = `
import json, os, pty, sys
steps = json.loads(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
screen = b''
seen = 0
def read():
    global screen
    try:
        data = os.read(fd, 65536)
    except OSError:
        data = b''
    screen += data
    return data != b''
for wanted, answer in steps:
    while (at := screen.find(wanted.encode(), seen)) < 0:
        if not read():
            sys.exit('ended before: ' + wanted + '\\n' + screen.decode())
    seen = at + len(wanted.encode())
    os.write(fd, answer.encode())
while read():
    pass
_, status = os.waitpid(pid, 0)
sys.stdout.write(screen.decode())
sys.exit(os.waitstatus_to_exitcode(status))
`;

/**
 * Runs the command on a pseudo-terminal of its own.
 * @param steps what to wait for on the screen, and what to type then
 */
export async function runOnTerminal(
  hub: { url: string; adminKey: string },
  home: string,
  args: readonly string[],
  steps: readonly (readonly [wanted: string, answer: string])[],
): Promise<{ code: number | null; screen: string }> {
  const command = ['-c', typist, JSON.stringify(steps), nodeBinary, cliMain, ...args];
  await using running = await startProcess('/usr/bin/python3', command, {
    cwd: home,
    env: {
      HOME: home,
      HOLDFAST_CONFIG_DIR: path.join(home, 'config'),
      HOLDFAST_STATE_DIR: path.join(home, 'state'),
      HOLDFAST_PROFILE: undefined,
      HOLDFAST_URL: hub.url,
      HOLDFAST_API_KEY: hub.adminKey,
      TERM: 'xterm',
      NO_COLOR: '1',
      FORCE_COLOR: undefined,
    },
  });
  const { code } = await running.exited;
  return { code, screen: running.stdout() + running.stderr() };
}
