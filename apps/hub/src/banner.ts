/** What a person at a terminal sees when the hub is ready. */
export function banner(url: string, tftp: string | null, dataDir: string, adminKey: string | null): string {
  const lines = [
    '',
    `  Holdfast is ready at ${url}`,
    ...(tftp === null ? [] : [`  TFTP                 ${tftp}`]),
    `  Data directory       ${dataDir}`,
    `  API description      ${url}/docs`,
    `  First boot script    ${url}/api/v1/ipxe/boot.ipxe`,
  ];
  if (adminKey !== null) {
    lines.push('', "  The administrator's API key, shown this once:", `  ${adminKey}`);
  }
  lines.push('', '  Ctrl-C stops it.', '', '');
  return lines.join('\n');
}
