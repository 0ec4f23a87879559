/**
 * Text that an iPXE script may print or hold in a comment: one line of printable ASCII (the console has no more)
 * without what iPXE acts on: `$` and braces (settings), `#` (comment), `;`, `|` and `&` (end of a command) and
 * backslashes (continued line).
 */
export function ipxeText(value: string): string {
  return value
    .replace(/[^\x20-\x7e]+/g, '?')
    .replace(/[${}#;|&\\]/g, '')
    .trim();
}

/** The lines as an iPXE script. */
export function ipxeScript(...lines: readonly string[]): string {
  return `${['#!ipxe', ...lines].join('\n')}\n`;
}
