/** Text as one word of a GRUB script: single quotes, in which GRUB acts on nothing; control characters go. */
export function grubQuote(value: string): string {
  const clean = value.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '').replaceAll("'", `'\\''`);
  return `'${clean}'`;
}

/** Text for a comment or message: one line of printable ASCII. */
export function grubText(value: string): string {
  return value.replace(/[^\x20-\x7e]+/g, '?').trim();
}

/**
 * The words of a kernel command line, split as the kernel does (`next_arg` of Linux, lib/cmdline.c): at blanks
 * outside double quotes. The quotes are taken off, since GRUB puts its own around words with blanks and would
 * escape these.
 */
export function cmdlineWords(cmdline: string): string[] {
  const words = cmdline.match(/(?:[^\s"]|"[^"]*(?:"|$))+/g) ?? [];
  return words.map((word) => word.replaceAll('"', ''));
}
