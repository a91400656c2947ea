/**
 * The labels, annotations and finalizers that KRO, kro-actions-runner, ARC and jobscope put on objects.
 */

/** On RGDs and instances: the scale set that they serve, as kro-actions-runner has it. */
export const scaleSetLabel = "actions.github.com/scale-set-name"
/** On instances, as kro-actions-runner has it. */
export const runnerNameLabel = "kro.run/runner-name"
/** On instances, JSON, as kro-actions-runner has it. */
export const runnerMetadataAnnotation = "actions.github.com/runner-metadata"

/** On all that jobscope makes: the environment's name, by which it is found and released. */
export const environmentLabel = "jobscope.dev/environment"
/** On all that jobscope makes, an annotation: owners are free text. */
export const ownerAnnotation = "jobscope.dev/owner"
/** On instances: the provisioning that made it, so that a create whose answer was lost is known again. */
export const provisionAnnotation = "jobscope.dev/provision"
/** On instances: a fingerprint of what must not be used twice. */
export const onceAnnotation = "jobscope.dev/once"

/** On instances that steps run in: who looks after them. */
export const custodyAnnotation = "jobscope.dev/custody"

/** On RGDs: the id of the resource that is the work. */
export const workNodeAnnotation = "jobscope.dev/work-node"
/** On RGDs: the container of that pod which is the work. */
export const workContainerAnnotation = "jobscope.dev/work-container"
/** On RGDs: where steps work in that container, if the job does not say. */
export const workspaceAnnotation = "jobscope.dev/workspace"
/** On RGDs: the path below `status` where the result is told. */
export const resultFieldAnnotation = "jobscope.dev/result-field"

/** KRO's own, on children: the instance's UID. */
export const instanceIdLabel = "kro.run/instance-id"
/** KRO's own, on children. */
export const instanceNameLabel = "kro.run/instance-name"
/** KRO's own, on children: the id of the resource in the RGD. */
export const nodeIdLabel = "kro.run/node-id"
/** KRO's own, on instances and CRDs. */
export const rgdNameLabel = "kro.run/resource-graph-definition-name"
/** KRO's own: an instance with it is not corrected any more. */
export const reconcileAnnotation = "kro.run/reconcile"
/** KRO's own, on instances and RGDs. */
export const finalizer = "kro.run/finalizer"
/** The group of RGDs, and of instances whose RGD names no other. */
export const group = "kro.run"
