import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readManifest } from './bundle.ts';

const licenceFile = /^(licen[cs]e|copying|notice)([.-].*)?$/i;

/** The licences of the packages in `folders`, as one text: most of them ask that it goes where their code goes. */
export function thirdPartyNotices(folders: readonly string[]): string {
  const parts = new Map<string, string>();
  for (const folder of folders) {
    const { name, version, license } = readManifest(folder);
    const texts = readdirSync(folder)
      .filter((file) => licenceFile.test(file))
      .map((file) => readFileSync(join(folder, file), 'utf8').trim());
    parts.set(`${name} ${version}`, [`${name} ${version} (${license})`, ...texts].join('\n\n'));
  }
  const rule = `\n\n${'-'.repeat(80)}\n\n`;
  const sorted = [...parts].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, text]) => text);
  return `Holdfast contains code of these packages:${rule}${sorted.join(rule)}\n`;
}
