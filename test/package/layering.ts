import { dirname, join } from "node:path/posix"

/** The imports of each file, both relative to the root of the repository. */
export type ImportGraph = ReadonlyMap<string, ReadonlyArray<string>>

/** What `source` imports: statically, dynamically and for types. Comments, where examples are, do not count. */
export const importsOf = (source: string): ReadonlyArray<string> => {
  const code = source.replace(/^\s*(?:\/\/|\/?\*).*$/gm, "")
  const clause = /(?:\*(?:\s+as\s+\w+)?|\w+(?:\s*,\s*\{[^}]*\})?|\{[^}]*\})/.source
  const forms = [
    new RegExp(`^(?:import|export)\\s+(?:type\\s+)?${clause}\\s+from\\s+"([^"]+)"`, "gm"),
    /^import\s+"([^"]+)"/gm,
    /\b(?:import|require)\(\s*["'`]([^"'`]+)["'`]/g
  ]
  return forms.flatMap((form) => Array.from(code.matchAll(form), (match) => match[1] as string))
}

const barrels = ["src/index.ts", "src/testing.ts"]

/**
 * Where a file belongs: `domain`, `backends/<name>`, `programs`, or `public` for what stands above them all (the barrels,
 * and src/testing/, what the barrel of that name exports).
 */
const floorOf = (file: string): string | undefined => {
  if (file.startsWith("src/domain/")) return "domain"
  if (file.startsWith("src/programs/")) return "programs"
  if (barrels.includes(file) || file.startsWith("src/testing/")) return "public"
  return /^src\/(backends\/[^/]+)\//.exec(file)?.[1]
}

/** The floors a floor may import, itself apart. */
const below = (floor: string): ReadonlyArray<RegExp> => {
  if (floor === "domain") return []
  if (floor === "programs") return [/^domain$/, /^backends\//]
  if (floor === "public") return [/^domain$/, /^backends\//, /^programs$/]
  if (floor === "backends/pod") return [/^domain$/, /^backends\/kubernetes$/, /^backends\/dockerfile$/]
  // Steps in pods that KRO makes run as in the pods of the pod backend.
  if (floor === "backends/kro") return [/^domain$/, /^backends\/kubernetes$/, /^backends\/pod$/]
  return [/^domain$/]
}

/** The packages a floor may import, by the start of the import. */
const packages = (floor: string): ReadonlyArray<string> => {
  if (floor === "domain") return ["effect"]
  if (floor === "backends/memory" || floor === "backends/local") return ["effect", "@effect/platform-node", "node:*"]
  return ["*"]
}

const isPackage = (specifier: string, allowed: string): boolean =>
  allowed === "*" ||
  (allowed === "node:*" ? specifier.startsWith("node:") : specifier === allowed || specifier.startsWith(`${allowed}/`))

/** Why `file` must not import `specifier`, or nothing. */
export const forbidden = (file: string, specifier: string): string | undefined => {
  const floor = floorOf(file)
  if (floor === undefined) return "the file is on no floor: src/domain, src/backends/<name>, src/programs"
  if (specifier.startsWith(".")) {
    const target = join(dirname(file), specifier)
    if (!target.startsWith("src/")) return "src imports nothing outside of src"
    if (barrels.includes(target)) return "a barrel is for users, src imports the module itself"
    if (/^src\/programs\/[^/]+\/main\.ts$/.test(target)) return "importing a main runs it"
    const other = floorOf(target)
    if (other === undefined) return "the import is on no floor"
    if (other === floor || below(floor).some((allowed) => allowed.test(other))) return undefined
    return `${floor} does not import ${other}: imports go down only`
  }
  if (/^jobscope(\/|$)/.test(specifier)) return "src imports itself by relative paths"
  if (!packages(floor).some((allowed) => isPackage(specifier, allowed))) return `${floor} does not know ${specifier}`
  // Named imports from a barrel of `export * as` keep every module of it in a bundle: 319 KB instead of 87 KB.
  if (floor !== "public" && /^(?:effect(?:\/[a-z][\w-]*)?|@effect\/platform-node)$/.test(specifier)) {
    return "an import of Effect names the module (effect/Effect), not a barrel"
  }
  return undefined
}

/** Everything that is forbidden in `graph`, a line each. */
export const violations = (graph: ImportGraph): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const [file, specifiers] of graph) {
    for (const specifier of specifiers) {
      const why = forbidden(file, specifier)
      if (why !== undefined) found.push(`${file} imports ${specifier}: ${why}`)
    }
  }
  return found
}

/** The cycles among the relative imports of `graph`, each as a path that ends where it began. */
export const cycles = (graph: ImportGraph): ReadonlyArray<string> => {
  const found: Array<string> = []
  const done = new Set<string>()
  const path: Array<string> = []
  const visit = (file: string): void => {
    const start = path.indexOf(file)
    if (start !== -1) {
      found.push([...path.slice(start), file].join(" -> "))
      return
    }
    if (done.has(file)) return
    path.push(file)
    for (const specifier of graph.get(file) ?? []) {
      if (specifier.startsWith(".")) visit(join(dirname(file), specifier))
    }
    path.pop()
    done.add(file)
  }
  for (const file of graph.keys()) visit(file)
  return found
}
