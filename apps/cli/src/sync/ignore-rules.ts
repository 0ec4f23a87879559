import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { isTempName } from '@holdfast/bytes/temp-name';
import ignore from 'ignore';
import type { Ignore } from 'ignore';

const IGNORE_FILE = '.holdfastignore';
/** The matcher remembers every path that it has seen; it is made anew after so many. */
const TESTS_OF_A_MATCHER = 50_000;
const FOLDERS_REMEMBERED = 5000;

interface Rules {
  text: string;
  matcher: Ignore;
  tests: number;
}

/**
 * What a sync leaves alone, on both sides: `--exclude`, and the `.holdfastignore` files of the local folder and of its
 * subfolders, both as in .gitignore (a deeper file wins); and what unfinished transfers have left.
 */
export class IgnoreRules {
  readonly #root: string;
  readonly #excludes: Rules | null;
  readonly #ofFolder = new Map<string, Rules | null>();

  /** @param root the local folder; it need not be there yet */
  constructor(root: string, excludes: readonly string[]) {
    this.#root = root;
    this.#excludes = excludes.length === 0 ? null : rulesOf(excludes.join('\n'));
  }

  /** Whether a file is left alone, by itself or by a folder above it. */
  ignoresFile(path: string): boolean {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      if (this.ignores(path.slice(0, slash), true)) return true;
    }
    return this.ignores(path, false);
  }

  /** Whether this entry itself is left alone, when all folders above it are not. */
  ignores(path: string, isFolder: boolean): boolean {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (!isFolder && (isTempName(name) || /^\..*\.holdfast-part(?:\.json)?$/s.test(name))) return true;
    const text = isFolder ? `${path}/` : path;
    if (tested(this.#excludes, text) === true) return true;
    let ignored = false;
    for (let start = 0; ;) {
      const verdict = tested(this.#rulesOf(path.slice(0, Math.max(0, start - 1))), text.slice(start));
      if (verdict !== undefined) ignored = verdict;
      const slash = path.indexOf('/', start);
      if (slash === -1) return ignored;
      start = slash + 1;
    }
  }

  #rulesOf(folder: string): Rules | null {
    const known = this.#ofFolder.get(folder);
    if (known !== undefined) return known;
    if (this.#ofFolder.size >= FOLDERS_REMEMBERED) this.#ofFolder.clear();
    const rules = readRules(join(this.#root, folder, IGNORE_FILE));
    this.#ofFolder.set(folder, rules);
    return rules;
  }
}

function readRules(file: string): Rules | null {
  try {
    return rulesOf(readFileSync(file, 'utf8'));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'].includes(errnoOf(error) ?? '')) return null;
    // Going on without the rules could send, or remove, what they protect.
    throw fileSystemError(error, `Reading ${file}`, 'read');
  }
}

function rulesOf(text: string): Rules {
  return { text, matcher: matcherOf(text), tests: 0 };
}

function matcherOf(text: string): Ignore {
  return ignore({ allowRelativePaths: true }).add(text);
}

function tested(rules: Rules | null, path: string): boolean | undefined {
  if (rules === null) return undefined;
  rules.tests += 1;
  if (rules.tests % TESTS_OF_A_MATCHER === 0) rules.matcher = matcherOf(rules.text);
  const { ignored, unignored } = rules.matcher.test(path);
  return ignored ? true : unignored ? false : undefined;
}
