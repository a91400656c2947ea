/** Pods as the kubelet reads them: with the types of the official client. */
import type { V1Container, V1Pod, V1Volume } from "@kubernetes/client-node"
import type { Wire } from "../../../backends/kubernetes/KubeResource.ts"
import type { KubeObject } from "./KubeObject.ts"

export type Pod = KubeObject & Wire<V1Pod>
export type Container = Wire<V1Container>
export type Volume = Wire<V1Volume>

/** An object of the kind Pod. Validation has looked at what the kubelet relies on. */
export const asPod = (object: KubeObject): Pod => object as Pod

export const containersOf = (pod: Pod): ReadonlyArray<Container> => pod.spec?.containers ?? []

export const initContainersOf = (pod: Pod): ReadonlyArray<Container> => pod.spec?.initContainers ?? []

/** An init container that runs beside the others, for as long as they do. */
export const isSidecar = (container: Container): boolean => container.restartPolicy === "Always"
