import type { NodeState } from '@holdfast/contract/nodes';
import type { InstallMethod } from '@holdfast/contract/workflows';

/** What a boot text needs to know of a node. */
export interface BootNode {
  id: string;
  /** Lower-case, colon form. */
  mac: string;
  name: string | null;
  state: NodeState;
}

/** What a boot text needs to know of a workflow. */
export interface BootWorkflow {
  name: string;
  installMethod: InstallMethod;
  /** On the boot backend, with a leading slash. */
  kernelPath: string | null;
  initrdPath: string | null;
  cmdline: string | null;
  /** An http, https, tftp or iscsi URL, or a path on the boot backend; may hold variables. */
  bootUrl: string | null;
}

/** Where the machine asks, and what it gets into its variables. */
export interface BootContext {
  /** The hub as the machine reaches it: `http://host:port`, without a trailing slash. */
  server: string;
  /** The address of the machine. */
  ip?: string | undefined;
  /**
   * How GRUB got its configuration, and so how it gets everything else: its network image may hold the module of
   * one protocol alone. Default: `http`.
   */
  via?: 'http' | 'tftp' | undefined;
  /** The one-time token with which the machine reports that it is installed. */
  nodeToken?: string | undefined;
}
