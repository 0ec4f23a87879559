import type { ArgumentSpec, CommandSpec, GroupSpec, OptionSpec } from '../command-spec.ts';

/** Something that may come next. */
export interface Candidate {
  text: string;
  /** For shells that show it. */
  summary: string;
}

/** What may come next: candidates that are known, and what else is to be looked up for the word. */
export interface Completion {
  candidates: Candidate[];
  lookUp: 'nothing' | 'backends' | 'profiles' | 'remote' | 'local' | 'both';
}

/** The whole command line language. */
export interface Language {
  commands: readonly CommandSpec[];
  groups: readonly GroupSpec[];
  globalOptions: readonly OptionSpec[];
}

const nothing: Completion = { candidates: [], lookUp: 'nothing' };

/** What may come in place of the last word. @param words behind the program's name, as typed, without quotes */
export function completionOf(words: readonly string[], language: Language): Completion {
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const { spec, group, positionals, open } = readWords(before, language);
  if (open !== null) return begun(valuesOf(open), current);
  if (current.startsWith('-') && current !== '-') {
    const own = spec?.passThrough === true ? [] : [...(spec?.options ?? []), ...language.globalOptions];
    return begun({ candidates: own.flatMap(flagsOf), lookUp: 'nothing' }, current);
  }
  if (spec !== undefined) return begun(argumentValues(spec, positionals), current);
  return begun({ candidates: namesOf(group, language), lookUp: 'nothing' }, current);
}

interface Read {
  spec: CommandSpec | undefined;
  /** The first word of a command of two words. */
  group: string | undefined;
  /** How many arguments are there already. */
  positionals: number;
  /** An option whose value is being typed. */
  open: OptionSpec | null;
}

function readWords(words: readonly string[], language: Language): Read {
  const { commands, groups, globalOptions } = language;
  const read: Read = { spec: undefined, group: undefined, positionals: 0, open: null };
  let isLiteral = false;
  for (const word of words) {
    if (read.open !== null) {
      read.open = null;
    } else if (!isLiteral && word === '--') isLiteral = true;
    else if (!isLiteral && word.startsWith('-') && word !== '-') {
      const known = [...(read.spec?.options ?? []), ...globalOptions];
      const option = known.find(({ flags }) => namesOfFlags(flags).includes(word));
      if (option !== undefined && takesValue(option)) read.open = option;
    } else if (read.spec !== undefined) read.positionals += 1;
    else {
      const name = read.group === undefined ? word : `${read.group} ${word}`;
      read.spec = commands.find((one) => one.name === name);
      if (read.spec === undefined && groups.some((one) => one.name === name)) read.group = name;
    }
  }
  return read;
}

function namesOf(group: string | undefined, { commands, groups }: Language): Candidate[] {
  const shown = commands.filter(({ isHidden }) => isHidden !== true);
  if (group !== undefined) {
    const inGroup = shown.filter(({ name }) => name.startsWith(`${group} `));
    return inGroup.map(({ name, summary }) => ({ text: name.slice(group.length + 1), summary }));
  }
  const single = shown.filter(({ name }) => !name.includes(' '));
  return [...single, ...groups].map(({ name, summary }) => ({ text: name, summary }));
}

function argumentValues(spec: CommandSpec, positionals: number): Completion {
  if (spec.passThrough === true) return { candidates: [], lookUp: 'local' };
  const all = spec.arguments ?? [];
  const last = all.at(-1);
  const argument = all[positionals] ?? (last?.form.includes('...') === true ? last : undefined);
  if (argument === undefined) return nothing;
  if (argument.choices !== undefined) {
    return { candidates: argument.choices.map((text) => ({ text, summary: '' })), lookUp: 'nothing' };
  }
  return { candidates: [], lookUp: lookUpOf(spec, argument) };
}

/** Between the two sides, either of which may come at any place. */
const betweenSides: readonly string[] = ['put', 'get', 'sync'];

function lookUpOf({ name }: CommandSpec, { form, summary }: ArgumentSpec): Completion['lookUp'] {
  if (betweenSides.includes(name)) return 'both';
  if (/NAME:\/|hub:\//.test(summary)) return 'remote';
  if (form.includes('backend')) return 'backends';
  return name === 'logout' || name === 'login' ? 'profiles' : 'nothing';
}

function valuesOf({ flags, choices }: OptionSpec): Completion {
  if (choices !== undefined) {
    return { candidates: choices.map((text) => ({ text, summary: '' })), lookUp: 'nothing' };
  }
  if (flags.includes('--profile')) return { candidates: [], lookUp: 'profiles' };
  if (/<(?:file|folder|path)/.test(flags)) return { candidates: [], lookUp: 'local' };
  return nothing;
}

function flagsOf({ flags, summary }: OptionSpec): Candidate[] {
  const long = namesOfFlags(flags).filter((name) => name.startsWith('--'));
  return long.map((text) => ({ text, summary }));
}

/** `-r, --recursive <x>` → `-r`, `--recursive`. */
function namesOfFlags(flags: string): string[] {
  return flags.split(/[ ,]+/).filter((part) => part.startsWith('-'));
}

function takesValue({ flags }: OptionSpec): boolean {
  return flags.includes('<');
}

function begun({ candidates, lookUp }: Completion, current: string): Completion {
  return { candidates: candidates.filter(({ text }) => text.startsWith(current)), lookUp };
}
