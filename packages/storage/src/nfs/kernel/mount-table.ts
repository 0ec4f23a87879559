/** A line of /proc/self/mountinfo, as far as it matters (proc(5)). */
export interface MountEntry {
  mountPoint: string;
  fileSystem: string;
  source: string;
}

/** Spaces and the like are written as octal numbers. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** What is mounted at a place: the last mount on it, which hides those before. */
export function findMount(mountInfo: string, mountPoint: string): MountEntry | undefined {
  const entries = mountInfo.split('\n').flatMap((line): MountEntry[] => {
    const [before, after] = line.split(' - ');
    const point = before?.split(' ')[4];
    const [fileSystem, source] = after?.split(' ') ?? [];
    if (point === undefined || fileSystem === undefined || source === undefined) return [];
    return [{ mountPoint: unescape(point), fileSystem, source: unescape(source) }];
  });
  return entries.findLast((entry) => entry.mountPoint === mountPoint);
}
