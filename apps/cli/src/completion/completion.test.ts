import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { startProcess } from '@holdfast/test-support/process';
import { commands, groups } from '../commands.ts';
import { globalOptions } from '../global-options.ts';
import { makeCli } from '../testing/cli.ts';
import type { CliUnderTest } from '../testing/cli.ts';
import { completionOf } from './words.ts';

let hub: HubUnderTest;
let cli: CliUnderTest;
let env: Record<string, string>;

beforeAll(async () => {
  hub = await startHub();
  cli = await makeCli(hub);
  const source = join(cli.home, 'seed');
  await mkdir(join(source, 'images'), { recursive: true });
  await writeFile(join(source, 'images', 'disk one.img'), 'x');
  await writeFile(join(source, 'images', 'disc'), 'x');
  await writeFile(join(source, 'motd'), 'x');
  await cli.json('sync', ['sync', source, 'default:/']);
  await cli.json('sync', ['sync', source, 'hub:/desk/srv']);
  // The shells call the command by its name.
  const bin = join(cli.home, 'bin');
  await mkdir(bin);
  const root = resolve(import.meta.dirname, '../../../..');
  const node = join(root, 'node_modules/node/bin/node');
  await writeFile(
    join(bin, 'holdfast'),
    `#!/bin/sh\nexec '${node}' '${join(root, 'apps/cli/src/main.ts')}' "$@"\n`,
  );
  await chmod(join(bin, 'holdfast'), 0o755);
  env = {
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    HOME: cli.home,
    HOLDFAST_CONFIG_DIR: join(cli.home, 'config'),
    HOLDFAST_URL: hub.url,
    HOLDFAST_API_KEY: hub.adminKey,
  };
});

afterAll(async () => {
  await cli?.[Symbol.asyncDispose]();
  await hub?.[Symbol.asyncDispose]();
});

async function shell(program: string, args: readonly string[]): Promise<string[]> {
  await using child = await startProcess(program, args, { cwd: join(cli.home, 'seed'), env });
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${child.stderr()}`);
  return child
    .stdout()
    .split('\n')
    .filter((line) => line !== '');
}

/** What bash would offer for a line; `words` as its COMP_WORDS has them, parted at colons. */
async function inBash(line: string, words: readonly string[]): Promise<string[]> {
  const script = `source <(holdfast completion bash); COMP_LINE=$1; COMP_POINT=\${#1}; shift; COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1)); _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return await shell('bash', ['-c', script, 'bash', line, ...words]);
}

const language = { commands, groups, globalOptions };
const texts = (...words: string[]): string[] =>
  completionOf(words, language).candidates.map(({ text }) => text);

test('every command and every option of the table is offered where it can come', () => {
  for (const { name, options, isHidden, passThrough } of commands) {
    const words = name.split(' ');
    const last = words.at(-1) ?? '';
    expect(texts(...words.slice(0, -1), last.slice(0, 1)).includes(last)).toBe(isHidden !== true);
    if (passThrough === true) continue;
    const offered = texts(...words, '--');
    for (const { flags } of [...(options ?? []), ...globalOptions]) {
      expect(offered).toContain(/--[a-z\d-]+/.exec(flags)?.[0]);
    }
  }
});

test('what an argument or an option can be is known from its place', () => {
  const lookUp = (...words: string[]): string => completionOf(words, language).lookUp;
  expect(texts('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  expect(texts('--url', 'x', 'back')).toEqual(['backends']);
  expect(texts('backends', 'a')).toEqual(['add']);
  expect(lookUp('ls', '-l', '')).toBe('remote');
  expect(lookUp('sync', '--exclude', 'x', '')).toBe('both');
  expect(lookUp('--profile', '')).toBe('profiles');
  expect(lookUp('backends', 'rm', '')).toBe('backends');
  expect(lookUp('find', '--like', '')).toBe('local');
  expect(lookUp('stat', '--', '-x', '')).toBe('remote');
});

test('bash completes commands, options, backends and remote paths, with the colon and blanks of a name', async () => {
  expect(await inBash('holdfast syn', ['holdfast', 'syn'])).toEqual(['sync']);
  expect(await inBash('holdfast ls --rec', ['holdfast', 'ls', '--rec'])).toEqual(['--recursive']);
  expect(await inBash('holdfast ls d', ['holdfast', 'ls', 'd'])).toEqual(['default:/']);
  expect(await inBash('holdfast ls default:/', ['holdfast', 'ls', 'default', ':', '/'])).toEqual([
    '/images/',
    '/motd',
  ]);
  expect(
    await inBash('holdfast ls default:/images/disk', ['holdfast', 'ls', 'default', ':', '/images/disk']),
  ).toEqual([String.raw`/images/disk\ one.img`]);
  expect(await inBash('holdfast ls hub:/d', ['holdfast', 'ls', 'hub', ':', '/d'])).toEqual(['/desk/']);
  expect(await inBash('holdfast ls hub:/desk/srv/m', ['holdfast', 'ls', 'hub', ':', '/desk/srv/m'])).toEqual([
    '/desk/srv/motd',
  ]);
  expect(await inBash('holdfast put mo', ['holdfast', 'put', 'mo'])).toEqual(['motd']);
});

test('fish completes from the same table, with summaries', async () => {
  const offered = async (line: string): Promise<string[]> => {
    const script = `holdfast completion fish | source; complete -C '${line}'`;
    return await shell('fish', ['--no-config', '-c', script]);
  };
  expect(await offered('holdfast syn')).toEqual(['sync\tmake a folder like another one']);
  expect(await offered('holdfast ls default:/im')).toEqual(['default:/images/\tdirectory']);
  expect(await offered('holdfast put mo')).toContain('motd');
});

test('zsh takes the script and completes by it', async () => {
  const script = `autoload -Uz compinit && compinit -D -u; source <(holdfast completion zsh)
    compadd() { local name=$@[-1]; print -rl -- \${(P)name} }
    _files() { print files }
    words=(holdfast ls default:/im); CURRENT=3; _holdfast; words=(holdfast put hu); _holdfast; print -r -- $_comps[holdfast]`;
  expect(await shell('zsh', ['-f', '-c', script])).toEqual([
    'default:/images/',
    'hub:/',
    'files',
    '_holdfast',
  ]);
});

test('without a hub completion offers what it knows, and says nothing of it', async () => {
  const away = { env: { HOLDFAST_URL: 'http://127.0.0.1:1', HOLDFAST_API_KEY: 'k'.repeat(40) } };
  expect(await cli.run(['__complete', 'bash', 'ls', ''], away)).toEqual({
    code: 0,
    stdout: 'hub:/\n',
    stderr: '',
  });
  expect((await cli.run(['__complete', 'bash', 'comp'], away)).stdout).toBe('completion\n');
  expect((await cli.run(['--help'])).stdout).not.toContain('__complete');
});

test('--json has the script', async () => {
  const { script } = await cli.json('completion', ['completion', 'zsh']);
  expect(script).toMatch(/^#compdef holdfast\n/);
});
