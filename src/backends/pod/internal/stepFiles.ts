/** How the files of a container step get into its pod and back: through the claim, or by a container of ours beside it. */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { BackendError, fail, StorageFailed, Unsupported } from "../../../domain/JobError.ts"
import type { ContainerStep } from "../../../domain/Step.ts"
import { fromKubeError } from "../../kubernetes/BackendErrors.ts"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { Identity } from "../PodManifest.ts"
import type { Options, PodManifest, Sharing } from "../PodOptions.ts"
import type { FilesFor, LateFiles } from "./builtStep.ts"
import { stateDirectoryOf } from "./channels.ts"
import { type Copying, inPod } from "./copying.ts"
import { pack } from "./files/Archive.ts"
import * as LocalTree from "./files/LocalTree.ts"
import { copiedVolume, type MountPlan, type PodVolume, type VolumeMount, workVolume } from "./mountPlan.ts"
import type { PodData } from "./podData.ts"
import { runScript } from "./podExec.ts"
import { quote, stateDirectory } from "./podScripts.ts"
import type { PodWatch } from "./podWatch.ts"
import { awaitPod } from "./readiness.ts"
import { hasOwnWorkspace, workspaceOfPod } from "./stepWorkspace.ts"
import { secretName } from "./volumeTransport.ts"

type Container = NonNullable<PodManifest["spec"]>["containers"][number]
type Waiting = Omit<Parameters<typeof awaitPod>[0], "pod" | "enough">

/** What a container step needs to know of its environment. */
export interface Setting {
  readonly kube: KubeClient["Service"]
  readonly namespace: string
  readonly watch: PodWatch
  readonly options: Options
  readonly sharing: Sharing
  readonly copying: Copying
  readonly identity: Identity
  readonly data: PodData
  readonly job: string
}

export interface StepFiles extends FilesFor {
  /** Variables with the paths of the step's files, and where those are mounted. */
  readonly env: Readonly<Record<string, string>>
  readonly mounts: ReadonlyArray<VolumeMount>
  readonly volumes: ReadonlyArray<PodVolume>
  readonly before: ReadonlyArray<Container>
  readonly beside: ReadonlyArray<Container>
  /** Once the pod is created. */
  readonly bring: (pod: PodManifest, waiting: Waiting) => Effect.Effect<void, BackendError>
  /** What this process has to do once the pod runs: ends when all late files are there, which is never if nobody asks for them. */
  readonly handOver: Effect.Effect<void, BackendError>
  /** Once the step's container has ended. */
  readonly fetch: Effect.Effect<void, BackendError>
  readonly collected: Effect.Effect<ReadonlyMap<string, string>, BackendError>
}

const filesDirectory = `${stateDirectory}/files`

const variablesOf = (step: ContainerStep) =>
  Object.fromEntries(
    step.files.flatMap(({ name, variable }) =>
      variable === undefined ? [] : [[variable, `${filesDirectory}/${name}`]]
    )
  )

export const makeStepFiles = (
  setting: Setting & { readonly name: string; readonly id: string; readonly plan: MountPlan },
  step: ContainerStep
): Effect.Effect<StepFiles, BackendError, Scope.Scope> =>
  setting.sharing._tag === "Claim" && !hasOwnWorkspace(setting.data)
    ? throughClaim(setting, setting.sharing, step)
    : byTravel(setting, step)

/** The step's own files are a directory of the claim; everything else is there already. */
const throughClaim = Effect.fnUntraced(function* (
  { identity, plan }: Setting & { readonly plan: MountPlan },
  sharing: Extract<Setting["sharing"], { readonly _tag: "Claim" }>,
  step: ContainerStep
) {
  const directory = Path.join(stateDirectoryOf(sharing), identity.environment, yield* secretName)
  if (step.files.length > 0) {
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        Fs.mkdirSync(directory, { recursive: true })
        Fs.chmodSync(directory, 0o777)
        for (const { content, name } of step.files) {
          Fs.writeFileSync(Path.join(directory, name), content)
          Fs.chmodSync(Path.join(directory, name), 0o666)
        }
      }),
      () => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
    )
  }
  yield* Effect.sync(() => {
    for (const mount of step.mounts) {
      const planned = plan.resolve(mount)
      if ("local" in planned && planned.local !== undefined) Fs.mkdirSync(planned.local, { recursive: true })
    }
  })
  const asked: Array<{ readonly directory: string; readonly late: LateFiles }> = []
  const subPathOf = (path: string) => Path.posix.join(sharing.subPath ?? "", Path.relative(sharing.root, path))
  const files: StepFiles = {
    env: variablesOf(step),
    mounts:
      step.files.length === 0 ? [] : [{ name: workVolume, mountPath: filesDirectory, subPath: subPathOf(directory) }],
    targets: step.files.length === 0 ? [] : [filesDirectory],
    share: Effect.fnUntraced(function* (_, mountPath, write, late) {
      const own = yield* temporary(Path.join(stateDirectoryOf(sharing), identity.environment))
      yield* write(own)
      if (late !== undefined) {
        asked.push({ directory: own, late })
        for (const { path } of late.files) {
          Fs.writeFileSync(Path.join(own, path), "", { flag: "wx" })
          Fs.chmodSync(Path.join(own, path), 0o644)
        }
      }
      return { mount: { name: workVolume, mountPath, subPath: subPathOf(own) }, volumes: [] }
    }),
    volumes: [],
    before: [],
    beside: [],
    bring: () => Effect.void,
    handOver: Effect.suspend(() =>
      Effect.forEach(asked, ({ directory, late }) => writeLate(directory, late), { discard: true })
    ),
    fetch: Effect.void,
    collected: Effect.sync(() => readCollected(step, directory))
  }
  return files
})

/** A path in a directory, for a new directory whose name cannot be guessed; what is made there goes with the scope. */
const temporary = (parent: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(secretName, (name) => Path.join(parent, name)),
    (path) =>
      // What a container has left there may be another user's: it goes with the environment.
      Effect.ignore(
        Effect.try({ try: () => Fs.rmSync(path, { recursive: true, force: true }), catch: () => "left" as const })
      )
  )

/** Whether a container has asked is seen on the volume only. */
const writeLate = (directory: string, { asked, files, given }: LateFiles): Effect.Effect<void, BackendError> => {
  const attempt = <A>(body: () => A) =>
    Effect.try({
      try: body,
      catch: (cause) =>
        new BackendError({
          reason: new StorageFailed({
            operation: "handing over the step's variables",
            detail: cause instanceof Error ? cause.message : String(cause),
            transient: false
          })
        })
    })
  const { O_RDONLY, O_WRONLY } = Fs.constants
  const isAsked = attempt(() => withOpened(directory, asked, O_RDONLY, (opened) => Fs.fstatSync(opened).size > 0))
  return isAsked.pipe(
    Effect.tap((yes) => (yes ? Effect.void : Effect.sleep("25 millis"))),
    Effect.repeat({ until: (yes) => yes }),
    Effect.andThen(
      attempt(() => {
        for (const { path, text } of [...files, { path: given, text: "1\n" }]) {
          withOpened(directory, path, O_WRONLY, (opened) => Fs.writeFileSync(opened, text))
        }
      })
    )
  )
}

/**
 * A file that is there. Whoever runs in the container may have put a link, or something that is waited for, in its place or in that of its
 * directory: neither is followed, and nothing but a file is opened.
 */
const withOpened = <A>(root: string, path: string, flags: number, use: (opened: number) => A): A => {
  const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = Fs.constants
  const parent = Path.join(root, Path.dirname(path))
  const directory = Fs.openSync(parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  try {
    const inside = Fs.existsSync("/proc/self/fd") ? `/proc/self/fd/${directory}` : parent
    const opened = Fs.openSync(Path.join(inside, Path.basename(path)), flags | O_NOFOLLOW | O_NONBLOCK)
    try {
      if (!Fs.fstatSync(opened).isFile()) throw new Error(`${path} is no file any more`)
      return use(opened)
    } finally {
      Fs.closeSync(opened)
    }
  } finally {
    Fs.closeSync(directory)
  }
}

const readCollected = (step: ContainerStep, directory: string): ReadonlyMap<string, string> =>
  new Map(
    step.files.flatMap(({ collect, name }) => {
      const file = Path.join(directory, name)
      return collect && Fs.existsSync(file) ? [[name, Fs.readFileSync(file, "utf8")] as const] : []
    })
  )

const workDirectory = `${stateDirectory}/work`
const broughtDirectory = `${stateDirectory}/brought`
const receiver = "jobscope-files-in"
const sender = "jobscope-files-out"

/** The job's files go from pod to pod, through this process; what the step has changed goes back, and here what the caller wants. */
const byTravel = Effect.fnUntraced(function* (
  {
    copying,
    data,
    identity,
    kube,
    name,
    namespace,
    options,
    plan,
    sharing
  }: Setting & { readonly name: string; readonly plan: MountPlan },
  step: ContainerStep
) {
  const image = data.image === "" ? options.initContainers?.[0]?.image : data.image
  if (image === undefined) {
    return yield* fail(
      new Unsupported({
        backend: "pod",
        feature: "container steps in a job that has only services, where files have to be copied",
        hint: "Give the job a container with an image, or share a volume with the pods."
      })
    )
  }
  const jobPlace = { namespace: data.namespace, pod: data.pod, container: data.container }
  /** A directory of this machine, where the job's pod has it, and where the step's pod. */
  const tops = step.mounts
    .filter(({ source }) => source.startsWith("/"))
    .filter(
      ({ source }, at, all) =>
        !all.some((other, index) => contains(other.source, source) && (other.source !== source || index < at))
    )
    .flatMap((mount) => {
      const inJob = inPod(data.mounts, mount.source)
      const planned = plan.resolve(mount)
      // What the claim has is there already.
      const subPath = "mount" in planned && planned.local === undefined ? planned.mount.subPath : undefined
      return inJob === undefined || subPath === undefined
        ? []
        : [{ source: mount.source, inJob, inStep: `${workDirectory}/${subPath}` }]
    })
  /** Directories of this machine for the pod, and where its containers find them. */
  const brought: Array<{ readonly directory: string; readonly volume: string; readonly late: LateFiles | undefined }> =
    []
  const before = new Map<string, LocalTree.Manifest>()
  let collected: ReadonlyMap<string, string> = new Map()
  const helper = (helperName: string, script: string): Container => ({
    name: helperName,
    image,
    command: ["sh", "-c", script],
    volumeMounts: [
      { name: "jobscope", mountPath: stateDirectory },
      ...brought.map(({ volume }) => ({ name: volume, mountPath: `${broughtDirectory}/${volume}` })),
      ...(tops.length === 0 ? [] : [{ name: copiedVolume(sharing), mountPath: workDirectory }])
    ]
  })
  const script = (container: string, text: string) =>
    Effect.mapError(runScript(kube, { namespace, pod: name, container }, text), fromKubeError)

  const bring: StepFiles["bring"] = Effect.fnUntraced(function* (pod, waiting) {
    yield* awaitPod({ ...waiting, pod, enough: (now) => initIsRunning(now, receiver) || mainHasBegun(now) })
    const to = { namespace, pod: name, container: receiver }
    for (const { inJob, inStep } of tops) {
      yield* copying.files.transfer({
        from: { ...jobPlace, directory: inJob },
        select: { _tag: "All" },
        to: { ...to, directory: inStep },
        modes: "shared"
      })
    }
    for (const { delta, directory, manifest } of yield* copying.changes(identity.environment)) {
      const top = tops.find(({ source }) => contains(source, directory))
      if (top === undefined) continue
      yield* copying.files.push({
        to: { ...to, directory: `${top.inStep}${directory.slice(top.source.length)}` },
        archive: pack([{ root: directory, manifest, paths: [...delta.added, ...delta.changed] }]),
        remove: delta.removed,
        modes: "shared"
      })
    }
    for (const { directory, volume } of brought) {
      yield* copying.files.push({
        to: { ...to, directory: `${broughtDirectory}/${volume}` },
        archive: pack([{ root: directory }])
      })
    }
    for (const { inStep, source } of tops)
      before.set(source, yield* copying.files.manifest({ ...to, directory: inStep }))
    yield* script(
      receiver,
      [
        `mkdir -p ${filesDirectory} && chmod 777 ${filesDirectory}`,
        ...step.files.map(
          ({ content, name }) =>
            `printf '%s' ${quote(content)} >${filesDirectory}/${quote(name)} && chmod 666 ${filesDirectory}/${quote(name)}`
        ),
        ...brought.flatMap(({ late }) => (late === undefined ? [] : keepLate(late))),
        `: >${stateDirectory}/go`
      ].join("\n")
    )
  })

  const fetch = Effect.gen(function* () {
    for (const { inJob, inStep, source } of tops) {
      yield* copying.files.transfer({
        from: { namespace, pod: name, container: sender, directory: inStep },
        select: {
          _tag: "Picked",
          pick: (now) => {
            const { added, changed, removed } = LocalTree.delta(before.get(source) ?? new Map(), now)
            return { paths: [...added, ...changed], removed }
          }
        },
        to: { ...jobPlace, directory: inJob },
        modes: "shared",
        ...(source === workspaceOfPod
          ? {}
          : {
              keep: {
                root: source,
                accept: (path: string) => copying.isReturnedFrom(data.mounts, source, path),
                making: sharing.stateDirectory
              }
            })
      })
    }
    const wanted = step.files.filter(({ collect }) => collect)
    if (wanted.length === 0) return
    const told = yield* script(
      sender,
      wanted
        .map(
          ({ name }) =>
            `p=${filesDirectory}/${quote(name)}; if [ -f "$p" ]; then z=$(wc -c <"$p"); printf '%d %s\\n' $z ${quote(name)}; head -c $z <"$p"; printf '\\n'; fi`
        )
        .join("\n")
    )
    collected = readFiles(told.stdout)
  })

  const files: StepFiles = {
    env: variablesOf(step),
    mounts: step.files.length === 0 ? [] : [{ name: "jobscope", mountPath: filesDirectory, subPath: "files" }],
    targets: step.files.length === 0 ? [] : [filesDirectory],
    share: Effect.fnUntraced(function* (volume, mountPath, write, late) {
      const directory = yield* temporary((sharing._tag === "Copy" ? sharing.stateDirectory : undefined) ?? Os.tmpdir())
      yield* write(directory)
      brought.push({ directory, volume, late })
      return { mount: { name: volume, mountPath }, volumes: [{ name: volume, emptyDir: {} }] }
    }),
    volumes: [{ name: "jobscope", emptyDir: {} }],
    // After all that is shared is known.
    get before() {
      return [helper(receiver, `until [ -e ${stateDirectory}/go ]; do sleep 0.05 2>/dev/null || sleep 1; done`)]
    },
    get beside() {
      const late = brought.flatMap(({ late, volume }) =>
        late === undefined ? [] : [giveLate(`${broughtDirectory}/${volume}`, late)]
      )
      return [helper(sender, ["trap 'exit 0' TERM", ...late, "while :; do sleep 3600 & wait $!; done"].join("\n"))]
    },
    bring,
    // A container of the pod does it, whatever becomes of this process.
    handOver: Effect.void,
    fetch,
    collected: Effect.sync(() => collected)
  }
  return files
})

const contains = (outer: string, inner: string) => inner === outer || inner.startsWith(`${outer}/`)

const initIsRunning = (pod: PodManifest, name: string) =>
  pod.status?.initContainerStatuses?.some((status) => status.name === name && status.state?.running !== undefined) ===
  true

/** Where a container of ours keeps late files: no other container mounts it. */
const keptDirectory = `${stateDirectory}/kept`

/** What hands them over, beside what else the container does. */
const giveLate = (directory: string, { asked, files, given }: LateFiles): string => {
  const written = files.map(({ path }, index) => `cat ${keptDirectory}/${index} >${quote(`${directory}/${path}`)}`)
  return [
    `(umask 022; until [ -s ${quote(`${directory}/${asked}`)} ]; do sleep 0.05 2>/dev/null || sleep 1; done`,
    `${[...written, `echo 1 >${quote(`${directory}/${given}`)}`].join(" && ")}; rm -r ${keptDirectory}) &`
  ].join("; ")
}

const keepLate = ({ files }: LateFiles): ReadonlyArray<string> => [
  `mkdir -p ${keptDirectory}`,
  ...files.map(({ text }, index) => `printf '%s' ${quote(text)} >${keptDirectory}/${index}`)
]

const mainHasBegun = (pod: PodManifest) =>
  pod.status?.containerStatuses?.some(
    ({ state }) => state?.running !== undefined || state?.terminated !== undefined
  ) === true

/** `<bytes> <name>`, the content, a line end; for each file. */
const readFiles = (text: string): ReadonlyMap<string, string> => {
  const bytes = Buffer.from(text)
  const files = new Map<string, string>()
  for (let at = 0; at < bytes.length; ) {
    const lineEnd = bytes.indexOf(10, at)
    if (lineEnd < 0) break
    const [size = "0", ...name] = bytes.subarray(at, lineEnd).toString("utf8").split(" ")
    const end = lineEnd + 1 + Number(size)
    files.set(name.join(" "), bytes.subarray(lineEnd + 1, end).toString("utf8"))
    at = end + 1
  }
  return files
}
