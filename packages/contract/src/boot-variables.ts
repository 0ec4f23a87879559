/** The variables that `cmdline` and `boot_url` of a workflow may hold, written `${name}`. */
export const bootVariables = ['server', 'node_id', 'mac', 'ip', 'node_token'] as const;
export type BootVariable = (typeof bootVariables)[number];

/** Every `${…}` of a text; the closing brace may be missing, which firmware would read in its own way. */
const reference = /\$\{([^}]*)(\}?)/g;

/** True for the name of a boot variable. */
export function isBootVariable(name: string): name is BootVariable {
  const names: readonly string[] = bootVariables;
  return names.includes(name);
}

/**
 * The `${…}` of a text that are no boot variables, each once, as they are written. Firmware would expand them
 * from its own settings, or to nothing, so a workflow that holds one is refused.
 */
export function unknownVariables(text: string): string[] {
  const unknown = new Set<string>();
  for (const [whole, name = '', brace] of text.matchAll(reference)) {
    if (brace === '' || !isBootVariable(name)) unknown.add(whole);
  }
  return [...unknown];
}
