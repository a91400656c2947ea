/**
 * The builder that builds nothing: a pod of the base image, in which the Dockerfile's lines are run before the entry point.
 *
 * **Details**
 *
 * Needs no more than any container step. Each further stage, and each image that files are copied from, is a container beside the step's;
 * what they hand over goes through an empty volume. Which files a COPY takes is decided here, by BuildKit's rules, so that the pod gets
 * those and no others. What cannot be done is refused before there is a pod.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { BuildContext } from "./BuildContext.ts"
import type { Dockerfile } from "./Dockerfile.ts"
import * as Evaluation from "./Evaluation.ts"
import { type Directories, lib } from "./internal/inlineScripts.ts"
import { isExportable, quote, quoteDirectory, quoteTemplate } from "./internal/shellText.ts"
import { stageContext } from "./internal/stagedFiles.ts"
import { type Exports, makeScript } from "./internal/stageScript.ts"
import { type LogStyle, plainLog } from "./LogStyle.ts"
import { needsBuilder, type Refusal } from "./Refusal.ts"
import type { CopyFiles, NeedsConfig, Stage } from "./Stage.ts"
import type { Entering, HandOver, PlanContainer, PlanFile, Security, StepPlan } from "./StepPlan.ts"

/** @category options */
export interface Options extends Evaluation.Options {
  /** How lines of the Dockerfile are shown in the log. Default: as they are. */
  readonly log?: LogStyle | undefined
  /** An image with a static busybox, for images without a shell. Default `docker.io/library/busybox:musl`. */
  readonly toolsImage?: string | undefined
  /** Use it for every image. Default: for those that are known to have no shell. */
  readonly alwaysTools?: boolean | undefined
  /** Where the containers see the volumes of the plan. */
  readonly directories?: Partial<Directories> | undefined
}

/**
 * Plans a step. `NeedsConfig`: again, with that image's configuration among the options.
 *
 * @category constructors
 */
export const plan = Effect.fnUntraced(function* (
  dockerfile: Dockerfile,
  context: BuildContext,
  options: Options = {}
): Effect.fn.Return<StepPlan, Refusal | NeedsConfig> {
  const evaluated = Evaluation.evaluate(dockerfile, options)
  if (Result.isFailure(evaluated)) return yield* evaluated.failure
  const { argv, stages } = evaluated.success
  const directories: Directories = {
    files: "/__jobscope/build",
    shared: "/__jobscope/stages",
    tools: "/__jobscope/tools",
    ...options.directories
  }
  const toolsImage = options.toolsImage ?? "docker.io/library/busybox:musl"
  const log = options.log ?? plainLog
  const last = stages.at(-1) as Stage

  const files: Array<PlanFile> = [text("lib", lib(directories))]
  const copies = copiesOf(stages, last)
  const beside: Array<PlanContainer> = []
  let usesTools = false
  const containerOf = (name: string, image: string, security: Security, needsTools: boolean): PlanContainer => {
    const tools = needsTools || options.alwaysTools === true || image === "scratch" || hasNoShell(image)
    usesTools ||= tools
    return {
      name,
      image: image === "scratch" ? toolsImage : image,
      command: [tools ? `${directories.tools}/sh` : "/bin/sh", `${directories.files}/${name}`],
      env: {},
      security
    }
  }

  // COPY runs nothing but tools of the base image, from where the entry point comes, too.
  const runs = stages.some(({ actions }) => actions.some(({ _tag }) => _tag === "Run"))
  const handOver = runs ? { asked: "late/asked", given: "late/given" } : undefined
  if (handOver !== undefined) {
    files.push({ path: "late", mode: 0o777, content: { _tag: "Directory" } })
    for (const path of Object.values(handOver)) files.push(text(path, "", 0o666))
  }
  for (const stage of stages) {
    const exports = copies.exports.get(stage.index) ?? []
    if (stage !== last && exports.length === 0) continue
    const name = stage === last ? "step" : `stage-${stage.index}`
    const staged = yield* stageContext(stage, context, name)
    files.push(...staged.files)
    const script = makeScript({ stage, staged, imports: copies.imports, exports, directories, log })
    files.push(text(name, stage === last ? `${script}${enterLines(handOver)}` : script))
    if (stage !== last) beside.push(containerOf(name, stage.image, securityOf(stage), false))
  }
  for (const [image, exports] of copies.images) {
    if (image === "scratch")
      return yield* needsBuilder(exports[0]!.copy.at, "needs an image builder to copy from scratch")
    const name = `image-${beside.length}`
    files.push(
      text(
        name,
        makeScript({ stage: undefined, staged: undefined, imports: copies.imports, exports, directories, log })
      )
    )
    // Made to be copied from: often there is nothing else in them.
    beside.push(containerOf(name, image, { runAsUser: 0, runAsNonRoot: false }, true))
  }

  const step = containerOf("step", last.image, securityOf(last), false)
  return {
    builder: "inline",
    image: step.image,
    command: step.command,
    env: {},
    security: step.security,
    before: usesTools ? [toolsContainer(toolsImage, directories)] : [],
    beside,
    volumes: [
      { name: "build-files", path: directories.files, from: { _tag: "Files" } },
      ...(beside.length === 0
        ? []
        : [{ name: "build-stages", path: directories.shared, from: { _tag: "Empty" } } as const]),
      ...(usesTools ? [{ name: "build-tools", path: directories.tools, from: { _tag: "Empty" } } as const] : [])
    ],
    files,
    enter: (entering) => [text(runs ? "late/enter" : "enter", enterScript(last, argv, entering))],
    handOver
  }
})

const text = (path: string, content: string, mode = 0o644): PlanFile => ({
  path,
  mode,
  content: { _tag: "Text", text: content }
})

/** Bases made for one static program. */
const hasNoShell = (image: string): boolean =>
  /^gcr\.io\/distroless\//.test(image)
    ? !/[:-]debug\b/.test(image)
    : /^cgr\.dev\/chainguard\//.test(image) && !/-dev\b/.test(image)

/**
 * Root, where the Dockerfile changes users, or the image says that it runs as another one: it is the script that becomes that user.
 */
const securityOf = ({ actions, baseEnv, settings }: Stage): Security => {
  const user = settings.user ?? ""
  const changes = actions.some((action) => action._tag === "Run" && action.user !== undefined)
  const isRoot = user === "" || (baseEnv !== undefined && /^(0|root)(:|$)/.test(user) && !changes)
  return isRoot ? {} : { runAsUser: 0, runAsGroup: 0, runAsNonRoot: false }
}

const toolsContainer = (image: string, { tools }: Directories): PlanContainer => ({
  name: "tools",
  image,
  // Its shell is the busybox that has them all, wherever it lies. (`$$` would mean `$` to Kubernetes.)
  command: [
    "sh",
    "-c",
    `cat </proc/self/exe >${tools}/busybox && chmod 755 ${tools}/busybox && ${tools}/busybox --install -s ${tools}`
  ],
  env: {},
  security: {}
})

/** The step's last lines: once it is there, what hands over is read. Every stage that is waited for has ended by then. */
const enterLines = (handOver: HandOver | undefined): string =>
  handOver === undefined
    ? '__enter=$__files/enter\n. "$__enter"\n'
    : `__enter=$__files/late/enter
echo 1 >"$__files/${handOver.asked}" || give_up 126
until read -r __given <"$__files/${handOver.given}"; do nap; done
. "$__enter"
`

/** Which COPY takes what from where. */
const copiesOf = (stages: ReadonlyArray<Stage>, last: Stage) => {
  const imports = new Map<CopyFiles, string>()
  const exports = new Map<number, Array<Exports>>()
  const images = new Map<string, Array<Exports>>()
  const todo: Array<Stage> = [last]
  const seen = new Set<Stage>()
  for (let stage = todo.pop(); stage !== undefined; stage = todo.pop()) {
    if (seen.has(stage)) continue
    seen.add(stage)
    for (const action of stage.actions) {
      if (action._tag !== "Copy" || action.from._tag === "Context" || imports.has(action)) continue
      const { from } = action
      const id = `copy-${imports.size}`
      imports.set(action, id)
      const entry = { id, copy: action }
      if (from._tag === "Image") images.set(from.image, [...(images.get(from.image) ?? []), entry])
      else {
        exports.set(from.stage, [...(exports.get(from.stage) ?? []), entry])
        const source = stages.find(({ index }) => index === from.stage)
        if (source !== undefined) todo.push(source)
      }
    }
  }
  return { imports, exports, images }
}

/**
 * Hands over the step's variables and becomes its entry point. The file removes itself: it holds what is secret.
 */
const enterScript = ({ settings }: Stage, argv: ReadonlyArray<string>, { env, workingDirectory }: Entering): string => {
  const all = new Map([
    ...Array.from(settings.env, ([name, value]) => [name, quoteTemplate(value)] as const),
    ...Object.entries(env).map(([name, value]) => [name, quote(value)] as const)
  ])

  const path = all.get("PATH") ?? '"$__base_path"'
  all.delete("PATH")
  const { directory } = settings
  const own = quoteDirectory(directory)
  const exported = Array.from(all, ([name, value]) => (isExportable(name) ? `export ${name}=${value}` : []))
  const others = Array.from(all, ([name, value]) => (isExportable(name) ? [] : [`${quote(`${name}=`)}${value}`]))
  return [
    `rm -f "$__enter" 2>/dev/null`,
    `__path=${path}`,
    ...exported.flat(),
    `mkdir -p ${workingDirectory === undefined ? own : quote(workingDirectory)} 2>/dev/null`,
    `cd ${workingDirectory === undefined ? own : quote(workingDirectory)} || exit 126`,
    "trap - TERM INT HUP",
    `__keep_home=${all.has("HOME") ? 1 : ""}`,
    `become ${quote(settings.user ?? "")} env -- ${[`"PATH=$__path"`, ...others.flat(), ...argv.map(quote)].join(" ")}`,
    ""
  ].join("\n")
}
