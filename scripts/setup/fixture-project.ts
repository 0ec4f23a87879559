import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';

const scripts = dirname(import.meta.dirname);

/** What a program did: its exit code or signal, and all that it wrote. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** The environment of a person at a terminal: nothing of the npm that runs these tests. */
function plainEnvironment(extra: Record<string, string>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^npm_|^(NODE_ENV|CI|INIT_CWD|VITEST.*)$/i.test(name),
  );
  return { ...Object.fromEntries(inherited), ...extra };
}

async function ended(child: ChildProcess): Promise<Ended> {
  if (child.stdout === null || child.stderr === null)
    throw new Error('The output of the program must be piped.');
  const outputs = Promise.all([text(child.stdout), text(child.stderr)]);
  await once(child, 'close');
  const [stdout, stderr] = await outputs;
  return { code: child.exitCode, signal: child.signalCode, stdout, stderr };
}

/**
 * A small project in a temporary folder that is set up by the real scripts and the real npm, without a network: its
 * package "node" is a local archive whose install script links the Node of the tests, as the real one brings a binary.
 */
export class FixtureProject implements Disposable {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Makes the project with its lock file; nothing is installed yet. */
  static async create(): Promise<FixtureProject> {
    const root = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-setup-')));
    const project = new FixtureProject(root);
    cpSync(join(scripts, 'run.cjs'), join(root, 'scripts/run.cjs'));
    cpSync(join(scripts, 'end-with-runner.cjs'), join(root, 'scripts/end-with-runner.cjs'));
    cpSync(join(scripts, 'setup'), join(root, 'scripts/setup'), { recursive: true });
    await project.addNodePackage();
    project.write(
      'apps/hub/package.json',
      JSON.stringify({ name: '@fixture/hub', version: '1.0.0', private: true }),
    );
    project.write('apps/hub/node-flags.json', '[]');
    project.writeManifest({ node: 'file:archives/node.tgz' });
    await project.lock();
    return project;
  }

  write(path: string, content: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), content);
  }

  writeManifest(devDependencies: Record<string, string>): void {
    const manifest = {
      name: 'fixture',
      version: '1.0.0',
      private: true,
      packageManager: 'npm@11.21.2',
      workspaces: ['apps/*'],
      devDependencies,
      allowScripts: { node: true },
    };
    this.write('package.json', JSON.stringify(manifest));
  }

  /** The program that `start` runs. */
  writeMain(source: string): void {
    this.write('apps/hub/src/main.ts', source);
  }

  async lock(): Promise<void> {
    await this.npm('install', '--package-lock-only', '--ignore-scripts', '--no-audit', '--no-fund');
  }

  async npm(...args: string[]): Promise<void> {
    const result = await ended(this.spawn('npm', args));
    if (result.code !== 0) throw new Error(`npm ${args.join(' ')} failed: ${result.stderr}`);
  }

  /** Starts `node scripts/run.cjs` in a process group of its own. */
  start(args: string[], env: Record<string, string> = {}): ChildProcess {
    return this.spawn(process.execPath, [join(this.root, 'scripts/run.cjs'), ...args], env);
  }

  run(args: string[], env: Record<string, string> = {}): Promise<Ended> {
    return ended(this.start(args, env));
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  private spawn(command: string, args: string[], env: Record<string, string> = {}): ChildProcess {
    return spawn(command, args, {
      cwd: this.root,
      env: plainEnvironment(env),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
  }

  /** Packs a package as `archives/<name>.tgz`, for `file:` dependencies. */
  async addArchive(
    manifest: { name: string; version: string },
    files: Record<string, string> = {},
  ): Promise<void> {
    const folder = `archives/${manifest.name}`;
    this.write(`${folder}/package/package.json`, JSON.stringify(manifest));
    for (const [path, content] of Object.entries(files)) this.write(`${folder}/package/${path}`, content);
    const packed = await ended(this.spawn('tar', ['-czf', `${folder}.tgz`, '-C', folder, 'package']));
    if (packed.code !== 0) throw new Error(`tar failed: ${packed.stderr}`);
  }

  private async addNodePackage(): Promise<void> {
    const manifest = {
      name: 'node',
      version: process.versions.node,
      bin: { node: 'bin/node' },
      scripts: { preinstall: 'node link-node.cjs' },
    };
    const binary = JSON.stringify(process.execPath);
    const linkNode = `const fs = require('fs'); fs.mkdirSync('bin'); fs.symlinkSync(${binary}, 'bin/node');`;
    await this.addArchive(manifest, { 'link-node.cjs': linkNode });
  }
}
