/**
 * Makes a container step of an action's Dockerfile, by the builder that the administrator has chosen.
 *
 * @example
 *
 * ```ts
 * const program = Effect.gen(function* () {
 *   const builder = yield* Builder.Builder
 *   const { plan, stage } = yield* builder.prepare({ dockerfile: "/actions/lint/Dockerfile" })
 *   yield* stage("/shared/step-1", plan.enter({ env: { INPUT_PATH: "." } }))
 * }).pipe(Effect.provide(Builder.layer()), Effect.provide(ImageConfig.layer()))
 * ```
 */
import * as Path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { RegistryCredentials } from "../../domain/Container.ts"
import * as JobError from "../../domain/JobError.ts"
import * as Buildah from "./Buildah.ts"
import * as BuildContext from "./BuildContext.ts"
import * as BuildKit from "./BuildKit.ts"
import * as Dockerfile from "./Dockerfile.ts"
import * as Evaluation from "./Evaluation.ts"
import { type ImageConfig, ImageConfigs } from "./ImageConfig.ts"
import * as Inline from "./Inline.ts"
import type { LogStyle } from "./LogStyle.ts"
import { Refusal } from "./Refusal.ts"
import type { NeedsConfig } from "./Stage.ts"
import * as StepPlan from "./StepPlan.ts"

/** @category models */
export interface Request {
  /** Absolute path on this machine. Its directory is the context. */
  readonly dockerfile: string
  /** In place of the Dockerfile's, whose CMD is then dropped, too. */
  readonly entryPoint?: ReadonlyArray<string> | undefined
  /** In place of CMD, where there are any. */
  readonly args?: ReadonlyArray<string> | undefined
  /** Of the node, as Go calls it. Default `amd64`. */
  readonly architecture?: string | undefined
  /** For registries of base images. */
  readonly credentials?: ReadonlyArray<RegistryCredentials> | undefined
  /** More of them, looked up when a registry is asked, at most once. */
  readonly moreCredentials?: Effect.Effect<ReadonlyArray<RegistryCredentials>> | undefined
  readonly log?: LogStyle | undefined
  /** Told of what a builder writes before there is a pod, line by line. Default: nobody is. */
  readonly write?: ((line: string) => Effect.Effect<void>) | undefined
}

/** @category models */
export interface Prepared {
  readonly plan: StepPlan.StepPlan
  /** Writes the plan's files, and those of `enter`, into a directory that is empty or not there. */
  readonly stage: (
    directory: string,
    enter: ReadonlyArray<StepPlan.PlanFile>
  ) => Effect.Effect<void, JobError.BackendError>
}

/**
 * The build has run, and an instruction of the Dockerfile failed: the step has ended with that code.
 *
 * @category errors
 */
export class BuildFailed extends Schema.TaggedError<BuildFailed>()("BuildFailed", {
  exitCode: Schema.Int,
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/** @category services */
export class Builder extends Context.Service<
  Builder,
  {
    /** Reads, checks and plans, or builds. What cannot be done fails here, before there is a pod. */
    readonly prepare: (request: Request) => Effect.Effect<Prepared, JobError.BackendError | BuildFailed>
  }
>()("jobscope/backends/dockerfile/Builder") {}

/** @category options */
export interface Options {
  /** Default `auto`: BuildKit or buildah, if one is set up, else inline. */
  readonly builder?: "auto" | "inline" | "buildah" | "buildkit" | "off" | undefined
  readonly inline?: Pick<Inline.Options, "toolsImage" | "alwaysTools" | "directories"> | undefined
  readonly buildah?: Omit<Buildah.Options, "entryPoint" | "args" | "log" | "credentials"> | undefined
  readonly buildkit?: Omit<BuildKit.Options, "architecture" | "log"> | undefined
  /** When the inline builder asks registries for the configuration of base images. Default `whenNeeded`. */
  readonly imageConfig?: "whenNeeded" | "always" | "never" | undefined
  readonly limits?: Partial<BuildContext.Limits> | undefined
  /** What a setting is called in what is said to administrators, by the end of its variable in the hook. Default: that variable. */
  readonly called?: ((name: string) => string) | undefined
}

/** @category constructors */
export const make = (options: Options, images: ImageConfigs["Service"]): Builder["Service"] => {
  const chosen = choose(options)

  const prepare = Effect.fnUntraced(function* (
    request: Request
  ): Effect.fn.Return<Prepared, Refusal | BuildKit.BuildKitError> {
    if (chosen === "off") {
      return yield* forAdministrator(
        "Actions with a Dockerfile are switched off on this runner (ACTIONS_RUNNER_HOOK_DOCKERFILE=off)",
        "set ACTIONS_RUNNER_HOOK_DOCKERFILE to auto."
      )
    }
    const name = Path.basename(request.dockerfile)
    const context = yield* BuildContext.open(Path.dirname(request.dockerfile), {
      dockerfileName: name,
      ...(options.limits === undefined ? {} : { limits: options.limits })
    })
    const text = yield* context.dockerfile
    const own = { entryPoint: request.entryPoint, args: request.args, log: request.log }
    const prepared = (plan: StepPlan.StepPlan): Prepared => ({
      plan,
      stage: (directory, enter) => StepPlan.write([...plan.files, ...enter], directory, context)
    })
    if (chosen === "buildah") {
      const { buildah } = options
      if (buildah === undefined) return yield* notSetUp("buildah", "ACTIONS_RUNNER_HOOK_BUILDAH_IMAGE")
      const credentials = buildah.authSecret === undefined ? yield* allCredentials(request) : []
      return prepared(yield* Buildah.plan(context, { ...buildah, ...own, credentials }))
    }
    if (chosen === "buildkit") {
      if (options.buildkit === undefined) return yield* notSetUp("buildkit", "ACTIONS_RUNNER_HOOK_BUILDKIT_ADDR")
      const image = yield* BuildKit.build(
        { dockerfile: { name, text }, context, write: request.write ?? (() => Effect.void) },
        {
          ...options.buildkit,
          credentials: [...(options.buildkit.credentials ?? []), ...(yield* allCredentials(request))],
          architecture: request.architecture,
          log: request.log
        }
      )
      return prepared(BuildKit.planOf(image, userOf(text)))
    }
    const dockerfile = yield* Effect.fromResult(Dockerfile.parse(text))
    return prepared(yield* planInline(dockerfile, context, request, { ...options.inline, ...own }))
  })

  const planInline = Effect.fnUntraced(function* (
    dockerfile: Dockerfile.Dockerfile,
    context: BuildContext.BuildContext,
    request: Request,
    inline: Inline.Options
  ): Effect.fn.Return<StepPlan.StepPlan, Refusal> {
    const { architecture } = request
    const known = yield* Effect.cached(allCredentials(request))
    const configs = new Map<string, ImageConfig>()
    const tried = new Set<string>()
    const read = (image: string) =>
      Effect.flatMap(known, (credentials) => images.read(image, { architecture, credentials }))
    for (;;) {
      const all = { ...inline, architecture, configs, everyConfig: options.imageConfig === "always" }
      const planned = yield* Effect.result(Inline.plan(dockerfile, context, all))
      if (Result.isSuccess(planned)) return planned.success
      const { failure } = planned
      if (failure._tag === "Refusal") return yield* failure
      const { image } = failure
      if (options.imageConfig === "never") return yield* unknownConfig(failure, "registries are not asked here")
      // A second time would give the same answer.
      if (tried.has(image)) return yield* unknownConfig(failure, "its configuration does not say")
      tried.add(image)
      const config = yield* Effect.mapError(read(image), ({ detail, registry }) =>
        unknownConfig(failure, `${registry} ${detail}`)
      )
      configs.set(image, config)
    }
  })

  return {
    prepare: (request) => Effect.mapError(prepare(request), (error) => toFailure(renamed(error, options.called)))
  }
}

/**
 * The builder that is set up.
 *
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Builder, never, ImageConfigs> =>
  Layer.effect(
    Builder,
    Effect.map(ImageConfigs, (images) => make(options, images))
  )

const allCredentials = ({
  credentials = [],
  moreCredentials = Effect.succeed([])
}: Request): Effect.Effect<ReadonlyArray<RegistryCredentials>> =>
  Effect.map(moreCredentials, (more) => [...credentials, ...more])

/** As far as our own parser follows. */
const userOf = (text: string): string | undefined => {
  const evaluated = Result.flatMap(Dockerfile.parse(text), (dockerfile) =>
    Evaluation.evaluate(dockerfile, { entryPoint: ["any"] })
  )
  return Result.isSuccess(evaluated) ? evaluated.success.stages.at(-1)?.settings.user : undefined
}

const choose = ({ buildah, builder = "auto", buildkit }: Options): "inline" | "buildah" | "buildkit" | "off" => {
  if (builder !== "auto") return builder
  if (buildkit !== undefined) return "buildkit"
  return buildah === undefined ? "inline" : "buildah"
}

const forAdministrator = (detail: string, hint: string): Refusal =>
  new Refusal({ line: 0, text: "", detail, who: "administrator", hint })

const notSetUp = (builder: string, variable: string): Refusal =>
  forAdministrator(`The ${builder} builder is chosen, and not set up`, `set ${variable}.`)

const unknownConfig = ({ at, image, why }: NeedsConfig, answer: string): Refusal =>
  new Refusal({
    line: at.line,
    text: at.text,
    detail: `needs the configuration of its base image ${image} ${why}, and it could not be read: ${answer}`,
    who: "author",
    hint: "name an ENTRYPOINT in the Dockerfile, or `entrypoint` in action.yml, and give the variables a value there. Administrator: let the runner reach that registry."
  })

const renamed = (error: Refusal | BuildKit.BuildKitError, called: Options["called"]) => {
  if (called === undefined || error._tag !== "Refusal") return error
  const rename = (text: string) => text.replaceAll(/ACTIONS_RUNNER_HOOK_(\w+)/g, (_, name: string) => called(name))
  const { detail, hint, line, text, who } = error
  return new Refusal({ line, text, who, detail: rename(detail), hint: rename(hint) })
}

const toFailure = (error: Refusal | BuildKit.BuildKitError): JobError.BackendError | BuildFailed => {
  if (error._tag === "Refusal") return StepPlan.toBackendError(error)
  switch (error.reason) {
    case "failed":
      return new BuildFailed({ exitCode: error.exitCode ?? 1, detail: error.detail })
    case "unreachable":
      return new JobError.BackendError({
        reason: new JobError.Unavailable({ service: `BuildKit at ${error.address}`, detail: error.detail })
      })
    case "refused":
      return new JobError.BackendError({
        reason: new JobError.StepStartFailed({ detail: error.message, transient: false })
      })
  }
}
