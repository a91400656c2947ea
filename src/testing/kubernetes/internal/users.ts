/** Who calls, and what they may. */
import { covers, type Rule } from "../FakeRights.ts"
import type { ApiCall } from "./apiCall.ts"
import { at, isJson } from "./KubeObject.ts"
import { roleBindings, roles, serviceAccounts } from "./kinds.ts"
import type { ObjectStore } from "./objectStore.ts"
import { forbidden, type Status } from "./Status.ts"

export interface User {
  readonly name: string
  /** Beside what RoleBindings give. */
  readonly rules: "all" | ReadonlyArray<Rule>
}

export interface Users {
  /** A token with which a user is known from now on. */
  readonly add: (user: User) => string
  /** Of a service account. */
  readonly tokenOf: (namespace: string, name: string) => string
  readonly withToken: (authorization: string | undefined) => User | undefined
  /** Rules that hold for nobody any more. */
  readonly deny: (rule: Rule) => void
  readonly allowAll: () => void
  /** Why not, or nothing. */
  readonly refusal: (user: User, call: ApiCall) => Status | undefined
}

export const makeUsers = (store: ObjectStore, random: () => number): Users => {
  const tokens = new Map<string, User>()
  const accounts = new Map<string, string>()
  let denied: Array<Rule> = []
  const add = (user: User) => {
    const token = Array.from({ length: 4 }, () => Math.floor(random() * 2 ** 32).toString(36)).join("")
    tokens.set(token, user)
    return token
  }
  return {
    add,
    tokenOf: (namespace, name) => {
      const user = `system:serviceaccount:${namespace}:${name}`
      const token = accounts.get(user) ?? add({ name: user, rules: [] })
      accounts.set(user, token)
      return token
    },
    withToken: (authorization) => tokens.get(authorization?.replace(/^Bearer /i, "") ?? ""),
    deny: (rule) => {
      denied.push(rule)
    },
    allowAll: () => {
      denied = []
    },
    refusal: (user, apiCall) => {
      const { kind, name, namespace, resource, verb } = apiCall
      const call = { verb, group: kind.group, resource }
      const given =
        user.rules === "all" || [...user.rules, ...boundTo(store, user, namespace)].some((rule) => covers(rule, call))
      return given && !denied.some((rule) => covers(rule, call))
        ? undefined
        : forbidden({ user: user.name, ...call, namespace, name })
    }
  }
}

/** What RoleBindings of the namespace give to a service account. */
const boundTo = (store: ObjectStore, user: User, namespace: string | undefined): ReadonlyArray<Rule> => {
  const [, , accountNamespace, account] = user.name.split(":")
  if (namespace === undefined || account === undefined) return []
  if (store.get(serviceAccounts, accountNamespace, account) === undefined) return []
  return store.list(roleBindings, namespace).flatMap((binding) => {
    const subjects = items(at(binding, "subjects"))
    const bound = subjects.some(
      (subject) =>
        subject.kind === "ServiceAccount" &&
        subject.name === account &&
        (subject.namespace ?? namespace) === accountNamespace
    )
    if (!bound || at(binding, "roleRef", "kind") !== "Role") return []
    const role = store.get(roles, namespace, String(at(binding, "roleRef", "name")))
    return items(at(role, "rules")).flatMap((rule) =>
      texts(rule.apiGroups).flatMap((group) =>
        texts(rule.resources).map((resource) => ({ group, resource, verbs: texts(rule.verbs) }))
      )
    )
  })
}

const items = (value: unknown) => (Array.isArray(value) ? value.filter(isJson) : [])

const texts = (value: unknown): ReadonlyArray<string> => (Array.isArray(value) ? value.map(String) : [])
