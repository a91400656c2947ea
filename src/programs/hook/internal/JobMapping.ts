/**
 * `prepare_job` in the domain's words: the container of the job and its services as a `JobSpec`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type Mount, Port, RegistryCredentials, type Volume } from "../../../domain/Container.ts"
import * as EnvVars from "../../../domain/EnvVars.ts"
import { JobContainer, JobSpec, Service, Timeouts } from "../../../domain/Job.ts"
import { type BackendError, fail, InvalidInput } from "../../../domain/JobError.ts"
import * as ContainerOptions from "../../container-options/ContainerOptions.ts"
import * as Ports from "../../container-options/Ports.ts"
import * as Words from "../../container-options/Words.ts"
import type { HookConfig } from "./HookConfig.ts"
import type { HookContainer, HookInput } from "./HookInput.ts"
import * as HookNames from "./HookNames.ts"
import * as Mounts from "./Mounts.ts"

type PrepareJob = Extract<HookInput, { readonly command: "prepare_job" }>["args"]

/** A job to provision, and what is to be said about how it was understood. */
export interface MappedJob {
  readonly spec: JobSpec
  /** The ports of each service in the order of the input, with the host's where one was asked for. */
  readonly servicePorts: ReadonlyArray<ReadonlyArray<Port>>
  readonly warnings: ReadonlyArray<string>
}

/** Between SIGTERM and SIGKILL: the runner gives a cancelled hook 10 s in all. */
const stopGrace = Duration.seconds(1)

/** Fails where the runner's input has no meaning in a pod, naming the field. */
export const toSpec = Effect.fnUntraced(function* (
  args: PrepareJob,
  config: HookConfig,
  places: Mounts.Places
): Effect.fn.Return<MappedJob, BackendError> {
  const reading = new Reading(config, places)
  const container = args.container === undefined ? undefined : yield* reading.read(args.container, "container", "job")
  const names = HookNames.services(args.services.map(({ image }) => image ?? ""))
  const services = yield* Effect.forEach(args.services, (service, index) =>
    reading.read(service, `services[${index}]`, names[index] ?? "service")
  )
  const volumes = new Map(
    [container, ...services].flatMap((each) => (each?.volumes ?? []).map((volume) => [volume.name, volume]))
  )
  const spec = new JobSpec({
    name: config.podName,
    owner: config.podName,
    // Without one, steps run on the runner, beside the pod.
    ...given(
      "container",
      container === undefined
        ? undefined
        : new JobContainer({
            image: container.image,
            ports: container.ports,
            mounts: container.mounts,
            ...given("credentials", container.credentials),
            ...given("entryPoint", container.keepsAlive ? undefined : container.entryPoint),
            ...(container.keepsAlive ? {} : { args: container.args }),
            ...given("user", container.options.user),
            ...given("resources", container.options.resources),
            ...given("settings", container.options.settings)
          })
    ),
    services: services.map(
      (service, index) =>
        new Service({
          name: names[index] ?? "service",
          image: service.image,
          command: service.args,
          env: service.env,
          ports: service.ports,
          mounts: service.mounts,
          ...given("credentials", service.credentials),
          ...given("entryPoint", service.entryPoint ?? service.options.entryPoint),
          ...given("user", service.options.user),
          ...given("workingDirectory", service.workingDirectory ?? service.options.workingDirectory),
          ...given("resources", service.options.resources),
          ...given("healthCheck", service.options.healthCheck),
          ...given("settings", service.options.settings)
        })
    ),
    env: container?.env ?? {},
    ...given("workingDirectory", container?.workingDirectory),
    volumes: [...volumes.values()],
    timeouts: new Timeouts({
      provision: config.prepareTimeout ?? Duration.minutes(10),
      total: config.deadline ?? Duration.hours(120),
      stopGrace
    })
  })
  return { spec, servicePorts: services.map(({ allPorts }) => allPorts), warnings: reading.warnings }
})

interface ReadContainer {
  readonly image: string
  readonly credentials: RegistryCredentials | undefined
  readonly entryPoint: ReadonlyArray<string> | undefined
  readonly args: ReadonlyArray<string>
  /** Runners may spell out that a container only stays alive, which the backend's own process does better. */
  readonly keepsAlive: boolean
  readonly workingDirectory: string | undefined
  readonly env: EnvVars.EnvVars
  /** For the pod. */
  readonly ports: ReadonlyArray<Port>
  readonly allPorts: ReadonlyArray<Port>
  readonly mounts: ReadonlyArray<Mount>
  readonly volumes: ReadonlyArray<Volume>
  readonly options: ContainerOptions.ContainerOptions
}

class Reading {
  readonly warnings: Array<string> = []
  private readonly config: HookConfig
  private readonly places: Mounts.Places

  constructor(config: HookConfig, places: Mounts.Places) {
    this.config = config
    this.places = places
  }

  read(container: HookContainer, field: string, name: string): Effect.Effect<ReadContainer, BackendError> {
    const { config, places, warnings } = this
    return Effect.gen(function* () {
      const image = imageOf(container)
      if (image === undefined) return yield* invalid(`args.${field}.image`, "it is empty")
      const { options, problems } = ContainerOptions.parse(container.createOptions ?? "")
      for (const { detail, flag } of problems) {
        if (config.unknownOptions === "error") return yield* invalid(`${field}.options`, `${flag}: ${detail}`)
        warnings.push(`\`options:\` of ${name} (${image}): ${flag}: ${detail}. It is ignored.`)
      }
      const ports: Array<Port> = [...options.ports]
      for (const mapping of container.portMappings) {
        const parsed = Ports.parse(mapping)
        if (parsed === undefined) return yield* invalid(`${field}.ports`, `"${mapping}" is not a port mapping`)
        ports.push(...parsed)
      }
      const own = Mounts.ofUser(container.userMountVolumes, places, name)
      const [refused] = own.refused
      if (refused !== undefined) return yield* invalid(`${field}.volumes`, `${refused.target}: ${refused.detail}`)
      const isJob = field === "container"
      const system = isJob
        ? Mounts.ofSystem(
            container.systemMountVolumes.length === 0
              ? Mounts.systemDefaults(places.paths)
              : container.systemMountVolumes,
            places
          )
        : none
      const env = withCi(container.environmentVariables)
      const variables = { ...EnvVars.fromRecord(options.env), ...withoutHome(env, config, isJob) }
      yield* checkSizes(variables, `args.${field}.environmentVariables`)
      return {
        image,
        credentials: credentialsOf(container),
        ...commandOf(container),
        workingDirectory: present(container.workingDirectory),
        env: variables,
        ports: unique(config.strict?.includes("host-ports") ? ports : ports.map(withoutHost)),
        allPorts: unique(ports),
        mounts: [...system.mounts, ...own.mounts],
        volumes: [...system.volumes, ...own.volumes],
        options
      }
    })
  }
}

const none: Mounts.Mounted = { mounts: [], volumes: [], refused: [] }

/** Without the scheme that action manifests write. */
export const imageOf = ({ image }: HookContainer): string | undefined =>
  present(image?.trim().replace(/^docker:\/\//, ""))

/** Those of the runner; without a user name there are none. */
export const credentialsOf = ({ registry }: HookContainer): RegistryCredentials | undefined => {
  const username = present(registry?.username)
  return username === undefined
    ? undefined
    : new RegistryCredentials({
        server: registry?.serverUrl ?? "",
        username,
        password: registry?.password ?? Redacted.make("")
      })
}

/** The entry point, and its arguments word by word: the runner has split them at spaces, through quotes. */
export const commandOf = ({ entryPoint, entryPointArgs }: HookContainer) => {
  const command = present(entryPoint?.trim())
  const args = Words.split(entryPointArgs.join(" "))
  return {
    entryPoint: command === undefined ? undefined : [command],
    args,
    keepsAlive: command === undefined || [command, ...args].join(" ") === "tail -f /dev/null"
  }
}

/** `CI` and `GITHUB_ACTIONS` are everywhere where a workflow's programs run. */
export const withCi = (env: EnvVars.EnvVars): EnvVars.EnvVars => ({
  ...EnvVars.fromRecord({ CI: "true" }),
  ...env,
  ...EnvVars.fromRecord({ GITHUB_ACTIONS: "true" })
})

/** The runner gives job containers `/github/home`, which their images know nothing of: their own is what the official hooks leave them. */
const withoutHome = (env: EnvVars.EnvVars, config: HookConfig, isJob: boolean): EnvVars.EnvVars => {
  const home = env.HOME
  if (home === undefined) return env
  const drop = config.strict?.includes("home") || (isJob && Redacted.value(home) === "/github/home")
  return drop ? Object.fromEntries(Object.entries(env).filter(([name]) => name !== "HOME")) : env
}

/** One text that a process is started with, `NAME=value`, with the zero at its end. */
const longestText = 128 * 1024

/** Linux does not start a process with a longer one, and what it says then names nothing. */
export const checkSizes = (env: EnvVars.EnvVars, field: string): Effect.Effect<void, BackendError> =>
  Effect.forEach(
    Object.entries(env),
    ([name, value]) => {
      const size = Buffer.byteLength(`${name}=${Redacted.value(value)}`) + 1
      return size <= longestText
        ? Effect.void
        : invalid(
            `${field}.${name}`,
            `it has ${Math.ceil(size / 1024)} KiB, and Linux takes at most 128 KiB for one variable; hand it over in a file`
          )
    },
    { discard: true }
  )

/** A host's port means something where there is a host: for pods that is another job's business, too. */
const withoutHost = ({ container, protocol }: Port) => new Port({ container, protocol })

const unique = (ports: ReadonlyArray<Port>): ReadonlyArray<Port> => [
  ...new Map(ports.map((port) => [Ports.keyOf(port), port])).values()
]

const present = (text: string | undefined) => (text === "" ? undefined : text)

const given = <Key extends string, A>(key: Key, value: A | undefined): { [K in Key]?: A } =>
  // The one place where a key that depends on a value meets exactOptionalPropertyTypes.
  value === undefined ? {} : ({ [key]: value } as { [K in Key]: A })

const invalid = (input: string, detail: string) => fail(new InvalidInput({ input, detail }))
