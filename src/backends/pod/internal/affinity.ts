/** Two affinities as one: what either requires is required, what either prefers is preferred. */

type Json = Readonly<Record<string, unknown>>

const required = "requiredDuringSchedulingIgnoredDuringExecution"
const preferred = "preferredDuringSchedulingIgnoredDuringExecution"

/** A node must fit both; pods of both count. */
export const mergeAffinity = (base: Json, extra: Json): Json => {
  const kinds = [...new Set([...Object.keys(base), ...Object.keys(extra)])]
  return Object.fromEntries(kinds.map((kind) => [kind, mergeKind(kind, record(base[kind]), record(extra[kind]))]))
}

const mergeKind = (kind: string, base: Json, extra: Json): Json => ({
  ...base,
  ...extra,
  ...present(preferred, [...list(base[preferred]), ...list(extra[preferred])]),
  ...(kind === "nodeAffinity"
    ? bothTerms(record(base[required]), record(extra[required]))
    : present(required, [...list(base[required]), ...list(extra[required])]))
})

/** Terms are alternatives, and the parts of one term are not: so both means each with each. */
const bothTerms = (base: Json, extra: Json): Json => {
  const own = list(base.nodeSelectorTerms)
  const others = list(extra.nodeSelectorTerms)
  const terms =
    own.length === 0 || others.length === 0
      ? [...own, ...others]
      : own.flatMap((one) =>
          others.map((other) => ({
            ...present("matchExpressions", [...list(one.matchExpressions), ...list(other.matchExpressions)]),
            ...present("matchFields", [...list(one.matchFields), ...list(other.matchFields)])
          }))
        )
  return terms.length === 0 ? {} : { [required]: { nodeSelectorTerms: terms } }
}

const present = (key: string, value: ReadonlyArray<Json>): Json => (value.length === 0 ? {} : { [key]: value })

const record = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {}

const list = (value: unknown): ReadonlyArray<Json> => (Array.isArray(value) ? value.map(record) : [])
