import { mkdir, open, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { runProcess } from '../support/process.ts';
import { RandomContent } from '../support/random-file.ts';
import { makeTempDir, type TempDir } from '../support/temp-dir.ts';
import { openTerminal, type Terminal } from '../support/tmux.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const GIB = 1024 ** 3;
const notes = 'hub:/workstation/notes.txt';
/** The last line of the screen is a prompt again, after a command above it. */
const prompt = /\n\$$/;

const resources = new AsyncDisposableStack();
/** What a reader of the documentation sees: titles with screens. */
const recorded: [title: string, screen: string][] = [];
let home: TempDir;
let hub: Terminal;
let user: Terminal;
let url: string;
let adminKey: string;

beforeAll(async () => {
  home = resources.use(await makeTempDir('first-use'));
  await mkdir(home.join('bin'));
  await symlink(path.join(repository, 'apps/cli/src/main.ts'), home.join('bin/holdfast'));
  await new RandomContent('first use', GIB).writeTo(home.join('disk.img'));
  await writeFile(home.join('notes.txt'), 'The first version.\n');
  const node = path.join(repository, 'node_modules/node/bin');
  const env = {
    HOME: home.path,
    PATH: [home.join('bin'), node, '/usr/bin', '/bin'].join(':'),
    LANG: 'C.UTF-8',
    TZ: 'UTC',
    HOLDFAST_HOSTNAME: 'workstation',
  };
  hub = resources.use(await openTerminal({ env, cwd: home.path }));
  user = resources.use(await openTerminal({ env, cwd: home.path }));
  url = `http://127.0.0.1:${await freePort()}`;
});

afterAll(async () => {
  await resources.disposeAsync();
  const target = process.env['HOLDFAST_RECORD_SCREENS'];
  if (target !== undefined) await writeFile(target, asDocument());
});

/** Each step goes on where the one before has ended, as a person does. */
describe('somebody who uses it for the first time', () => {
  it('starts a hub, which shows its key', async () => {
    await hub.enter(`holdfast serve --data hub --port ${new URL(url).port}`);
    const { match, screen } = await hub.waitFor(/shown this once:\s+(\S+)\s[^]*Ctrl-C stops it/);
    adminKey = match[1] ?? '';
    expect(screen).toContain(`Holdfast is ready at ${url}`);
    record('Start a hub', screen);
  });

  it('logs in without showing the key', async () => {
    await user.enter('holdfast login');
    await user.waitFor(/URL of the hub/);
    await user.enter(url);
    await user.waitFor(/API key/);
    await user.enter(adminKey);
    const { screen } = await user.waitFor(/Logged in to [^]*\n\$$/);
    expect(screen).not.toContain(adminKey);
    expect((await stat(home.join('.config/holdfast/profiles.json'))).mode & 0o777).toBe(0o600);
    record('Log in', screen);
  });

  it('sends a file of 1 GiB, stops it in the middle and goes on', async () => {
    await type('holdfast put disk.img default:/images/');
    const bar = /disk\.img\s+\[#+-+\]\s+(?:3\d|[4-9]\d)%.*\/s.*ETA.*chunk (\d+)\/\d+/;
    const { match, screen: half } = await user.waitFor(bar);
    await user.press('C-c');
    const { screen: stopped } = await user.waitFor(prompt);
    expect(stopped).toContain('holdfast put disk.img default:/images/');
    record('Send a file', half);
    record('Stop it by Ctrl-C', stopped);

    await type('holdfast put disk.img default:/images/');
    const { match: later, screen } = await user.waitFor(/disk\.img.*chunk (\d+)\/\d+/);
    expect(Number(later[1])).toBeGreaterThanOrEqual(Number(match[1]));
    record('Run it again: it goes on', screen);
    const { screen: sent } = await user.waitFor(/1 GiB, SHA-256 \w+, verified[^]*\n\$$/);
    expect(sent).toMatch(/sent: .*disk\.img/);
    record('It is there, and verified', sent);
  });

  it('lists it', async () => {
    const screen = await done('holdfast ls -l default:/images');
    expect(screen).toMatch(/disk\.img/);
    record('List', screen);
  });

  it('gets it back as somebody else, who may only read', async () => {
    await done('holdfast keys create reader --scope files:read --scope backends:read > reader.key');
    const login = await done(`holdfast login reader --url ${url} --key-file reader.key`);
    expect(login).toContain('the profile is "reader"');
    await type('holdfast --profile reader get default:/images/disk.img copy.img');
    const { screen } = await user.waitFor(/fetched: [^]*\n\$$/);
    await runProcess('cmp', [home.join('disk.img'), home.join('copy.img')]);
    await done('export HOLDFAST_PROFILE=default');
    record('Get it back with another profile', screen);
  });

  it('is told that all is well', async () => {
    const screen = await done('holdfast verify default:/images; echo "exit code $?"');
    expect(screen).toMatch(/^verified 1 file.*: all as they were stored$/m);
    expect(screen).toMatch(/^exit code 0$/m);
    record('Verify', screen);
  });

  it('keeps two versions of a file of this machine', async () => {
    await done(`holdfast put notes.txt ${notes}`);
    await writeFile(home.join('notes.txt'), 'The second version.\n');
    await done(`holdfast put notes.txt ${notes}`);
    const screen = await done(`holdfast history ${notes}`);
    expect(screen).toMatch(/^\s*2 .*\n\s*1 /m);
    record('Two versions of a file', screen);
  });

  it('finds the byte that the disk has changed', async () => {
    await breakByteOf('The second version.\n');
    const screen = await done('holdfast verify hub:/workstation; echo "exit code $?"');
    expect(screen).toMatch(/notes\.txt/);
    expect(screen).toMatch(/1 drifted/);
    expect(screen).toMatch(/^exit code 5$/m);
    record('A byte on the disk of the hub has changed', screen);
  });

  it('restores the older version and reads it', async () => {
    await done(`holdfast restore --version 1 ${notes}`);
    const screen = await done(`holdfast history ${notes}; holdfast cat ${notes}`);
    expect(screen).toMatch(/^The first version\.$/m);
    record('The older version is the newest one now', screen);
  });

  it('stops the hub, which ends in order', async () => {
    await hub.press('C-c');
    await hub.waitFor(prompt);
    await hub.enter('echo "exit code $?"');
    const { match } = await hub.waitFor(/^exit code (\d+)$/m);
    expect(match[1]).toBe('0');
  });
});

/** Types a command on an empty screen, so that nothing seen before is taken for its answer. */
async function type(command: string): Promise<void> {
  await user.enter('clear');
  await user.waitFor(/^\$$/);
  await user.enter(command);
}

/** @returns the screen when the prompt is back */
async function done(command: string): Promise<string> {
  await type(command);
  const { screen } = await user.waitFor(prompt);
  return screen;
}

/** Turns a byte of the hub's one copy of a content over, as a failing disk does: nobody writes the file. */
async function breakByteOf(content: string): Promise<void> {
  const { stdout } = await runProcess('grep', ['-rlxF', content.trim(), home.join('hub')]);
  const [file = '', ...others] = stdout.trim().split('\n');
  expect(others).toEqual([]);
  const { atime, mtime } = await stat(file);
  const handle = await open(file, 'r+');
  await handle.write('!', 0);
  await handle.close();
  await utimes(file, atime, mtime);
}

function record(title: string, screen: string): void {
  recorded.push([title, screen]);
}

/** The screens as a document, without what differs from machine to machine. */
function asDocument(): string {
  const screens = recorded.map(([title, screen]) => {
    const text = screen
      .replaceAll(home.path, '/home/ann')
      .replaceAll(url, 'http://127.0.0.1:8080')
      .replaceAll(`--port ${new URL(url).port}`, '--port 8080')
      .replaceAll(adminKey, '(the key)');
    return `## ${title}\n\n\`\`\`text\n${text.trim()}\n\`\`\`\n`;
  });
  const start =
    '# The first use\n\nThe screens of one session in a terminal, as test/system/first-use.test.ts records them.\n';
  return [start, ...screens].join('\n');
}
