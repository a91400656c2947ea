/**
 * Kinds of objects, with the types of the official client: they cost nothing at run time.
 *
 * The official types are of its own decoded objects; `Wire` makes of them what the API speaks.
 */
import type {
  CoreV1Event,
  V1Namespace,
  V1PersistentVolumeClaim,
  V1Pod,
  V1Role,
  V1RoleBinding,
  V1Secret,
  V1ServiceAccount
} from "@kubernetes/client-node"

/**
 * JSON of an object of the official client: times are texts, and names lose the underscore that TypeScript needed.
 *
 * @category models
 */
export type Wire<T> = T extends Date
  ? string
  : T extends ReadonlyArray<infer Item>
    ? ReadonlyArray<Wire<Item>>
    : T extends object
      ? { readonly [Key in keyof T as Key extends `_${infer Name}` ? Name : Key]: Wire<T[Key]> }
      : T

/**
 * A kind of object and where its API is. `Type` is only for the compiler.
 *
 * @category models
 */
export interface KubeResource<A> {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly subresource?: string | undefined
  readonly namespaced: boolean
  readonly Type?: A
}

/**
 * Names a kind, for example one of a custom resource definition.
 *
 * @category constructors
 */
export const make = <A>(options: {
  readonly group?: string
  readonly version?: string
  readonly plural: string
  readonly subresource?: string
  readonly namespaced?: boolean
}): KubeResource<A> => ({
  group: options.group ?? "",
  version: options.version ?? "v1",
  plural: options.plural,
  subresource: options.subresource,
  namespaced: options.namespaced ?? true
})

/** @category kinds */
export const pods: KubeResource<Wire<V1Pod>> = make({ plural: "pods" })
/** @category kinds */
export const secrets: KubeResource<Wire<V1Secret>> = make({ plural: "secrets" })
/** @category kinds */
export const events: KubeResource<Wire<CoreV1Event>> = make({ plural: "events" })
/** @category kinds */
export const namespaces: KubeResource<Wire<V1Namespace>> = make({ plural: "namespaces", namespaced: false })
/** @category kinds */
export const serviceAccounts: KubeResource<Wire<V1ServiceAccount>> = make({ plural: "serviceaccounts" })
/** @category kinds */
export const claims: KubeResource<Wire<V1PersistentVolumeClaim>> = make({ plural: "persistentvolumeclaims" })
/** @category kinds */
export const roles: KubeResource<Wire<V1Role>> = make({ group: "rbac.authorization.k8s.io", plural: "roles" })
/** @category kinds */
export const roleBindings: KubeResource<Wire<V1RoleBinding>> = make({
  group: "rbac.authorization.k8s.io",
  plural: "rolebindings"
})

/**
 * The path of an object, or of all of them if there is no name.
 *
 * @category getters
 */
export const pathOf = (
  { group, namespaced, plural, subresource, version }: KubeResource<unknown>,
  namespace: string | undefined,
  name: string | undefined
): string =>
  [
    group === "" ? `/api/${version}` : `/apis/${group}/${version}`,
    ...(namespaced && namespace !== undefined ? ["namespaces", encodeURIComponent(namespace)] : []),
    plural,
    ...(name === undefined ? [] : [encodeURIComponent(name)]),
    ...(subresource === undefined ? [] : [subresource])
  ].join("/")
