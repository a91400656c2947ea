/** Files of a container step from pod to pod, by a container of ours beside it. */
import * as Os from "node:os"
import * as Effect from "effect/Effect"
import { fail, Unsupported } from "../../../domain/JobError.ts"
import type { ContainerStep } from "../../../domain/Step.ts"
import { fromKubeError } from "../../kubernetes/BackendErrors.ts"
import type { PodManifest } from "../PodOptions.ts"
import type { LateFiles } from "./builtStep.ts"
import { inPod } from "./copying.ts"
import { pack } from "./files/Archive.ts"
import * as LocalTree from "./files/LocalTree.ts"
import { copiedVolume, type MountPlan } from "./mountPlan.ts"
import { runScript } from "./podExec.ts"
import { quote, stateDirectory } from "./podScripts.ts"
import { awaitPod } from "./readiness.ts"
import { filesDirectory, type Setting, type StepFiles, temporary, variablesOf } from "./stepFiles.ts"
import { workspaceOfPod } from "./stepWorkspace.ts"

type Container = NonNullable<PodManifest["spec"]>["containers"][number]
type Target = { readonly namespace: string; readonly pod: string; readonly container: string }

const workDirectory = `${stateDirectory}/work`
const broughtDirectory = `${stateDirectory}/brought`
const receiver = "jobscope-files-in"
const sender = "jobscope-files-out"

/** The job's files go from pod to pod, through this process; what the step has changed goes back, and here what the caller wants. */
export const travellingStepFiles = Effect.fnUntraced(function* (
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
  const own = copying.ownOf(step.env, step.mounts)
  const isOwn = (directory: string, path: string) =>
    own.some((file) => `${file.directory}/${file.name}` === `${directory}/${path}`)
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

  /** What the job's pod has, what has changed here since, and a look at all of it: later only changes go back. */
  const bringJobsFiles = Effect.fnUntraced(function* (to: Target) {
    yield* Effect.forEach(
      tops,
      ({ inJob, inStep }) =>
        copying.files.transfer({
          from: { ...jobPlace, directory: inJob },
          select: { _tag: "All" },
          to: { ...to, directory: inStep },
          modes: "shared"
        }),
      several
    )
    for (const { directory, manifest, paths, removed } of yield* copying.changes(identity.environment, own)) {
      const top = tops.find(({ source }) => contains(source, directory))
      if (top === undefined) continue
      yield* copying.files.push({
        to: { ...to, directory: `${top.inStep}${directory.slice(top.source.length)}` },
        archive: pack([{ root: directory, manifest, paths }]),
        remove: removed,
        modes: "shared"
      })
    }
    yield* Effect.forEach(
      tops,
      ({ inStep, source }) =>
        Effect.map(copying.files.manifest({ ...to, directory: inStep }), (now) => before.set(source, now)),
      several
    )
  })

  const bringOthers = (to: Target) =>
    Effect.forEach(
      brought,
      ({ directory, volume }) =>
        copying.files.push({
          to: { ...to, directory: `${broughtDirectory}/${volume}` },
          archive: pack([{ root: directory }])
        }),
      several
    )

  const bring: StepFiles["bring"] = Effect.fnUntraced(function* (pod, waiting) {
    yield* awaitPod({ ...waiting, pod, enough: (now) => initIsRunning(now, receiver) || mainHasBegun(now) })
    const to = { namespace, pod: name, container: receiver }
    yield* Effect.all([bringJobsFiles(to), bringOthers(to)], { concurrency: "unbounded", discard: true })
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
    yield* Effect.forEach(
      tops,
      ({ inJob, inStep, source }) =>
        copying.files.transfer({
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
                  accept: (path: string) => isOwn(source, path) || copying.isReturnedFrom(data.mounts, source, path),
                  making: sharing.stateDirectory
                }
              })
        }),
      several
    )
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

/** Directories that travel at a time: each has connections of its own, and most of a small one's time is waiting. */
const several = { concurrency: 4, discard: true } as const

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
