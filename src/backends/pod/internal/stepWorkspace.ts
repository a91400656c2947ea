/**
 * The job's workspace in the pod of a container step, at the same path.
 *
 * **Details**
 *
 * A workspace that is a mount of the job's container is mounted again. One that the job's pod has for itself is treated as a mount, too, of
 * a directory that this machine does not have: its files travel from pod to pod, and never come back to this machine.
 */
import { Mount } from "../../../domain/Container.ts"
import { ContainerStep } from "../../../domain/Step.ts"
import { PodData } from "./podData.ts"

/** The source of a workspace that is only in the job's pod: no machine has this path. */
export const workspaceOfPod = "/dev/null/workspace"

/** Whether the pod has a workspace of its own that other pods do not see. */
export const hasOwnWorkspace = ({ mounts }: PodData): boolean => mounts.some(({ source }) => source === workspaceOfPod)

/** The step with the workspace among its mounts, unless it mounts something there, and the job as it then looks to it. */
export const withWorkspace = (
  data: PodData,
  step: ContainerStep
): { readonly data: PodData; readonly step: ContainerStep } => {
  const target = data.facts.workspace
  if (step.mounts.some((mount) => mount.target === target)) return { data, step }
  const own =
    data.ownWorkspace && data.image !== ""
      ? new Mount({ source: workspaceOfPod, target })
      : data.mounts.find((mount) => mount.target === target && mount.source.startsWith("/"))
  if (own === undefined) return { data, step }
  return {
    data: data.mounts.includes(own) ? data : new PodData({ ...data, mounts: [...data.mounts, own] }),
    step: new ContainerStep({ ...step, mounts: [...step.mounts, own] })
  }
}
