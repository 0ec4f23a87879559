import { unknownVariables } from '@holdfast/contract/boot-variables';
import { bootPathProblem, bootUrlProblem, cmdlineProblem } from '@holdfast/contract/workflow-rules';
import type { BootContext, BootNode, BootWorkflow } from './boot-input.ts';
import { expandVariables } from './variables.ts';

/**
 * Why a workflow cannot be booted, as sentences; empty when it can. Workflows are checked when they are written;
 * this guards the scripts against rows that were written otherwise, since their text would run in firmware.
 */
export function workflowProblems(workflow: BootWorkflow): string[] {
  const { installMethod, kernelPath, initrdPath, cmdline, bootUrl } = workflow;
  if (installMethod !== 'kernel') {
    if (bootUrl === null) return [`The workflow has no boot_url, which ${installMethod} needs.`];
    return sentence('boot_url', bootUrlProblem(bootUrl));
  }
  if (kernelPath === null) return ['The workflow has no kernel_path, which kernel needs.'];
  return [
    ...sentence('kernel_path', bootPathProblem(kernelPath)),
    ...sentence('initrd_path', initrdPath === null ? undefined : bootPathProblem(initrdPath)),
    ...sentence('cmdline', cmdline === null ? undefined : cmdlineProblem(cmdline)),
  ];
}

/** As `workflowProblems`, and whether the filled-in text still holds something that firmware would expand. */
export function renderProblems(workflow: BootWorkflow, node: BootNode, context: BootContext): string[] {
  const problems = workflowProblems(workflow);
  if (problems.length > 0) return problems;
  const text = workflow.installMethod === 'kernel' ? workflow.cmdline : workflow.bootUrl;
  const left = unknownVariables(expandVariables(text ?? '', node, context));
  return left.length === 0
    ? []
    : [`The workflow leaves ${left.join(', ')} once its variables are filled in.`];
}

function sentence(field: string, problem: string | undefined): string[] {
  return problem === undefined ? [] : [`The workflow's ${field} ${problem}.`];
}
