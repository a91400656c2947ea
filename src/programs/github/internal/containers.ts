/** `container` and `services`, in the domain's words. */
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import { Mount, type Port, RegistryCredentials, Volume } from "../../../domain/Container.ts"
import * as EnvVars from "../../../domain/EnvVars.ts"
import { JobContainer, Service } from "../../../domain/Job.ts"
import * as ContainerOptions from "../../container-options/ContainerOptions.ts"
import * as Ports from "../../container-options/Ports.ts"
import * as Words from "../../container-options/Words.ts"
import type { Range } from "../Diagnostic.ts"
import { isRecord, textOf, ValueProblem } from "./values.ts"

/** Where the words are from. */
interface Place {
  readonly file: string
  readonly range: Range
  /** What it is, in words. */
  readonly what: string
}

export interface Containers {
  readonly container?: JobContainer
  /** Of the job's container: for its steps. */
  readonly env: Readonly<Record<string, string>>
  readonly services: ReadonlyArray<Service>
  readonly volumes: ReadonlyArray<Volume>
}

interface Given {
  readonly place: Place
  readonly value: Schema.Json
}

/** An empty image is no container, which is how an expression leaves one out. */
export const containersOf = (
  container: Given | undefined,
  services: ReadonlyArray<Given & { readonly name: string }>
): Containers => {
  const volumes = new Map<string, Volume>()
  const own = container === undefined ? undefined : read(container, volumes)
  return {
    ...(own === undefined ? {} : { container: jobContainer(own) }),
    env: own?.env ?? {},
    services: services.flatMap((service) => {
      const found = read(service, volumes)
      return found === undefined ? [] : serviceOf(service.name, found)
    }),
    volumes: [...volumes.values()]
  }
}

interface Read {
  readonly image: string
  readonly env: Readonly<Record<string, string>>
  readonly credentials: RegistryCredentials | undefined
  readonly ports: ReadonlyArray<Port>
  readonly mounts: ReadonlyArray<Mount>
  readonly options: ContainerOptions.ContainerOptions
  readonly entryPoint: ReadonlyArray<string>
  readonly command: ReadonlyArray<string>
}

const read = ({ place, value }: Given, volumes: Map<string, Volume>): Read | undefined => {
  const fields = isRecord(value) ? value : { image: value }
  const text = (key: string) => (fields[key] === undefined || isRecord(fields[key]) ? "" : textOf(fields[key]))
  const image = text("image").replace(/^docker:\/\//, "")
  if (image === "") return undefined
  const { options, problems } = ContainerOptions.parse(text("options"))
  const [problem] = problems
  if (problem !== undefined) return refuse(place, `the option ${problem.flag} of ${place.what}: ${problem.detail}`)
  const env = isRecord(fields.env) ? fields.env : {}
  return {
    image,
    options,
    env: { ...options.env, ...Object.fromEntries(Object.entries(env).map(([name, each]) => [name, textOf(each)])) },
    credentials: credentialsOf(image, fields.credentials),
    ports: [
      ...options.ports,
      ...texts(fields.ports).flatMap(
        (mapping) => Ports.parse(mapping) ?? refuse(place, `"${mapping}" of ${place.what} is no port`)
      )
    ],
    mounts: texts(fields.volumes).map((volume) => mountOf(place, volume, volumes)),
    entryPoint: Words.split(text("entrypoint")),
    command: Words.split(text("command"))
  }
}

const jobContainer = ({ credentials, image, mounts, options, ports }: Read): JobContainer =>
  new JobContainer({
    image,
    mounts,
    ports,
    ...defined({
      credentials,
      entryPoint: options.entryPoint,
      user: options.user,
      resources: options.resources,
      settings: options.settings
    })
  })

const serviceOf = (
  name: string,
  { command, credentials, entryPoint, env, image, mounts, options, ports }: Read
): Service =>
  new Service({
    name,
    image,
    command,
    env: EnvVars.fromRecord(env),
    mounts,
    ports,
    ...defined({
      credentials,
      entryPoint: entryPoint.length > 0 ? entryPoint : options.entryPoint,
      user: options.user,
      workingDirectory: options.workingDirectory,
      resources: options.resources,
      healthCheck: options.healthCheck,
      settings: options.settings
    })
  })

/** Without the properties that are undefined. */
const defined = <A extends object>(fields: A): { [Key in keyof A]?: Exclude<A[Key], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never

const refuse = ({ file, range }: Place, detail: string): never => {
  throw new ValueProblem({ message: `${file}:${range.line}:${range.column}: ${detail}` })
}

const texts = (value: Schema.Json | undefined): ReadonlyArray<string> =>
  Array.isArray(value) ? value.map((each: Schema.Json) => textOf(each)) : []

const credentialsOf = (image: string, value: Schema.Json | undefined): RegistryCredentials | undefined => {
  if (!isRecord(value)) return undefined
  const username = textOf(value.username ?? null)
  if (username === "") return undefined
  const [first = "", ...rest] = image.split("/")
  // The first part is a registry only if it looks like a host; else the image is Docker Hub's.
  const server = rest.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : ""
  return new RegistryCredentials({ server, username, password: Redacted.make(textOf(value.password ?? null)) })
}

/** `name:/path`, `/host/path:/path:ro`, or `/path` for one of its own. */
const mountOf = (place: Place, volume: string, volumes: Map<string, Volume>): Mount => {
  const parts = volume.split(":")
  const [source, target] = parts.length === 1 ? ["", parts[0]] : parts
  const mode = parts[2] ?? "rw"
  if (
    target === undefined ||
    !target.startsWith("/") ||
    parts.length > 3 ||
    !/^(?:ro|rw|z|Z)(?:,(?:ro|rw|z|Z))*$/.test(mode)
  ) {
    return refuse(place, `"${volume}" of ${place.what} is no volume: it is name:/path, /path:/path or /path`)
  }
  const readOnly = mode.split(",").includes("ro")
  if (source?.startsWith("/") === true) return new Mount({ source, target, readOnly })
  const name = source === undefined || source === "" ? `volume-${volumes.size + 1}` : source
  if (!volumes.has(name)) volumes.set(name, new Volume({ name }))
  return new Mount({ source: name, target, readOnly })
}
