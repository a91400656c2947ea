/** The kinds that every fake stores. Any other path is unknown to it, as to a cluster without that API. */
export interface Kind {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
}

const core = (kind: string, plural: string, namespaced = true): Kind => ({
  group: "",
  version: "v1",
  plural,
  kind,
  namespaced
})

export const pods = core("Pod", "pods")
export const secrets = core("Secret", "secrets")
export const configMaps = core("ConfigMap", "configmaps")
export const events = core("Event", "events")
export const claims = core("PersistentVolumeClaim", "persistentvolumeclaims")
export const namespaces = core("Namespace", "namespaces", false)
export const serviceAccounts = core("ServiceAccount", "serviceaccounts")
export const jobs: Kind = { group: "batch", version: "v1", plural: "jobs", kind: "Job", namespaced: true }
const rbac = "rbac.authorization.k8s.io"
export const roles: Kind = { group: rbac, version: "v1", plural: "roles", kind: "Role", namespaced: true }
export const roleBindings: Kind = { ...roles, plural: "rolebindings", kind: "RoleBinding" }

export const builtIn: ReadonlyArray<Kind> = [
  pods,
  secrets,
  configMaps,
  events,
  claims,
  namespaces,
  serviceAccounts,
  jobs,
  roles,
  roleBindings
]

export const apiVersionOf = ({ group, version }: Kind): string => (group === "" ? version : `${group}/${version}`)

/** `pods`, `jobs.batch`: how texts name a kind. */
export const titleOf = ({ group, plural }: Kind): string => (group === "" ? plural : `${plural}.${group}`)
