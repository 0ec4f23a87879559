export type InstallMethod = 'kernel' | 'sanboot' | 'chain';
export type Architecture = 'x86_64' | 'arm64' | 'i386';
export type BootMode = 'bios' | 'uefi';

/** What a node boots. */
export interface WorkflowsTable {
  id: string;
  name: string;
  install_method: InstallMethod;
  kernel_path: string | null;
  initrd_path: string | null;
  cmdline: string | null;
  boot_url: string | null;
  architecture: Architecture;
  boot_mode: BootMode;
  created_at: number;
  updated_at: number;
}
